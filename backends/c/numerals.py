"""Arrays as the text of C initialisers, fast: a network has millions of weights.

Numbers of a fixed width are looked up or computed as rows of characters, and what is padding is cut out.
"""

from __future__ import annotations

import numpy as np

PER_LINE = 24
CHUNK = PER_LINE << 15
"""Elements that are written at a time: a few tens of MB of characters."""
HEX = np.frombuffer(b"".join(f"{v:02x}".encode() for v in range(256)), np.uint8).reshape(256, 2)


def initialisers(values: np.ndarray) -> str:
    """The elements of a flat array as lines of C."""
    if not values.size:
        return "  0"
    parts = []
    for start in range(0, values.size, CHUNK):
        part = values[start : start + CHUNK]
        rows = _rows(part)
        parts.append(_lines(rows) if rows is not None else _written(part))
    return "\n".join(parts)


def _rows(values: np.ndarray) -> np.ndarray | None:
    """One row of characters an element, comma and space included, 0 for no character; None for what has no fast way."""
    if values.dtype.itemsize == 1:
        return _table(values.dtype)[values.view(np.uint8)]
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 4:
        return _decimal(values)
    if values.dtype == np.float32 and np.isfinite(values).all():
        return _hexadecimal(values)
    return None


def _table(dtype: np.dtype) -> np.ndarray:
    """The words of all codes of a byte."""
    return _characters([f"{v}, " for v in np.arange(256, dtype=np.uint8).view(dtype).tolist()])


def _characters(words: list[str]) -> np.ndarray:
    return np.array([w.encode() for w in words]).view(np.uint8).reshape(len(words), -1)


def _decimal(values: np.ndarray) -> np.ndarray | None:
    """Sign, digits, and `u` behind numbers of `uint32_t`; None where there is the most negative `int32_t`."""
    wide = values.astype(np.int64)
    if wide.min() == -(1 << 31):
        return None
    digits = len(str(int(np.abs(wide).max())))
    suffix = np.frombuffer(b"u, " if values.dtype == np.uint32 else b", ", np.uint8)
    rows = np.zeros((len(values), 1 + digits + len(suffix)), np.uint8)
    rows[wide < 0, 0] = ord("-")
    rest = np.abs(wide)
    for place in range(digits, 0, -1):
        written = (rest > 0) | (place == digits)
        rest, digit = np.divmod(rest, 10)
        rows[:, place] = np.where(written, digit + ord("0"), 0)
    rows[:, 1 + digits :] = suffix
    return rows


def _hexadecimal(values: np.ndarray) -> np.ndarray:
    """Hexadecimal literals of finite `float`s: exact, and short where the last digits of the mantissa are 0."""
    bits = values.view(np.uint32)
    exponent, mantissa = (bits >> 23) & 255, (bits & 0x7FFFFF) << 1
    normal = exponent > 0
    powers = np.where(normal, exponent.astype(np.int64), 1)
    powers[(exponent == 0) & (mantissa == 0)] = 0
    tails = _characters([f"p{e - 127:+d}f, " for e in range(255)])
    zero = _characters(["p+0f, ".ljust(tails.shape[1], "\0")])
    rows = np.zeros((len(values), 11 + tails.shape[1]), np.uint8)
    rows[bits >> 31 == 1, 0] = ord("-")
    rows[:, 1:3] = np.frombuffer(b"0x", np.uint8)
    rows[:, 3] = np.where(normal, ord("1"), ord("0"))
    rows[:, 4] = np.where(mantissa != 0, ord("."), 0)
    for k, shift in enumerate((16, 8, 0)):
        rows[:, 5 + 2 * k : 7 + 2 * k] = HEX[(mantissa >> shift) & 255]
    for digit in range(6):  # zeros at the end
        rows[(mantissa & ((1 << (24 - 4 * digit)) - 1)) == 0, 5 + digit] = 0
    rows[:, 11:] = tails[powers]
    rows[powers == 0, 11:] = zero
    return rows


def _lines(rows: np.ndarray) -> str:
    """Rows of characters as lines of `PER_LINE` elements."""
    full = len(rows) // PER_LINE * PER_LINE
    made = b""
    if full:
        lines = rows[:full].reshape(-1, PER_LINE * rows.shape[1])
        framed = np.empty((len(lines), lines.shape[1] + 3), np.uint8)
        framed[:, :2], framed[:, 2:-1], framed[:, -1] = ord(" "), lines, ord("\n")
        made = framed[framed != 0].tobytes().replace(b", \n", b",\n")
    rest = rows[full:].ravel()
    if rest.size:
        made += b"  " + rest[rest != 0].tobytes()
    return made.decode().rstrip()


def _written(values: np.ndarray) -> str:
    """One by one: wide integers, `double`s, and numbers that are not finite."""
    if values.dtype.kind == "f":
        suffix = "" if values.dtype == np.float64 else "f"
        words = [_number(v, suffix) for v in values.astype(np.float64).tolist()]
    elif values.dtype == np.int64:
        words = [f"INT64_C({v})" if v > -(1 << 63) else "(-INT64_C(9223372036854775807) - 1)" for v in values.tolist()]
    else:
        words = [str(v) if v > -(1 << 31) else "(-2147483647 - 1)" for v in values.tolist()]
    lines = (words[i : i + PER_LINE] for i in range(0, len(words), PER_LINE))
    return "\n".join("  " + ", ".join(line) + "," for line in lines)


def _number(value: float, suffix: str) -> str:
    if value != value:
        return "NAN"
    if value in (float("inf"), float("-inf")):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"{value.hex()}{suffix}"
