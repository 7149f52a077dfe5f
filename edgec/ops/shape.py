"""Ops that move values without computing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgec.formats import Affine, Format, TensorType, TupleType
from edgec.formats_compressed import Sparse
from edgec.ops.base import Op, broadcast, normalize_axis, require

RESIZE_COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "asymmetric", "align_corners")


def moved(fmt: Format, axis: int | None) -> Format:
    """`fmt` with its channel axis at `axis` (per-channel formats follow their channels)."""
    if isinstance(fmt, Affine) and fmt.channel_axis is not None:
        require(axis is not None, f"the channels of {fmt} do not survive")
        return Affine(fmt.base, fmt.scale, fmt.zero_point, axis)
    return fmt


def fill_code(fmt: Format, value: float) -> np.generic:
    """The code of the real `value`; raises when `fmt` cannot write it, or writes it differently from channel to
    channel."""
    if isinstance(fmt, Sparse):
        fmt = fmt.element
    if fmt.is_float:
        return fmt.dtype.type(value)
    require(fmt.encodes(value), f"{fmt} cannot write the padding value {value}")
    shape = [1] * (1 if fmt.axis is None else fmt.axis + 1 if fmt.axis >= 0 else -fmt.axis)
    shape[fmt.axis or 0] = len(fmt.scale_array)
    codes = fmt.encode(np.full(shape, value))
    require(bool(np.all(codes == codes.flat[0])), f"{fmt} writes {value} (a zero point) differently in each channel")
    return codes.ravel()[0]


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """The same elements in row-major order with another shape."""

    x: Op
    to: tuple[int, ...]

    def infer(self) -> TensorType:
        require(math.prod(self.to) == self.x.tensor.size, f"{list(self.x.shape)} reshaped to {list(self.to)}")
        axis = self.x.format.axis
        if axis is not None:
            axis = normalize_axis(axis, len(self.x.shape))
            head, n = math.prod(self.x.shape[:axis]), self.x.shape[axis]
            axis = next((i for i, d in enumerate(self.to) if math.prod(self.to[:i]) == head and d == n), None)
        return TensorType(moved(self.x.format, axis), self.to)


@dataclass(frozen=True, eq=False)
class Transpose(Op):
    """Axes permuted: result axis i is axis perm[i] of x."""

    x: Op
    perm: tuple[int, ...]

    def infer(self) -> TensorType:
        require(sorted(self.perm) == list(range(len(self.x.shape))), f"perm {list(self.perm)} of {list(self.x.shape)}")
        axis = self.x.format.axis
        if axis is not None:
            axis = self.perm.index(normalize_axis(axis, len(self.perm)))
        return TensorType(moved(self.x.format, axis), tuple(self.x.shape[p] for p in self.perm))


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Operands of one format joined along `axis`."""

    xs: tuple[Op, ...]
    axis: int

    def infer(self) -> TensorType:
        require(len(self.xs) > 0, "concat of nothing")
        first = self.xs[0].tensor
        axis = normalize_axis(self.axis, len(first.shape))
        for x in self.xs[1:]:
            require(x.format == first.format, f"operands of different formats: {first.format} and {x.format}")
            require(
                len(x.shape) == len(first.shape)
                and all(a == b for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis),
                f"shapes {list(first.shape)} and {list(x.shape)} differ off axis {axis}",
            )
        require(first.format.axis is None, "concat needs one scale per tensor")
        shape = list(first.shape)
        shape[axis] = sum(x.shape[axis] for x in self.xs)
        return TensorType(first.format, tuple(shape))


@dataclass(frozen=True, eq=False)
class Slice(Op):
    """x[start:stop:step] on every axis; starts and stops already clamped, negative steps allowed."""

    x: Op
    starts: tuple[int, ...]
    stops: tuple[int, ...]
    steps: tuple[int, ...]

    def slices(self) -> tuple[slice, ...]:
        """Python slices, one per axis."""
        return tuple(
            slice(a, None if s < 0 and b < 0 else b, s)
            for a, b, s in zip(self.starts, self.stops, self.steps, strict=True)
        )

    def infer(self) -> TensorType:
        rank = len(self.x.shape)
        require(len(self.starts) == len(self.stops) == len(self.steps) == rank, "one start, stop and step per axis")
        require(all(s != 0 for s in self.steps), "a step of 0")
        shape = tuple(len(range(*s.indices(n))) for s, n in zip(self.slices(), self.x.shape, strict=True))
        axis = self.x.format.axis
        whole = axis is None or (shape[axis] == self.x.shape[axis] and self.steps[axis] > 0)
        require(whole, "slicing along quantised channels")
        return TensorType(self.x.format, shape)


