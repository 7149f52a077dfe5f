"""What quantisation costs, layer by layer: signal to noise against the float graph, and top-1 accuracy.

Layers are matched by the last of their source names, so the float graph may be the imported one and the other any
later stage, float with quantisers or all integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Format, TensorType
from edgec.frames import encode_frames
from edgec.graph import Graph
from edgec.interp import evaluate, run
from edgec.interp.registry import along, frame_levels
from edgec.layers import MOVES
from edgec.ops import Constant, Dequantize, Input, Op
from edgec.pipeline import Context

NO_NOISE = 200.0
"""Signal to noise ratio in dB that stands for no noise at all."""
LOW_SQNR = 20.0
"""A layer that on its own falls below this many dB is warned of."""
CHUNK_BYTES = 1 << 28


@dataclass(frozen=True)
class LayerAccuracy:
    """One quantised tensor against the float graph, over all frames.

    `sqnr` [dB]: everything before is quantised too. `sqnr_alone` [dB]: the layer gets the float graph's inputs, only
    its own weights and its result are quantised. `max_error`: largest absolute error (accumulated). `saturation`:
    share of the float values that the format cannot reach. `worst`: this layer alone loses most.
    """

    layer: str
    op: str
    format: str
    sqnr: float
    sqnr_alone: float
    max_error: float
    saturation: float
    worst: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "op": self.op,
            "format": self.format,
            "sqnr_db": round(self.sqnr, 2),
            "sqnr_alone_db": round(self.sqnr_alone, 2),
            "max_error": self.max_error,
            "saturation": self.saturation,
            "worst": self.worst,
        }


@dataclass(frozen=True)
class TopOne:
    """Shares of frames: right by the float graph, right by the quantised one, and both of one opinion."""

    reference: float
    quantized: float
    agreement: float
    frames: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "quantized": self.quantized,
            "agreement": self.agreement,
            "frames": self.frames,
        }


class _Sums:
    """Running sums of one row."""

    def __init__(self) -> None:
        self.signal = self.noise = self.alone = self.largest = 0.0
        self.outside = self.count = 0

    def add(self, reference: np.ndarray, got: np.ndarray, alone: np.ndarray, fmt: Format) -> None:
        error = got - reference
        self.signal += float(np.vdot(reference, reference))
        self.noise += float(np.vdot(error, error))
        self.largest = max(self.largest, float(np.abs(error).max(initial=0)))
        error = alone - reference
        self.alone += float(np.vdot(error, error))
        if fmt.axis is None:
            scale, zero = float(fmt.scale_array[0]), int(fmt.zero_point_array[0])
            lo, hi = fmt.level_range
            low, high = (lo - 0.5 - zero) * scale, (hi + 0.5 - zero) * scale
            self.outside += int(np.count_nonzero((reference < low) | (reference > high)))
        self.count += reference.size


def layer_table(
    float_graph: Graph,
    quant_graph: Graph,
    frames: Mapping[str, np.ndarray],
    *,
    context: Context | None = None,
    low_sqnr: float = LOW_SQNR,
) -> list[LayerAccuracy]:
    """A row per quantised tensor, in order; `frames` holds real values [frames, *shape] per input name.

    The row that loses most on its own is marked `worst`; below `low_sqnr` dB it is also left in `context` as the
    warning W0004. Raises E0210 for frames that do not fit the graphs.
    """
    pairs = matched(float_graph, quant_graph)
    sums = {op: _Sums() for op in pairs}
    inputs, codes = encode_frames(float_graph, frames), encode_frames(quant_graph, frames)
    total = min((a.shape[0] for a in inputs.values()), default=0)
    if total == 0:
        raise EdgecError("E0210", "the accuracy table needs at least one frame")
    elements = sum(op.tensor.size for op in pairs) + max((op.tensor.size for op in pairs), default=1)
    step = max(1, CHUNK_BYTES // (8 * elements))
    wanted = set(pairs.values())
    for start in range(0, total, step):
        reference: dict[Op, np.ndarray] = {}

        def keep(op: Op, array: np.ndarray, into: dict[Op, np.ndarray] = reference) -> None:
            if op in wanted:
                into[op] = _real(op, array)

        chunk = {n: a[start : start + step] for n, a in inputs.items()}
        for op in wanted.intersection(float_graph.inputs):
            keep(op, chunk[op.name])  # type: ignore[attr-defined]
        run(float_graph, chunk, observe=keep, max_bytes=1 << 62)
        _both(quant_graph, {n: a[start : start + step] for n, a in codes.items()}, pairs, reference, sums)
    rows = [_row(op, sums[op]) for op in pairs]
    if rows:
        at = min(range(len(rows)), key=lambda i: rows[i].sqnr_alone)
        rows[at] = LayerAccuracy(**{**rows[at].__dict__, "worst": True})
        if context is not None and rows[at].sqnr_alone < low_sqnr:
            context.warn(
                "W0004",
                f"quantisation leaves {rows[at].sqnr_alone:.1f} dB of signal to noise in one layer",
                layer=rows[at].layer,
                op=rows[at].op,
                why=f"{rows[at].format}, {rows[at].saturation:.2%} of the values saturate",
                remedy="more bits for this layer, other calibration data, or method=mse",
            )
    return rows


def top_one(
    float_graph: Graph, quant_graph: Graph, frames: Mapping[str, np.ndarray], labels: Sequence[int] | np.ndarray
) -> TopOne:
    """Accuracy of the first output's largest element against `labels` [frames]; E0210 when the counts differ."""
    first, second = (_decisions(g, frames) for g in (float_graph, quant_graph))
    truth = np.asarray(labels).reshape(-1)
    if truth.size != first.size or not truth.size:
        raise EdgecError("E0210", f"{truth.size} labels for {first.size} frames")
    means = [float(np.mean(a == b)) for a, b in ((first, truth), (second, truth), (first, second))]
    return TopOne(*means, frames=int(truth.size))


