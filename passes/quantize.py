"""Post-training quantisation: weights to codes, activations through Quantize and Dequantize pairs.

The graph stays a float graph that computes with quantised values; `integerize` turns each block between two pairs
into integer ops. Formats:

  affine   activations scale and zero point per tensor (unsigned codes and zero point 0 when nothing is negative),
           weights symmetric per output channel or tensor, biases integers in units of input scale * weight scale
  fixed    power-of-two units everywhere; biases in the unit of the products

Ranges come from running the graph on the calibration frames (`minmax`, `percentile`, `mse`; the range of weights is
always min-max, or searched with `mse`). Without calibration data they come from stated noise, with the warning
W0001. What has no integer form stays float and is listed in the note N0001. Run `fold-constants`,
`fold-batch-norm` and `fuse` before, so that there is less to quantise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Format, Quantizer
from edgec.graph import Graph
from edgec.interp import evaluate
from edgec.ops import Constant, Conv, Dense, Dequantize, Op, Quantize, constant
from edgec.passes._calibrate import Statistics, Synthetic, calibration_frames, collect, merged
from edgec.passes._compress import in_order, record
from edgec.passes._patterns import float_constant, is_parameter, quantized_constant
from edgec.passes._placement import Placement, place
from edgec.passes._ranges import Kind, Method, activation_format
from edgec.passes._weights import Weights
from edgec.pipeline import Context
from edgec.rounding import Rounding


def apply(
    graph: Graph,
    context: Context,
    *,
    bits: int = 8,
    activation_bits: int = 8,
    input_bits: int | None = None,
    first_bits: int | None = None,
    last_bits: int | None = None,
    bias_bits: int | None = None,
    format: Kind = "affine",
    method: Method = "minmax",
    percentile: float = 99.99,
    per_channel: bool | None = None,
    symmetric: bool = False,
    narrow: bool | None = None,
    rounding: Rounding = "half_even",
    synthetic: Synthetic = "normal",
    frames: int = 4,
    keep_float: str = "",
    share_add: bool = False,
) -> Graph:
    """`graph` with quantised weights and activations.

    `bits`, `first_bits`, `last_bits`: weights, those of the first and the last layer. `activation_bits`,
    `input_bits`: tensors, the model's inputs. `bias_bits`: 32 for affine; for fixed the narrowest that holds the
    biases unless given. `percentile`: share of values kept, in percent. `per_channel`: weights (affine: yes).
    `symmetric`: activations have zero point 0. `narrow`: weights leave out the most negative code (affine: yes).
    `rounding`: of activations; weights round to nearest. `synthetic`, `frames`: the noise and the number of frames
    used without calibration data. `keep_float`: glob patterns of source names, separated by |. `share_add`: the
    operands of an addition get one format, so that hardware adds without rescaling, at some loss where their ranges
    differ. Raises E0204.
    """
    for name, value, low, high in (
        ("bits", bits, 2, 16),
        ("activation_bits", activation_bits, 2, 16),
        ("input_bits", input_bits, 2, 16),
        ("first_bits", first_bits, 2, 16),
        ("last_bits", last_bits, 2, 16),
        ("bias_bits", bias_bits, 4, 32),
        ("frames", frames, 1, 1 << 20),
    ):
        if value is not None and not low <= value <= high:
            raise EdgecError("E0204", f"quantize: {name}={value}", why=f"allowed are {low} to {high}")
    if not 50 < percentile <= 100:
        raise EdgecError("E0204", f"quantize: percentile={percentile}", why="allowed are more than 50, up to 100")
    if format == "fixed" and per_channel:
        raise EdgecError(
            "E0204",
            "quantize: per_channel=true with format=fixed",
            why="a fixed-point tensor has one unit",
            remedy="per_channel=false, or format=affine",
        )
    weights = Weights(
        format,
        method,
        per_channel if per_channel is not None else format == "affine",
        narrow if narrow is not None else format == "affine",
        bias_bits,
    )
    placement = place(graph, format, tuple(p for p in keep_float.split("|") if p), share_add)
    stimuli = calibration_frames(graph, context, synthetic, frames)
    computed = [op for op in placement.points if not is_parameter(op)]
    seen = collect(graph, computed, stimuli, sample=method != "minmax", seed=context.seed)
    input_set = set(graph.inputs)

    def choose(statistics: Statistics, members: list[Op]) -> Format:
        width = input_bits if input_bits is not None and input_set.issuperset(members) else activation_bits
        return activation_format(statistics, format, width, method, percentile, symmetric)

    formats = group_formats(placement, seen, choose)
    widths = [bits] * sum(kind == "mac" for kind in placement.kinds.values())
    if widths:
        widths[-1] = last_bits or widths[-1]
        widths[0] = first_bits or widths[0]
    result, rows, layers = rebuild(graph, placement, formats, weights, widths, rounding)
    context.reports["quantize"] = rows
    for op, codes in layers:
        record(context, op, codes.format, op.w.values, codes.values)  # type: ignore[attr-defined]
    in_order(context, result)
    if placement.floats:
        names = [f"{op.label} ({op.mnemonic})" for op in placement.floats]
        context.warn("N0001", f"quantize left {len(names)} operations in floating point", why=", ".join(names))
    return result


def parameter_values(op: Op) -> np.ndarray:
    """Real values of a constant, or of the dequantised codes of one."""
    codes = quantized_constant(op)
    return evaluate(op, [codes.data[None]])[0] if codes is not None else op.values  # type: ignore[attr-defined]


def group_formats(
    placement: Placement, seen: dict[Op, Statistics], choose: Callable[[Statistics, list[Op]], Format]
) -> dict[Op, Format]:
    """The format of every group, by its representative; a format that the model gives stays where all values fit."""
    members: dict[Op, list[Op]] = {}
    for op in placement.points:
        members.setdefault(placement.group(op), []).append(op)
    formats = {}
    for group, ops in members.items():
        together = merged([seen[op] if op in seen else constant_statistics(op) for op in ops])
        given = {op.x.format for op in ops if isinstance(op, Dequantize) and not is_parameter(op)}
        if len(given) == 1 and covers(fmt := given.pop(), together):
            formats[group] = fmt
        else:
            formats[group] = choose(together, ops)
    return formats


def constant_statistics(op: Op) -> Statistics:
    values = parameter_values(op)
    return Statistics(float(values.min(initial=0)), float(values.max(initial=0)), [values.ravel()])


def covers(fmt: Format, seen: Statistics) -> bool:
    """Whether the values lie inside the range of `fmt`, up to rounding."""
    scale, zero = fmt.scale_array, fmt.zero_point_array
    lo, hi = fmt.level_range
    return bool(((lo - zero - 1) * scale <= seen.lo).all() and (seen.hi <= (hi - zero + 1) * scale).all())


def rebuild(
    graph: Graph,
    placement: Placement,
    formats: dict[Op, Format],
    weights: Weights,
    layer_bits: list[int],
    rounding: Rounding,
) -> tuple[Graph, list[dict], list[tuple[Op, Constant]]]:
    """`graph` with its quantisers, a row per quantised tensor for the report, and the layers whose weights became
    codes here."""
    layers: list[tuple[Op, Constant]] = []
    mapping: dict[Op, Op] = {}
    data: dict[Op, Op] = {}  # constants that are data, as codes
    names: dict[Op, tuple[str, ...]] = {}
    rows: list[dict] = []
    bits = iter(layer_bits)
    for op in placement.points:
        if is_parameter(op):
            fmt = formats[placement.group(op)]
            data[op] = Dequantize(constant(parameter_values(op), fmt, loc=op.loc), op.format, loc=op.loc)
    for op in graph.ops:
        names[op] = op.loc or ((op.label,) if not op.operands else ())
        known = [data.get(o, mapping[o]) if placement.quantized(op) else mapping[o] for o in op.operands]
        if isinstance(op, Conv | Dense) and placement.kinds[op] == "mac":
            w, b = weights.layer(op, formats[placement.group(op.x)], next(bits))
            new: Op = op.replace(x=known[0], w=w, b=b)
            if float_constant(op.w) is not None and (codes := quantized_constant(w)) is not None:
                layers.append((op, codes))
        else:
            new = op.with_operands(known)
        if placement.quantized(op):
            for operand in op.operands:
                if operand in placement.inner:
                    names[op] = tuple(dict.fromkeys((*names[operand], *names[op])))
        if op in placement.points and not isinstance(op, Constant) and op not in data:
            new = paired(op, new, formats[placement.group(op)], rounding, names[op], rows)
        mapping[op] = new
    inputs = graph.inputs
    return Graph(graph.name, inputs, tuple((n, mapping[o]) for n, o in graph.outputs), graph.meta), rows, layers


def paired(op: Op, new: Op, fmt: Format, rounding: Rounding, loc: tuple[str, ...], rows: list[dict]) -> Op:
    """`new` through codes of `fmt` and back to floats."""
    if isinstance(new, Dequantize) and new.x.format == fmt:
        return new
    rows.append({"layer": ", ".join(loc) or op.label, "op": op.mnemonic, "format": str(fmt)})
    return Dequantize(Quantize(new, Quantizer(fmt, rounding), loc=loc), new.format, loc=loc)
