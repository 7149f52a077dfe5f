"""Weights to their signs times a scale, and on request activations to two values: products become XNORs.

The scale of the weights is mean|W| of an output channel (or of the tensor), the least-squares factor for signs
(XNOR-Net, arXiv 1603.05279). It goes into the requantisation behind the sum.

`activations=binary` quantises what the selected layers read to two levels as well: x is written as beta + alpha * b
with b = +1 from beta on and -1 below. alpha and beta are the two-level quantiser with the least squared error on the
calibration frames (Lloyd and Max). beta * sum(W) joins the bias; alpha is a scale. Behind `integerize` the batch norm,
the activation function and the comparison with beta are one threshold a channel, counted downwards where the norm's
factor is negative.

There is no zero: a layer with weights that are zero (a pruned one) is refused, and so is a convolution that pads
binary activations. Padding of integer activations stays possible, the padded element is an activation of 0.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgec.formats import Affine, Quantizer
from edgec.formats_compressed import Binary
from edgec.graph import Graph
from edgec.ops import (
    Constant,
    Conv,
    Dense,
    Dequantize,
    Gather,
    Input,
    MaxPool,
    Op,
    Quantize,
    Relu,
    Reshape,
    Slice,
    Sub,
    Transpose,
    constant,
)
from edgec.passes._calibrate import Synthetic, calibration_frames, collect
from edgec.passes._code import Coder, by_scale, encoded
from edgec.passes._compensate import Compensate
from edgec.passes._compress import (
    Layer,
    New,
    Scale,
    Zeros,
    in_order,
    refuse_padding,
    refuse_zeros,
    replaced,
    rows_of,
    select,
    stored,
)
from edgec.passes._patterns import float_constant
from edgec.pipeline import Context

MOVES = (Reshape, Transpose, Slice, Gather, MaxPool)
"""Ops on one operand that commute with taking one of two values; the quantiser goes in front of them."""


def apply(
    graph: Graph,
    context: Context,
    *,
    layers: str = "*",
    skip: str = "",
    keep_first: bool | None = None,
    keep_last: bool | None = None,
    per_channel: bool = True,
    scale: Scale = "float",
    zeros: Zeros = "refuse",
    activations: Literal["keep", "binary"] = "keep",
    synthetic: Synthetic = "normal",
    frames: int = 4,
    compensate: Compensate = "none",
) -> Graph:
    """`graph` with float weights of the selected layers as `binary`.

    `layers`, `skip`, `keep_first`, `keep_last`, `scale`, `zeros`, `compensate` as in `pow2`. `activations=binary`: what
    these layers read as well, except graph inputs; `synthetic` and `frames` are the noise it is fitted to without
    calibration data. Raises E0204, and E0313 for zeros and for padding of binary activations.
    """
    base = Binary()

    def coder(op: Layer, w: Constant) -> Coder:
        refuse_zeros(context, op, w, str(base), zeros)
        return by_scale(base, stored(np.abs(rows_of(w, per_channel)).mean(axis=1), scale))

    chosen = select(graph, "binary", layers, skip, keep_first, keep_last)
    new = encoded(graph, context, "binary", chosen, coder, scale=scale, compensate=compensate)
    if activations == "binary":
        new |= with_binary_inputs(graph, context, new, synthetic, frames)
    result = replaced(graph, new)
    in_order(context, result)
    return result


def with_binary_inputs(
    graph: Graph, context: Context, new: dict[Op, New], synthetic: Synthetic, frames: int
) -> dict[Op, New]:
    """The same new layers, reading binary activations where what they read is computed."""
    sources: dict[Layer, Op] = {}
    for op in new:
        assert isinstance(op, Conv | Dense)
        source = behind_moves(op.x)
        bias_known = op.b is None or float_constant(op.b) is not None
        if isinstance(source, Input | Constant | Dequantize) or not bias_known:
            continue
        refuse_padding(op, "binary")
        sources[op] = source
    stimuli = calibration_frames(graph, context, synthetic, frames)
    seen = collect(graph, dict.fromkeys(sources.values()), stimuli, sample=True, seed=context.seed)
    pairs: dict[Op, tuple[Dequantize, float]] = {}
    made: dict[Op, New] = {}
    for op, source in sources.items():
        if source not in pairs:
            beta, alpha = two_levels(seen[source].sample)
            pairs[source] = (binarized(source, beta, alpha), beta)
        made[op] = reading(op, new[op], source, *pairs[source])
    return made


def behind_moves(x: Op) -> Op:
    """What `x` is a rearrangement of."""
    while isinstance(x, MOVES) and not (isinstance(x, Gather) and bool((x.indices.data < 0).any())):  # type: ignore[attr-defined]
        x = x.operands[0]
    return x


def two_levels(sample: np.ndarray) -> tuple[float, float]:
    """(middle, half distance) of the two values that write `sample` with the least squared error, as float32."""
    ordered = np.sort(sample.astype(np.float64))
    count = np.arange(1, ordered.size)
    if ordered.size < 2 or ordered[0] == ordered[-1]:
        value = float(ordered[0]) if ordered.size else 0.0
        half = float(np.float32(max(abs(value), 1e-3)))
        return float(np.float32(value - half)), half
    below = np.cumsum(ordered)[:-1]
    low, high = below / count, (ordered.sum() - below) / (ordered.size - count)
    gain = np.square(low) * count + np.square(high) * (ordered.size - count)
    best = int(gain.argmax())
    low_value, high_value = float(low[best]), float(high[best])
    middle, half = (low_value + high_value) / 2, max((high_value - low_value) / 2, 1e-6)
    return float(np.float32(middle)), float(np.float32(half))


def binarized(source: Op, beta: float, alpha: float) -> Dequantize:
    """alpha * sign(source - beta), through codes; a ReLU below a positive threshold changes nothing and goes."""
    bare = source.x if isinstance(source, Relu) and beta > 0 else source
    moved = Sub(bare, constant(np.full((1,) * len(source.shape), beta), source.format), loc=source.loc)
    fmt = Affine(Binary(), (alpha,))
    return Dequantize(Quantize(moved, Quantizer(fmt), loc=source.loc), source.format, loc=source.loc)


def reading(op: Layer, new: New, source: Op, pair: Dequantize, beta: float) -> New:
    """`new` with its input through `pair`, and what was left out, beta * sum(W), in the bias."""
    chain = []
    x = op.x
    while x is not source:
        chain.append(x)
        x = x.operands[0]
    moved: Op = pair
    for move in reversed(chain):
        moved = move.with_operands([moved, *move.operands[1:]])
    codes = new.w.operands[0]
    assert isinstance(codes, Constant)
    sums = codes.values.reshape(codes.shape[0], -1).sum(axis=1)
    old = float_constant(new.b or op.b)
    bias = beta * sums + (0.0 if old is None else old.values)
    loc = op.b.loc if op.b is not None else ()
    return New(new.w, constant(bias, op.w.format, loc=loc), moved)