def _decisions(graph: Graph, frames: Mapping[str, np.ndarray]) -> np.ndarray:
    name, op = graph.outputs[0]
    flat = _real(op, run(graph, encode_frames(graph, frames))[name])
    flat = flat.reshape(flat.shape[0], -1)
    return flat.argmax(axis=1) if flat.shape[1] > 1 else np.rint(flat[:, 0]).astype(np.int64)


def matched(float_graph: Graph, quant_graph: Graph) -> dict[Op, Op]:
    """Quantised tensors of `quant_graph` in order -> the float tensors that they stand for."""
    references: dict[str, Op] = {}
    for op in float_graph.ops:
        if (name := _name(op)) is not None:
            references[name] = op
    last: dict[str, Op] = {}
    for op in quant_graph.ops:
        name = _name(op)
        quantized = isinstance(op.type, TensorType) and (not op.format.is_float or isinstance(op, Dequantize))
        if (
            name in references
            and quantized
            and op.mnemonic not in MOVES
            and op.tensor.size == references[name].tensor.size
        ):
            last.pop(name, None)
            last[name] = op
    return {op: references[name] for name, op in last.items()}


def _name(op: Op) -> str | None:
    if not isinstance(op.type, TensorType) or isinstance(op, Constant):
        return None
    if isinstance(op, Dequantize) and isinstance(op.x, Constant):
        return None
    return op.name if isinstance(op, Input) else op.loc[-1] if op.loc else None


def _both(
    graph: Graph,
    frames: Mapping[str, np.ndarray],
    pairs: Mapping[Op, Op],
    reference: Mapping[Op, np.ndarray],
    sums: Mapping[Op, _Sums],
) -> None:
    """Evaluate `graph` twice at once: as it is, and with every layer fed by the float graph."""
    got: dict[Op, Any] = {}
    alone: dict[Op, Any] = {}
    remaining = {op: graph.use_count(op) for op in graph.ops}
    for op in graph.ops:
        if isinstance(op, Input):
            got[op] = alone[op] = frames[op.name]
        else:
            operands = [got[o] for o in op.operands]
            ideal = [alone[o] for o in op.operands]
            got[op] = evaluate(op, operands)
            same = all(a is b for a, b in zip(operands, ideal, strict=True))
            alone[op] = got[op] if same else evaluate(op, ideal)
        if op in pairs:
            truth = reference[pairs[op]]
            shaped = truth.reshape(truth.shape[0], *op.shape)
            fmt = op.x.format if isinstance(op, Dequantize) else op.format
            sums[op].add(shaped, _real(op, got[op]), _real(op, alone[op]), fmt)
            if op.format.is_float or op.format.axis is None:
                alone[op] = op.format.encode(shaped)
        for operand in dict.fromkeys(op.operands):
            remaining[operand] -= 1
            if not remaining[operand]:
                got.pop(operand, None)
                alone.pop(operand, None)


def _real(op: Op, codes: np.ndarray) -> np.ndarray:
    """Real values float64 of `codes` [F, *shape] of `op`."""
    fmt = op.format
    if fmt.is_float:
        return codes.astype(np.float64)
    scale = fmt.scale_array
    axis = fmt.axis if fmt.axis is not None and scale.size > 1 else None
    factor = scale.reshape((1,) * codes.ndim) if axis is None else along(scale, axis, len(op.shape))
    return frame_levels(codes, op) * factor


def _row(op: Op, sums: _Sums) -> LayerAccuracy:
    fmt = op.x.format if isinstance(op, Dequantize) else op.format
    return LayerAccuracy(
        op.label,
        _what(op),
        str(fmt),
        _decibel(sums.signal, sums.noise),
        _decibel(sums.signal, sums.alone),
        sums.largest,
        sums.outside / max(sums.count, 1),
    )


def _what(op: Op) -> str:
    """The op that computed a quantised tensor, seen through its quantisers."""
    while op.mnemonic in ("dequantize", "quantize", "requantize", "requantize_float", "cast") and op.operands:
        op = op.operands[0]
    return op.mnemonic


def _decibel(signal: float, noise: float) -> float:
    if noise <= 0:
        return NO_NOISE
    return max(min(10 * math.log10(signal / noise), NO_NOISE), -NO_NOISE) if signal > 0 else -NO_NOISE
