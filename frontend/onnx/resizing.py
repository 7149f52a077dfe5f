"""Resize and Upsample.

What the IR's `Resize` says becomes one op. The rest (antialiasing, crops, axes that are not spatial) is the same
linear map along one axis after the other: a gather for nearest, a constant matrix for linear and cubic.
"""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.onnx.fold import moved
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.registry import imports
from edgec.frontend.onnx.types import constant_op
from edgec.interp.resample import nearest_indices, positions, taps
from edgec.ops import Dense, Gather, Op, Resize, Transpose, Where
from edgec.ops.shape import RESIZE_COORDINATES

CROP = "tf_crop_and_resize"
_NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


@imports("Upsample")
def upsample(node: Node) -> Op:
    """The old form: scales only, corners at the origin, nearest rounds down."""
    mode = node.string("mode", "nearest", ("nearest", "linear"))
    scales = node.floats("scales") if node.opset < 9 else tuple(node.known(1, "scales").ravel().tolist())
    return _Resizing(node, mode, "asymmetric", "floor").by_scales(scales or ())


@imports("Resize")
def resize(node: Node) -> Op:
    mode = node.string("mode", "nearest", ("nearest", "linear", "cubic") if node.opset >= 11 else ("nearest", "linear"))
    if node.opset < 11:
        return _Resizing(node, mode, "asymmetric", "floor").by_scales(
            tuple(node.known(1, "scales").ravel().astype(np.float64).tolist())
        )
    coordinates = node.string("coordinate_transformation_mode", "half_pixel", (*RESIZE_COORDINATES, CROP))
    plan = _Resizing(node, mode, coordinates, node.string("nearest_mode", "round_prefer_floor", _NEAREST))
    plan.cubic_a = node.number("cubic_coeff_a", -0.75)
    plan.exclude_outside = node.flag("exclude_outside") and mode != "nearest"
    plan.extrapolation = node.number("extrapolation_value", 0.0)
    policy = "stretch"
    if node.opset >= 18:
        plan.antialias = node.flag("antialias") and mode != "nearest"
        policy = node.string("keep_aspect_ratio_policy", "stretch", ("stretch", "not_larger", "not_smaller"))
    rank = len(plan.x.shape)
    axes = node.axes(node.ints("axes") or tuple(range(rank)), rank)
    if coordinates == CROP:
        roi = node.known(1, "region of interest").ravel().astype(np.float64)
        if roi.size != 2 * len(axes):
            node.malformed(f"a region of {roi.size} numbers for {len(axes)} axes")
        plan.region = {a: (float(roi[i]), float(roi[i + len(axes)])) for i, a in enumerate(axes)}
    scales = node.known(2, "scales").ravel().astype(np.float64).tolist() if node.has(2) else []
    sizes = node.known_ints(3, "sizes") if node.has(3) else ()
    if bool(scales) == bool(sizes) or len(scales or sizes) != len(axes):
        node.malformed("needs scales or sizes, one for each axis")
    if scales:
        return plan.by_scales(tuple(scales[axes.index(i)] if i in axes else 1.0 for i in range(rank)))
    if policy != "stretch":
        ratios = [m / plan.x.shape[a] for m, a in zip(sizes, axes, strict=True) if plan.x.shape[a]]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        sizes = tuple(math.floor(ratio * plan.x.shape[a] + 0.5) for a in axes)
        wanted = tuple(sizes[axes.index(i)] if i in axes else n for i, n in enumerate(plan.x.shape))
        return plan.built(wanted, tuple(ratio if i in axes else 1.0 for i in range(rank)))
    return plan.by_sizes(tuple(sizes[axes.index(i)] if i in axes else n for i, n in enumerate(plan.x.shape)))


