"""Makes the inputs and outputs of an integer graph codes: no floats at the border, the names stay.

Inputs: a float input that is read through one Quantize becomes an integer input of that format; one that is not
quantised gets `input_format`, and what then becomes integer is integerised. `meta` records the rounding that brings
real values to the codes (`input.NAME`). Outputs: a Dequantize at the end is dropped (see `cut-float-tail` for more).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import Format, Quantizer, TensorType
from edgec.graph import Graph
from edgec.ops import Dequantize, Input, Op, Quantize, merge_loc
from edgec.passes import integerize
from edgec.pipeline import Context

Floats = Literal["refuse", "keep"]


def apply(graph: Graph, context: Context, *, input_format: Format | None = None, floats: Floats = "refuse") -> Graph:
    """`graph` with integer inputs and outputs.

    Raises E0204 for a float `input_format`, E0311 for inputs that are not quantised (or in several ways) when no
    `input_format` is given, unless `floats=keep` leaves these as they are.
    """
    if input_format is not None and input_format.is_float:
        raise EdgecError("E0204", f"input_format {input_format}", why="inputs of the hardware are integer codes")
    graph, supplied = integer_inputs(graph, input_format, keep=floats == "keep")
    if supplied:
        arithmetic = graph.meta.get("arithmetic", "integer")
        graph = integerize.apply(graph, context, arithmetic=arithmetic)  # type: ignore[arg-type]
    outputs = [(name, op.x if isinstance(op, Dequantize) else op) for name, op in graph.outputs]
    return graph.with_outputs(outputs)


def integer_inputs(graph: Graph, input_format: Format | None, *, keep: bool = False) -> tuple[Graph, bool]:
    """`graph` with integer inputs (`keep`: as far as they are quantised); the flag: `input_format` was used."""
    problems: list[Diagnostic] = []
    mapping: dict[Op, Op] = {}
    facts: dict[str, str] = {}
    supplied = False
    for old in graph.inputs:
        users = graph.users[old]
        if not old.format.is_float or graph.use_count(old) == 0:
            continue
        quantizers = dict.fromkeys(u.out for u in users if isinstance(u, Quantize))
        quantized = all(isinstance(u, Quantize) for u in users) and graph.use_count(old) == len(users)
        if quantized and len(quantizers) == 1:
            (out,) = quantizers
            new = Input(old.name, type=TensorType(out.format, old.shape), loc=merge_loc(old, *users))
            mapping |= dict.fromkeys(users, new)
            mapping[old] = new
            facts[f"input.{old.name}"] = f"{out.rounding}:{out.overflow}"
        elif input_format is not None:
            new = Input(old.name, type=TensorType(input_format, old.shape), loc=old.loc)
            mapping[old] = Dequantize(new)
            facts[f"input.{old.name}"] = f"{Quantizer(input_format).rounding}:{Quantizer(input_format).overflow}"
            supplied = True
        elif not keep:
            problems.append(_problem(old, users, quantizers))
    if problems:
        raise EdgecError.of(problems)
    for op in graph.ops:
        if op not in mapping:
            mapping[op] = op.with_operands(mapping[o] for o in op.operands)
    inputs = tuple(_input(mapping[i]) for i in graph.inputs)
    outputs = tuple((name, mapping[op]) for name, op in graph.outputs)
    return replace(graph, inputs=inputs, outputs=outputs, meta={**graph.meta, **facts}), supplied


def _input(op: Op) -> Input:
    found = op.x if isinstance(op, Dequantize) else op
    assert isinstance(found, Input)
    return found


def _problem(old: Input, users: tuple[Op, ...], quantizers: dict[Quantizer, None]) -> Diagnostic:
    remedy = "state its format: --input-format fixed<16,6> or the like"
    if len(quantizers) > 1:
        names = ", ".join(f"{u.label} ({u.out})" for u in users if isinstance(u, Quantize))
        why = f"it is quantised in {len(quantizers)} ways: {names}"
        return Diagnostic("E0311", f"input {old.name!r} has no one integer format", old.name, "input", why, remedy)
    readers = ", ".join(u.label for u in users if not isinstance(u, Quantize)) or "an output"
    why = f"it is read by {readers}, not through one quantiser"
    return Diagnostic("E0311", f"input {old.name!r} is a float and is not quantised", old.name, "input", why, remedy)
