"""Weights with few distinct values as packed codes of 1, 2 or 4 bits and a table of the values.

What format the weights had does not matter: few-bit integers, powers of two, ternary and binary weights and entries of
a codebook are all integers by now. The portable loops read code by code; vector code decodes a block of weights with
a table look-up (TBL) into the order that its tiles read, once for all places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTHS = (1, 2, 4)
"""Bits of a code: those that divide a byte."""
VECTOR = 16
"""Bytes that are decoded together."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """`width` bits stand for one of `table`, ascending int64 values."""

    width: int
    table: NDArray[np.int64]

    @classmethod
    def of(cls, weights: NDArray[np.integer], zero: bool = False) -> Codebook | None:
        """The narrowest codebook of all values of `weights`, and of 0 if `zero`; None where there are more than 16."""
        found = distinct(weights)
        if zero:
            found = np.union1d(found, [0])
        width = next((w for w in WIDTHS if len(found) <= 1 << w), None)
        return None if width is None or not len(found) else cls(width, found)

    @property
    def per_byte(self) -> int:
        return 8 // self.width

    def codes(self, weights: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The codes of values; of one that is not in the table, which only padding is, that of some other."""
        return np.minimum(np.searchsorted(self.table, weights), len(self.table) - 1).astype(np.uint8)

    def bytes(self, count: int) -> int:
        """Bytes of so many codes."""
        return -(-count // self.per_byte)

    def packed(self, weights: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Codes one after the other, the first in the low bits of the first byte."""
        codes = self.codes(weights).ravel()
        codes = np.pad(codes, (0, -len(codes) % self.per_byte)).reshape(-1, self.per_byte)
        return self._joined(codes)

    def packed_vectors(self, weights: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Codes [rows, n] for vectors, each row padded to whole vectors: the low bits of 16 bytes are the codes of the
        first 16 weights, and so on."""
        rows = len(weights)
        turn = VECTOR * self.per_byte
        codes = np.pad(self.codes(weights), ((0, 0), (0, -weights.shape[1] % turn)))
        return self._joined(codes.reshape(rows, -1, self.per_byte, VECTOR).transpose(0, 1, 3, 2)).reshape(rows, -1)

    def _joined(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shifts = np.arange(self.per_byte, dtype=np.uint8) * self.width
        return np.bitwise_or.reduce(codes << shifts, axis=-1).astype(np.uint8)

    def looked_up(self, codes: str, table: str, index: str) -> str:
        """The C expression of a value, from arrays of `packed` codes and of the table."""
        shift = {1: 0, 2: 1, 4: 2}[self.width]
        mask = self.per_byte - 1
        place = f"((({index}) & {mask}){f' << {shift}' if shift else ''})"
        return f"{table}[({codes}[({index}) >> {3 - shift}] >> {place}) & {(1 << self.width) - 1}]"


def distinct(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """The values that occur, ascending."""
    if not values.size:
        return np.zeros(0, np.int64)
    lo, hi = int(values.min()), int(values.max())
    if hi - lo > 1 << 16:
        return np.unique(values).astype(np.int64)
    seen = np.zeros(hi - lo + 1, bool)
    seen[np.asarray(values).ravel().astype(np.int64) - lo] = True
    return np.flatnonzero(seen) + lo
