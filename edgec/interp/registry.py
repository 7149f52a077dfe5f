"""Which function evaluates which op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgec.ops import Op

Evaluator = Callable[..., Any]
EVALUATORS: dict[type[Op], Evaluator] = {}


def evaluates(cls: type[Op]) -> Callable[[Evaluator], Evaluator]:
    """Register `function(op, *operand_arrays) -> array` for an op class."""

    def register(function: Evaluator) -> Evaluator:
        EVALUATORS[cls] = function
        return function

    return register


def align(array: np.ndarray, rank: int) -> np.ndarray:
    """Insert axes behind the frame axis so that numpy broadcasting lines up ranks up to `rank`."""
    missing = rank + 1 - array.ndim
    return array.reshape(array.shape[:1] + (1,) * missing + array.shape[1:]) if missing > 0 else array


def along(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Per-channel `values` [1] or [C] shaped to broadcast along `axis` of an op of `rank`, frame axis in front."""
    shape = [1] * (rank + 1)
    shape[1 + axis % rank if rank else 0] = values.size
    return values.reshape(shape)


def frame_levels(codes: np.ndarray, op: Op) -> np.ndarray:
    """Centred levels of `codes` [F, ..., *shape] of `op`, int64."""
    fmt = op.format
    return fmt.levels(codes) - zero_points(op)


def zero_points(op: Op) -> np.ndarray:
    """Zero points of `op`'s format, shaped to broadcast against the trailing axes of its codes."""
    zero, axis = op.format.zero_point_array, op.format.axis
    if axis is None or zero.size == 1:
        return zero.reshape(1)
    return zero.reshape([zero.size if i == axis % len(op.shape) else 1 for i in range(len(op.shape))])