@dataclass(frozen=True, eq=False)
class Pad(Op):
    """Values added around x: `pads` are (begin..., end...), `mode` constant (the value zero unless `value`),
    reflect or edge. Negative pads crop."""

    x: Op
    pads: tuple[int, ...]
    mode: str = "constant"
    value: float = 0.0

    def infer(self) -> TensorType:
        rank = len(self.x.shape)
        require(len(self.pads) == 2 * rank, f"{len(self.pads)} pads for {rank} axes")
        require(self.mode in ("constant", "reflect", "edge"), f"unknown mode {self.mode!r}")
        shape = tuple(n + self.pads[i] + self.pads[i + rank] for i, n in enumerate(self.x.shape))
        require(all(n >= 0 for n in shape), "more is cropped than there is")
        fmt = self.x.format
        if self.mode == "constant" and any(p > 0 for p in self.pads) and not fmt.is_float:
            fill_code(fmt, self.value)
        if self.mode == "reflect":
            require(
                all(max(self.pads[i], self.pads[i + rank]) < max(n, 1) for i, n in enumerate(self.x.shape)),
                "reflection longer than the tensor",
            )
        return TensorType(fmt, shape)


@dataclass(frozen=True, eq=False)
class Gather(Op):
    """Elements of x along `axis` at constant `indices` (index -1 gives the value zero: a cell map with holes)."""

    x: Op
    indices: tuple[int, ...]
    axis: int = 0

    def infer(self) -> TensorType:
        axis = normalize_axis(self.axis, len(self.x.shape))
        n = self.x.shape[axis]
        require(all(-1 <= i < n for i in self.indices), f"an index outside -1..{n - 1}")
        fmt = self.x.format
        if -1 in self.indices:
            require(fmt.is_float or fmt.has_zero, f"{fmt} cannot write the zero of an empty place")
            fill_code(fmt, 0.0)
        require(fmt.axis is None or normalize_axis(fmt.axis, len(self.x.shape)) != axis, "gather of quantised channels")
        return TensorType(fmt, (*self.x.shape[:axis], len(self.indices), *self.x.shape[axis + 1 :]))


@dataclass(frozen=True, eq=False)
class Expand(Op):
    """x broadcast to a shape."""

    x: Op
    to: tuple[int, ...]

    def infer(self) -> TensorType:
        require(broadcast(self.x.shape, self.to) == self.to, f"{list(self.x.shape)} to {list(self.to)}")
        axis = self.x.format.axis
        if axis is not None:
            axis = normalize_axis(axis, len(self.x.shape)) + len(self.to) - len(self.x.shape)
        return TensorType(moved(self.x.format, axis), self.to)


@dataclass(frozen=True, eq=False)
class Split(Op):
    """x cut along `axis` into parts of `sizes`: an op with several results (see `Get`)."""

    x: Op
    sizes: tuple[int, ...]
    axis: int

    def infer(self) -> TupleType:
        axis = normalize_axis(self.axis, len(self.x.shape))
        require(sum(self.sizes) == self.x.shape[axis], f"parts {list(self.sizes)} of {self.x.shape[axis]}")
        require(all(n >= 0 for n in self.sizes), "a negative part")
        require(self.x.format.axis is None, "split needs one scale per tensor")
        shapes = [(*self.x.shape[:axis], n, *self.x.shape[axis + 1 :]) for n in self.sizes]
        return TupleType(tuple(TensorType(self.x.format, s) for s in shapes))


@dataclass(frozen=True, eq=False)
class Resize(Op):
    """Spatial resampling of [N, C, *S] to `sizes`.

    `mode` nearest, linear or cubic; `coordinates` half_pixel, half_pixel_symmetric, pytorch_half_pixel, asymmetric or
    align_corners; `nearest` floor, ceil, round_prefer_floor or round_prefer_ceil; `scales` are the ONNX scale factors.
    Outside the tensor the edge is repeated; cubic with `exclude_outside` leaves those taps out and divides by the sum
    of the others. `cubic_a` is the coefficient of the cubic kernel.
    """

    x: Op
    sizes: tuple[int, ...]
    scales: tuple[float, ...]
    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_a: float = -0.75
    exclude_outside: bool = False

    def infer(self) -> TensorType:
        require(len(self.x.shape) >= 3, "resizing needs [N, C, spatial...]")
        require(len(self.sizes) == len(self.scales) == len(self.x.shape) - 2, "one size and scale per spatial axis")
        require(self.mode in ("nearest", "linear", "cubic"), f"unknown mode {self.mode!r}")
        require(self.coordinates in RESIZE_COORDINATES, f"unknown coordinates {self.coordinates!r}")
        require(
            self.nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
            f"unknown rounding {self.nearest!r}",
        )
        require(self.mode == "nearest" or self.x.format.is_float, f"{self.mode} interpolation needs floats")
        require(all(n >= 1 for n in self.sizes), "an empty result")
        return TensorType(self.x.format, (*self.x.shape[:2], *self.sizes))
