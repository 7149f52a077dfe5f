"""A step as vector code sees it: one convolution or dense layer with constant weights, a bias and a clamp."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.lowbit.codebook import Codebook
from edgec.backends.c.vector.order import Order
from edgec.backends.c.view import View, reshaped
from edgec.ops import Conv, Dense


@dataclass(frozen=True, eq=False)
class Layer:
    """`weights` [O, kH, kW, C / groups], `bias` [O]; results are clamped to lo..hi. `pad` is the code that stands for
    zero around x. `codes`: how the weights are stored, where not as they are; `winograd`: how Winograd's method does
    it, where it does."""

    LANES: ClassVar[int]
    """Elements of a vector of x."""

    op: Conv | Dense
    weights: NDArray
    bias: NDArray
    lo: float
    hi: float
    pad: int
    codes: Codebook | None = field(default=None, kw_only=True)
    winograd: Order | None = field(default=None, kw_only=True)

    @property
    def clamp(self) -> str:
        """What a clamp does beyond what the type of the results does by itself; empty for nothing."""
        raise NotImplementedError

    @property
    def depthwise(self) -> bool:
        """Whether every channel of x makes one of the results."""
        return self.groups > 1 and self.weights.shape[3] == 1 and self.groups == len(self.weights)

    @property
    def groups(self) -> int:
        return self.op.groups if isinstance(self.op, Conv) else 1

    @property
    def window(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
        """Kernel, strides, dilations, pads (top, left, bottom, right)."""
        if isinstance(self.op, Dense):
            return (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)
        o = self.op
        if len(o.w.shape) == 3:  # a row is an image
            left, right = o.pads
            return (1, int(o.w.shape[2])), (1, o.strides[0]), (1, o.dilations[0]), (0, left, 0, right)
        kernel = (int(o.w.shape[2]), int(o.w.shape[3]))
        top, left, bottom, right = o.pads
        return kernel, _two(o.strides), _two(o.dilations), (top, left, bottom, right)

    def image_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of an operand of `shape` as an image."""
        if isinstance(self.op, Dense):
            return 1, math.prod(shape[:-1])
        return (shape[2], shape[3]) if len(shape) == 4 else (1, shape[2])

    @property
    def halo(self) -> tuple[int, int, int, int]:
        """The padding that the loops want around x in memory: top, left, bottom, right."""
        return self.window[3]

    def image(self, view: View) -> View | None:
        """The operand or the result as [1, C, H, W]: the rows of a dense layer lie side by side. None where no strides
        say so."""
        if isinstance(self.op, Conv):
            return view if len(view.shape) == 4 else View(view.buffer, *_image(view.shape, view.strides), view.offset)
        *rows, channels = view.shape
        count = math.prod(rows)
        step = reshaped(tuple(rows), view.strides[:-1], (count,))
        if step is None:
            return None
        return View(view.buffer, (1, channels, 1, count), (0, view.strides[-1], 0, *step), view.offset)


def weights_of(op: Conv | Dense, values: NDArray) -> NDArray:
    """The weights of an op as [O, kH, kW, C / groups]."""
    if isinstance(op, Dense):
        return values[:, None, None, :]
    last = np.moveaxis(values, 1, -1)
    return last if last.ndim == 4 else last[:, None]


def _image(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and strides of a row as an image of one row."""
    return (*shape[:2], 1, shape[2]), (*strides[:2], 0, strides[2])


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def fits(op: Conv | Dense, *, grouped: bool = False) -> bool:
    """Whether the loops of vector code can do an op: an image or rows, whose sums are not rounded on the way.
    `grouped`: channels may come in groups of several, too."""
    if op.product is not None or op.acc is not None or op.out is not None:
        return False
    if isinstance(op, Dense):
        return True
    if len(op.x.shape) not in (3, 4) or op.x.shape[0] != 1:
        return False
    return grouped or op.groups == 1 or op.groups == op.x.shape[1] == op.w.shape[0]