class _Resizing:
    """One resize while its attributes are collected."""

    def __init__(self, node: Node, mode: str, coordinates: str, nearest: str) -> None:
        self.node, self.mode, self.coordinates, self.nearest = node, mode, coordinates, nearest
        self.x = node.op(0) if mode == "nearest" else node.floating(0)
        self.cubic_a, self.extrapolation = -0.75, 0.0
        self.exclude_outside = self.antialias = False
        self.region: dict[int, tuple[float, float]] = {}

    def by_scales(self, scales: tuple[float, ...]) -> Op:
        node, shape = self.node, self.x.shape
        if len(scales) != len(shape) or any(not math.isfinite(s) or s <= 0 for s in scales):
            node.malformed(f"scales {list(scales)} of {list(shape)}")
        exact = [float(np.float32(n) * np.float32(s)) for n, s in zip(shape, scales, strict=True)]
        if self.region:
            exact = [
                v * (self.region[i][1] - self.region[i][0]) if i in self.region else v for i, v in enumerate(exact)
            ]
        if self.coordinates == "align_corners" and any(abs(v - round(v)) > 1e-4 for v in exact):
            node.unsupported(
                f"scales {list(scales)} of {list(shape)} with align_corners",
                why="the standard and onnxruntime place the corners differently where sizes are not whole",
                remedy="state sizes instead of scales",
            )
        return self.built(tuple(math.floor(v) for v in exact), scales)

    def by_sizes(self, sizes: tuple[int, ...]) -> Op:
        if min(self.x.shape, default=0) < 1:
            self.node.malformed("resizing nothing")
        return self.built(sizes, tuple(m / n for m, n in zip(sizes, self.x.shape, strict=True)))

    def built(self, sizes: tuple[int, ...], scales: tuple[float, ...]) -> Op:
        """The op, or a chain along the axes that change."""
        node, x = self.node, self.x
        node.limit(*sizes)
        if min(x.shape, default=0) < 1 or min(sizes, default=0) < 1:
            node.malformed("resizing nothing")
        spatial = len(x.shape) >= 3 and sizes[:2] == x.shape[:2] and scales[:2] == (1.0, 1.0)
        if spatial and not self.antialias and self.coordinates != CROP:
            cubic = {"cubic_a": self.cubic_a, "exclude_outside": self.exclude_outside} if self.mode == "cubic" else {}
            return Resize(x, sizes[2:], scales[2:], self.mode, self.coordinates, self.nearest, **cubic, loc=node.loc)  # type: ignore[arg-type]
        outside = np.zeros((1,) * len(sizes), np.bool_)
        for axis, (m, scale) in enumerate(zip(sizes, scales, strict=True)):
            n = x.shape[axis]
            place = self._positions(axis, n, m, scale)
            if self.coordinates == CROP:
                beyond = (place < 0) | (place > n - 1)
                outside = outside | beyond.reshape([-1 if i == axis else 1 for i in range(len(sizes))])
            if m != n or scale != 1.0 or not np.array_equal(place, np.arange(n)):
                x = self._along(x, axis, place, scale)
        if not outside.any():
            return x
        value = constant_op(np.array(self.extrapolation).astype(x.format.dtype), node.loc, x.format)
        return Where(constant_op(outside, node.loc), value, x, loc=node.loc)

    def _positions(self, axis: int, n: int, m: int, scale: float) -> np.ndarray:
        if self.coordinates != CROP:
            return positions(self.coordinates, n, m, scale)
        start, end = self.region.get(axis, (0.0, 1.0))
        if m == 1:
            return np.array([0.5 * (start + end) * (n - 1)])
        return start * (n - 1) + np.arange(m) * (end - start) * (n - 1) / (m - 1)

    def _along(self, x: Op, axis: int, place: np.ndarray, scale: float) -> Op:
        """x resampled along one axis at `place`."""
        node, n = self.node, x.shape[axis]
        if self.mode == "nearest":
            return moved(Gather(x, tuple(nearest_indices(place, self.nearest, n).tolist()), axis, loc=node.loc))
        index, weight = taps(
            self.mode,
            place,
            n,
            cubic_a=self.cubic_a,
            exclude_outside=self.exclude_outside,
            shrink=scale if self.antialias else 1.0,
        )
        node.limit(len(place), n, what="the matrix of weights")
        matrix = np.zeros((len(place), n))
        np.add.at(matrix, (np.arange(len(place))[:, None], index), weight)
        order = (*(i for i in range(len(x.shape)) if i != axis), axis)
        back = tuple(int(i) for i in np.argsort(order))
        w = constant_op(matrix.astype(x.format.dtype), node.loc)
        if axis == len(order) - 1:
            return Dense(x, w, loc=node.loc)
        return Transpose(Dense(Transpose(x, order, loc=node.loc), w, loc=node.loc), back, loc=node.loc)
