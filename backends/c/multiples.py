"""Floats that are multiples of one number by bytes: weights of 8 bits that a model keeps for layers of binary32.

They are found by their values, because the pass that computes constants leaves no `dequantize` behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 127
SOME = 4096
"""Values that usually tell at once that there are no codes."""
NEAR = 2
"""Neighbours of a quotient, on both sides, that are tried as the unit: it was rounded."""


@dataclass(frozen=True, eq=False)
class Multiples:
    """`codes` int8 of the shape of the values, each of which is its code times `unit`, rounded to binary32."""

    codes: NDArray[np.int8]
    unit: np.float32


def multiples(values: NDArray) -> Multiples | None:
    """The codes of binary32 `values`, None where there are none."""
    if values.dtype != np.float32 or not values.size or not np.isfinite(values).all():
        return None
    if len(np.unique(values.ravel()[:SOME])) > 2 * MOST + 1:
        return None
    different, places = np.unique(values, return_inverse=True)
    most = np.abs(different).max()
    if len(different) > 2 * MOST + 1 or most < np.finfo(np.float32).tiny * MOST * 2:
        return None
    largest = np.arange(MOST, 0, -1, dtype=np.float32)
    units = most / largest
    near = [units]
    for away in (np.float32(0), np.float32(np.inf)):
        unit = units
        for _ in range(NEAR):
            unit = np.nextafter(unit, away)
            near.append(unit)
    tried = np.stack(near, axis=1).reshape(-1, 1)
    codes = np.rint(different / tried)
    right = ((codes * tried == different) & (np.abs(codes) <= MOST)).all(axis=1)
    if not right.any():
        return None
    k = int(right.argmax())
    return Multiples(codes[k].astype(np.int8)[places].reshape(values.shape), tried[k, 0])
