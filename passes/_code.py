"""From float weights of the chosen layers to codes of a compressed format: the part that its passes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgec.formats import Affine, Format, Integer
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.graph import Graph
from edgec.ops import Constant, Op
from edgec.passes._calibrate import calibration_frames
from edgec.passes._compensate import Compensate, compensated, corrected_bias, factor, input_moments
from edgec.passes._compress import Layer, New, Scale, dequantized, record, stored, unpruned
from edgec.passes._patterns import quantized_constant
from edgec.pipeline import Context

COMPRESSED = (Binary, Pow2, Ternary)
CALIBRATION = 256
"""Frames that the statistics of the inputs are taken from, at most."""


def held(op: Layer) -> Format | None:
    """The format under the scale of weights that are codes already."""
    codes = quantized_constant(op.w)
    return None if codes is None else codes.format.base if isinstance(codes.format, Affine) else codes.format


@dataclass(frozen=True)
class Coder:
    """How the weights of one layer become levels of `base`: `levels(values [O, n], rows)` -> [O, n].

    `scales` [O] or [1] is what a level stands for, as it is stored.
    """

    base: Format
    scales: np.ndarray
    levels: Callable[[np.ndarray, slice], np.ndarray]

    @property
    def per_channel(self) -> bool:
        return self.scales.size > 1

    def format(self, ratio: np.ndarray | None = None, kind: Scale = "float") -> Affine:
        """`base` with its scales, times `ratio` where the scale is no power of two."""
        scales = self.scales if ratio is None or kind == "pow2" else stored(self.scales * ratio, kind)
        return Affine(self.base, tuple(scales.tolist()), (0,), 0 if self.per_channel else None)

    def values(self, values: np.ndarray, rows: slice) -> np.ndarray:
        scales = self.scales[rows] if self.per_channel else self.scales
        return self.levels(values, rows) * scales[:, None]


def by_scale(base: Format, scales: np.ndarray) -> Coder:
    """The coder that takes the nearest level of value / scale (of integers the even one of two)."""

    def levels(values: np.ndarray, rows: slice) -> np.ndarray:
        chosen = scales[rows] if scales.size > 1 else scales
        scaled = values / chosen[:, None]
        return base.clip_levels(np.rint(scaled) if isinstance(base, Integer) else scaled, "saturate")

    return Coder(base, scales, levels)


def encoded(
    graph: Graph,
    context: Context,
    name: str,
    layers: list[Layer],
    coder_of: Callable[[Layer, Constant], Coder],
    *,
    scale: Scale,
    compensate: Compensate,
) -> dict[Op, New]:
    """New parameters of `layers`, and a row of the report for each; layers that are quantised already stay.

    `compensate`: `none` codes every weight by itself, `bias` corrects the mean of the outputs, `full` also lets the
    weights that follow make up for those before (`_compensate.py`); both run the calibration frames.
    """
    weights = {op: w for op in layers if (w := unpruned(op, name)) is not None}
    given = [op.label for op in layers if op not in weights and not isinstance(held(op), COMPRESSED)]
    if given:
        what = f"{name} leaves {len(given)} layers in the formats that the model gives them"
        context.warn("N0002", what, why=", ".join(given))
    coders = {op: coder_of(op, w) for op, w in weights.items()}  # refuses before anything is computed
    moments = {}
    if compensate != "none" and weights:
        frames = calibration_frames(graph, context, "normal", 4)
        moments = input_moments(graph, list(weights), {n: a[:CALIBRATION] for n, a in frames.items()})
    new: dict[Op, New] = {}
    for op, w in weights.items():
        coder, rows = coders[op], w.values.reshape(w.shape[0], -1)
        everything = slice(0, len(rows))
        ratio = bias = None
        if compensate == "full":
            alive = (rows != 0) | (not coder.base.has_zero)  # what was pruned stays zero

            def quantise(
                values: np.ndarray, columns: np.ndarray, part: slice, use: Coder = coder, live: np.ndarray = alive
            ) -> np.ndarray:
                return use.values(values, part) * live[part][:, columns]

            made = compensated(rows, moments[op], quantise)
            ratio = factor(rows, made, moments[op], coder.per_channel)
        else:
            made = coder.values(rows, everything)
        scales = coder.scales if coder.per_channel else coder.scales[:1]
        levels = np.rint(made / scales[:, None]).astype(np.int64)
        fmt = coder.format(ratio, scale)
        codes = fmt.codes_of_levels(levels).reshape(w.shape)
        values = fmt.decode(codes)
        if compensate != "none":
            bias = corrected_bias(op, rows, values.reshape(rows.shape), moments[op])
        record(context, op, fmt, w.values, values)
        new[op] = New(dequantized(codes, fmt, w), bias)
    return new
