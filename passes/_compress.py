"""What the passes for compressed weights share: which layers, writing the codes back, refusals, the report.

Compression acts on the float weights of Dense and Conv layers *before* batch norms are folded. A compressed layer
holds `Dequantize(Constant codes)`, which `fold-batch-norm` leaves alone: the norm behind it ends in the requantisation
of its channel, where a factor costs nothing that the scale of the weights does not cost already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from edgec.diagnostics import EdgecError, nearest
from edgec.formats import Affine, Format, TensorType
from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, Dequantize, Op
from edgec.passes._patterns import float_constant, is_parameter, quantized_constant
from edgec.pipeline import Context

Layer = Conv | Dense
Zeros = Literal["refuse", "nearest"]
Scale = Literal["float", "pow2"]
NO_ERROR_DB = 200.0


def patterns(text: str) -> tuple[str, ...]:
    """Glob patterns separated by |."""
    return tuple(p.strip() for p in text.split("|") if p.strip())


def named(op: Op, globs: tuple[str, ...]) -> bool:
    """Whether one of the source names of `op` fits one of the patterns."""
    return any(fnmatchcase(name, glob) for name in op.loc for glob in globs)


def layers_of(graph: Graph) -> list[Layer]:
    """Dense and Conv ops with weights known at compile time, in order."""
    return [op for op in graph.ops if isinstance(op, Conv | Dense) and is_parameter(op.w)]


def select(
    graph: Graph, name: str, layers: str, skip: str, keep_first: bool | None, keep_last: bool | None
) -> list[Layer]:
    """The layers that the pass `name` is asked to compress, in order; E0204 for a pattern that fits none.

    `layers`, `skip`: glob patterns on source names, separated by |. The first and the last layer of the network are
    left out unless `keep_first`, `keep_last` say otherwise; None leaves them out only where `layers` has a "*" and
    names neither in particular.
    """
    every = layers_of(graph)
    wanted, unwanted = patterns(layers), patterns(skip)
    if not wanted:
        raise EdgecError("E0204", f"{name}: layers={layers!r} names no layer", remedy="a glob pattern, * for all")
    known = {n for op in every for n in op.loc}
    for glob in (*wanted, *unwanted):
        if not any(fnmatchcase(n, glob) for n in known) and glob != "*":
            what = f"{name}: no layer with weights fits {glob!r}"
            raise EdgecError("E0204", what, remedy=nearest(glob, known))
    everything = "*" in wanted
    particular = tuple(glob for glob in wanted if glob != "*")
    kept: set[Op] = set()
    for end, keep in ((every[:1], keep_first), (every[-1:], keep_last)):
        if everything if keep is None else keep:
            kept.update(op for op in end if keep or not named(op, particular))
    return [op for op in every if op not in kept and (everything or named(op, wanted)) and not named(op, unwanted)]


@dataclass(frozen=True)
class New:
    """New parameters of a layer: weights, and bias and input where they change too.

    A new input is made of new ops on ops of the old graph.
    """

    w: Op
    b: Op | None = None
    x: Op | None = None


def replaced(graph: Graph, new: Mapping[Op, New]) -> Graph:
    """`graph` with the parameters of some layers replaced (the bias only where one is given)."""
    mapping: dict[Op, Op] = {}

    def rebuilt(op: Op) -> Op:
        """An op of the new input of a layer, on what its operands became."""
        if op not in mapping:
            mapping[op] = op.with_operands(rebuilt(o) for o in op.operands)
        return mapping[op]

    for op in graph.ops:
        given = new.get(op)
        operands = [mapping[o] for o in op.operands]
        if given is None:
            mapping[op] = op.with_operands(operands)
            continue
        assert isinstance(op, Conv | Dense)
        b = given.b if given.b is not None else None if op.b is None else mapping[op.b]
        mapping[op] = op.replace(x=mapping[op.x] if given.x is None else rebuilt(given.x), w=given.w, b=b)
    return Graph(graph.name, graph.inputs, tuple((n, mapping[o]) for n, o in graph.outputs), graph.meta)


def dequantized(codes: np.ndarray, fmt: Format, like: Constant) -> Dequantize:
    """Weights as the codes of `fmt`, read as floats in the place of the float constant `like`."""
    return Dequantize(Constant(codes, type=TensorType(fmt, like.shape), loc=like.loc), like.format, loc=like.loc)


def rows_of(w: Constant, per_channel: bool) -> np.ndarray:
    """Weights float64 [scales, elements]: a row an output channel, or one for the tensor."""
    rows = w.values.reshape(w.shape[0], -1)
    return rows if per_channel else rows.reshape(1, -1)


def stored(scales: np.ndarray, kind: Scale) -> np.ndarray:
    """Scales as float32 numbers, or as the nearest powers of two; scales of dead rows become those of typical ones."""
    alive = scales > 2.0**-100
    typical = float(np.median(scales[alive])) if alive.any() else 1.0
    scales = np.where(alive, scales, typical)
    if kind == "pow2":
        return np.exp2(np.rint(np.log2(scales)))
    return scales.astype(np.float32).astype(np.float64)


# --- refusals ----------------------------------------------------------------------------------------------------


def refuse_zeros(context: Context, op: Layer, w: Constant, what: str, zeros: Zeros) -> None:
    """E0313 when weights of `op` are exactly zero and the zero-free format `what` cannot write them.

    `zeros=nearest` is for zeros that the model has; those of a mask stay zero.
    """
    count = int(np.count_nonzero(w.data == 0))
    pruned = _first(op.label) in context.pruned
    if not count or (zeros == "nearest" and not pruned):
        return
    other = "do not prune it" if pruned else "say zeros=nearest to let its zeros become the smallest weight"
    raise EdgecError(
        "E0313",
        f"{count} of {w.data.size} weights are zero, which {what} cannot write",
        layer=op.label,
        op=op.mnemonic,
        why=f"{what} has no code for zero, and a pruned weight must stay zero",
        remedy=f"use pow2z, ternary or an integer format for this layer, or {other}",
    )


def refuse_padding(op: Layer, fmt: str) -> None:
    """E0313 when `op` pads activations that have no zero."""
    if not isinstance(op, Conv) or not any(op.pads):
        return
    raise EdgecError(
        "E0313",
        f"the convolution pads its input with zeros, which {fmt} activations cannot write",
        layer=op.label,
        op=op.mnemonic,
        why="a padded element would need a third value besides -1 and +1",
        remedy="keep integer activations for this layer (activations=keep, or leave it out), or train without padding",
    )


def unpruned(op: Layer, name: str) -> Constant | None:
    """The float weights of `op`; None where it is quantised already, which is left as it is."""
    w = float_constant(op.w)
    if w is None and quantized_constant(op.w) is None:
        raise EdgecError("E0102", f"{name}: {op.label} has no constant weights")
    return w


# --- the report --------------------------------------------------------------------------------------------------


def sqnr(values: np.ndarray, approximate: np.ndarray) -> float:
    """Mean square of `values` over that of what `approximate` changes, in dB within +-200."""
    power, noise = float(np.square(values).sum()), float(np.square(approximate - values).sum())
    if noise <= 0:
        return NO_ERROR_DB
    return max(min(10 * math.log10(power / noise), NO_ERROR_DB), -NO_ERROR_DB) if power > 0 else -NO_ERROR_DB


def record(context: Context, op: Op, fmt: Format, values: np.ndarray, approximate: np.ndarray) -> None:
    """One row of the table `compression`: what became of the weights `values` of `op`; a later pass replaces it.

    `sqnr_db` is against the weights that the pass saw: those behind a pruning are the pruned ones.
    """
    zeros = int(np.count_nonzero(approximate == 0))
    rows: dict[str, dict[str, object]] = {_first(str(r["layer"])): r for r in context.reports.get("compression", [])}
    rows[_first(op.label)] = {
        "layer": op.label,
        "op": op.mnemonic,
        "format": str(fmt.base) if isinstance(fmt, Affine) else str(fmt),
        "scales": int(fmt.scale_array.size),
        "weights": int(values.size),
        "weight_bits": int(values.size) * fmt.bits,
        "zeros": zeros,
        "zero_share": round(zeros / max(values.size, 1), 4),
        "sqnr_db": round(sqnr(values, approximate), 2),
    }
    context.reports["compression"] = list(rows.values())


def in_order(context: Context, graph: Graph) -> None:
    """Sort the table `compression` by the order of the layers."""
    order = {_first(op.label): k for k, op in enumerate(layers_of(graph))}
    rows = context.reports.get("compression", [])
    rows.sort(key=lambda row: order.get(_first(row["layer"]), len(order)))


def note_pruned(context: Context, op: Op) -> None:
    """The zeros of `op` are a mask from now on."""
    context.pruned.add(_first(op.label))


def _first(label: str) -> str:
    """The first source name, which stays when a batch norm or a bias joins a layer."""
    return label.split(", ")[0]
