"""Element types of PyTorch: their numbers in an archive, and numpy's names for them."""

from __future__ import annotations

import numpy as np

from edgec.formats import Format
from edgec.frontend.onnx.types import dtype_format

DTYPES: dict[int, np.dtype] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.int8),
    3: np.dtype(np.int16),
    4: np.dtype(np.int32),
    5: np.dtype(np.int64),
    6: np.dtype(np.float16),
    7: np.dtype(np.float32),
    8: np.dtype(np.float64),
    12: np.dtype(np.bool_),
    28: np.dtype(np.uint16),
    34: np.dtype(np.uint32),
}
"""Number of an element type in the archive's schema -> numpy type."""

_OTHERS = {9: "complex32", 10: "complex64", 11: "complex128", 13: "bfloat16", 35: "uint64"}


def dtype_name(number: int) -> str:
    """PyTorch's name of an element type, for messages."""
    if number in DTYPES:
        return DTYPES[number].name
    return _OTHERS.get(number, f"number {number}" if not 29 <= number <= 33 else "float8")


def format_of(number: int) -> Format | None:
    """The number format of an element type, None when there is none."""
    return dtype_format(DTYPES[number]) if number in DTYPES else None
