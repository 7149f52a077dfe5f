"""A step as vector code sees it: one convolution or dense layer with constant weights, a bias and a clamp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from numpy.typing import NDArray

from edgec.backends.c.lowbit.codebook import Codebook
from edgec.ops import Conv, Dense


@dataclass(frozen=True, eq=False)
class Layer:
    """`weights` [O, kH, kW, C / groups], `bias` [O]; results are clamped to lo..hi. `pad` is the code that stands for
    zero around x. `codes`: how the weights are stored, where not as they are."""

    LANES: ClassVar[int]
    """Elements of a vector of x."""

    op: Conv | Dense
    weights: NDArray
    bias: NDArray
    lo: float
    hi: float
    pad: int
    codes: Codebook | None = field(default=None, kw_only=True)

    @property
    def clamp(self) -> str:
        """What a clamp does beyond what the type of the results does by itself; empty for nothing."""
        raise NotImplementedError

    @property
    def depthwise(self) -> bool:
        return isinstance(self.op, Conv) and self.op.groups > 1

    @property
    def window(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
        """Kernel, strides, dilations, pads (top, left, bottom, right)."""
        if isinstance(self.op, Dense):
            return (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)
        o = self.op
        kernel = (int(o.w.shape[2]), int(o.w.shape[3]))
        top, left, bottom, right = o.pads
        return kernel, _two(o.strides), _two(o.dilations), (top, left, bottom, right)


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def fits(op: Conv | Dense) -> bool:
    """Whether the loops of vector code can do an op: an image or a row, whose sums are not rounded on the way."""
    if op.product is not None or op.acc is not None or op.out is not None:
        return False
    if isinstance(op, Dense):
        return op.tensor.size == op.w.shape[0]
    if len(op.x.shape) != 4 or op.x.shape[0] != 1:
        return False
    return op.groups == 1 or op.groups == op.x.shape[1] == op.w.shape[0]
