"""The numbers that the loops for Cortex-M take, and the call that starts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.vector.dense import geometry
from edgec.backends.c.vector.place import corner, runs
from edgec.backends.c.view import View

STRUCT = """\
/* Rows of results and results in each, with the distances between them and between what they read; the window as rows
   of columns of runs of bytes, `size` in all and `room` in memory; output channels; zero point and clamp; the shift of
   all channels, where they have one. */
typedef struct {
  int32_t lines, places, x_row, x_step, y_row, y_step;
  int32_t rows, row_step, columns, column_step, run, size, room, outputs;
  int32_t zero, lo, hi, shift;
} @layer;
"""


def numbers(layer: ByteLayer, shifts: NDArray[np.int64]) -> NDArray[np.int32]:
    """What is known of every channel: bias and multiplier; the shift as a loop takes it, where channels have their own.

    [2 or 3, channels]."""
    table = [layer.bias, layer.shared, *([] if layer.common_shift else [shifts])]
    return np.stack(table).astype(np.int32)


def taps(layer: ByteLayer) -> tuple[int, int, int]:
    """(rows, columns, run) of a window; the taps of a depthwise one are single bytes of each channel."""
    (kh, kw), *_ = layer.window
    return (kh, kw, 1) if layer.depthwise else runs(layer)


def facts(layer: ByteLayer, x: View, y: View, size: tuple[int, int], shift: int) -> list[int]:
    """The members of the struct; `size` and room, and the `shift`, as the loops take them."""
    lines, places, x_row, x_step, y_row, y_step = geometry(layer, x, y)
    rows, columns, run = taps(layer)
    _, _, (dy, dx), _ = layer.window
    is_image = len(x.shape) == 4
    row_step = x.strides[2] * dy if is_image and rows > 1 else 0
    column_step = x.strides[3] * dx if is_image and columns > 1 else 0
    window = [rows, row_step, columns, column_step, run, *size, len(layer.weights)]
    return [lines, places, x_row, x_step, y_row, y_step, *window, layer.zero, int(layer.lo), int(layer.hi), shift]


def call(
    layer: ByteLayer, x: View, y: View, base: str, size: tuple[int, int], shift: int, name: str,
    arguments: Sequence[str], memory: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Statements that call the loops `name` for x at `base` and y at `y`: what lies between, and behind, are the
    constants and the `memory` that they take."""
    values = ", ".join(map(str, facts(layer, x, y, size, shift)))
    at = ", ".join([f"{base} + {corner(layer, x)}", *arguments, f"y + {y.offset}", *memory])
    return [f"static const @layer t = {{{values}}};", f"{name}({at}, &t);"]
