"""Formats by name and arguments: what `fixed<8, 3>` and the like in texts and on command lines mean."""

from __future__ import annotations

from typing import Any

from edgec.diagnostics import nearest
from edgec.formats import Affine, Fixed, Float, Format, FormatError, Integer
from edgec.formats_compressed import Binary, Codebook, Minifloat, Pow2, Sparse, Ternary

FORMAT_NAMES = (
    *("f16", "f32", "f64", "int", "uint", "fixed", "ufixed", "affine"),
    *("binary", "ternary", "pow2", "pow2z", "codebook", "minifloat", "sparse"),
)


def make_format(name: str, a: list[Any], named: dict[str, Any]) -> Format:
    """The format `name<a...>`; raises FormatError for unknown names and bad arguments."""

    def values(x: Any) -> tuple[Any, ...]:
        return x if isinstance(x, tuple) else (x,)

    def whole(x: Any) -> tuple[int, ...]:
        if not all(isinstance(v, int) for v in values(x)):
            raise FormatError(f"{name} takes integers")
        return values(x)

    narrow = named.get("narrow", False)
    match name, a:
        case ("f16" | "f32" | "f64", []):
            return Float(int(name[1:]))
        case ("int" | "uint", [int(w)]):
            return Integer(w, name == "int", narrow)
        case ("fixed" | "ufixed", [int(w), int(i)]):
            return Fixed(w, i, name == "fixed", narrow)
        case ("affine", [Format() as base, scale, zero]):
            scales = tuple(float(s) for s in values(scale))
            return Affine(base, scales, whole(zero), named.get("axis"))
        case ("binary", []):
            return Binary()
        case ("ternary", []):
            return Ternary()
        case ("pow2" | "pow2z", [int(w)]):
            return Pow2(w, name == "pow2z")
        case ("codebook", [int(w), Format() as element, entries]):
            return Codebook(w, element, whole(entries))
        case ("minifloat", [int(e), int(m)]):
            return Minifloat(e, m)
        case ("sparse", [Format() as element, int(n), int(m)]):
            return Sparse(element, n, m)
    if name in FORMAT_NAMES:
        raise FormatError(f"bad arguments for the format {name}")
    raise FormatError(f"unknown format {name!r}; {nearest(name, FORMAT_NAMES)}")
