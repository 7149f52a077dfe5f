"""Sampled values of a wire: the same numbers as integers or as bits, converted when asked for.

Bits are packed along the samples, eight to a byte, so that a bitwise operator works on thousands of samples at once
and on any width; arithmetic works on int64, or on Python integers where 63 bits are too few.
"""

from __future__ import annotations

import numpy as np

INT64_BITS = 63
"""Widest wire whose values are int64; wider ones are arrays of Python integers."""


class Value:
    """What one wire holds in `samples` samples."""

    __slots__ = ("_bits", "_ints", "samples", "signed", "width")

    def __init__(
        self,
        width: int,
        signed: bool,
        samples: int,
        ints: np.ndarray | None = None,
        bits: np.ndarray | None = None,
    ) -> None:
        self.width, self.signed, self.samples = width, signed, samples
        self._ints, self._bits = ints, bits

    @property
    def bits(self) -> np.ndarray:
        """uint8 [width, ceil(samples / 8)], bit plane by bit plane, lowest first."""
        if self._bits is None:
            assert self._ints is not None
            if self.width > INT64_BITS:
                self._bits = np.packbits(_wide_planes(self._ints, self.width), axis=1)
                return self._bits
            positions = np.arange(self.width, dtype=self._ints.dtype)[:, None]
            planes = ((self._ints[None, :] >> positions) & 1).astype(np.uint8)
            self._bits = np.packbits(planes, axis=1)
        return self._bits

    @property
    def planes(self) -> np.ndarray:
        """uint8 [width, samples] of zeros and ones."""
        return np.unpackbits(self.bits, axis=1, count=self.samples)

    @property
    def ints(self) -> np.ndarray:
        """[samples] of int64, or of Python integers beyond 63 bits."""
        if self._ints is None:
            planes = self.planes
            if self.width > INT64_BITS:
                self._ints = _wide_ints(planes, self.signed)
                return self._ints
            result = np.zeros(self.samples, np.int64)
            for i, plane in enumerate(planes):
                weight = -(1 << i) if self.signed and i == self.width - 1 else 1 << i
                result += plane.astype(np.int64) * weight
            self._ints = result
        return self._ints


def _wide_planes(ints: np.ndarray, width: int) -> np.ndarray:
    """Bits of Python integers: uint8 [width, samples]."""
    size = -(-width // 8)
    mask = (1 << 8 * size) - 1
    raw = b"".join((int(v) & mask).to_bytes(size, "little") for v in ints)
    rows = np.frombuffer(raw, np.uint8).reshape(len(ints), size)
    return np.unpackbits(rows, axis=1, count=width, bitorder="little").T


def _wide_ints(planes: np.ndarray, signed: bool) -> np.ndarray:
    """Python integers of bits [width, samples]."""
    sign = 1 << len(planes) if signed else 0
    rows = np.packbits(planes.T, axis=1, bitorder="little")
    values = (int.from_bytes(row.tobytes(), "little") for row in rows)
    result = np.empty(planes.shape[1], object)
    result[:] = [v - sign if sign and v >= sign >> 1 else v for v in values]
    return result
