"""Makes the inputs and outputs of an integer graph codes: no floats at the border, the names stay.

Inputs: a float input that is read through one Quantize becomes an integer input of that format; one that is not
quantised gets `input_format`, and what then becomes integer is integerised. `meta` records the rounding that brings
real values to the codes (`input.NAME`). Outputs: a Dequantize at the end is dropped. With `tail=cut` the float
arithmetic behind the last integer tensor of an output goes as well; the note N0005 lists what is left to the host.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import Format, Quantizer, TensorType
from edgec.graph import Graph, topological
from edgec.ops import Constant, Dequantize, Input, Op, Quantize, merge_loc
from edgec.passes import integerize
from edgec.pipeline import Context

Tail = Literal["keep", "cut"]


def apply(graph: Graph, context: Context, *, input_format: Format | None = None, tail: Tail = "keep") -> Graph:
    """`graph` with integer inputs and outputs.

    Raises E0204 for a float `input_format`, E0311 for inputs that are not quantised (or in several ways) when no
    `input_format` is given, and for an output whose float tail reads several integer tensors when it is to be cut.
    """
    if input_format is not None and input_format.is_float:
        raise EdgecError("E0204", f"input_format {input_format}", why="inputs of the hardware are integer codes")
    graph, supplied = integer_inputs(graph, input_format)
    if supplied:
        arithmetic = graph.meta.get("arithmetic", "integer")
        graph = integerize.apply(graph, context, arithmetic=arithmetic)  # type: ignore[arg-type]
    outputs = [(name, op.x if isinstance(op, Dequantize) else op) for name, op in graph.outputs]
    if tail == "cut":
        outputs = [(name, without_tail(name, op, context)) for name, op in outputs]
    return graph.with_outputs(outputs)


def integer_inputs(graph: Graph, input_format: Format | None) -> tuple[Graph, bool]:
    """`graph` with integer inputs; the flag tells whether `input_format` was used."""
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
        else:
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


def without_tail(name: str, output: Op, context: Context) -> Op:
    """The integer tensor behind which `output` only computes in floats."""
    leaves: dict[Op, None] = {}
    tail: list[Op] = []
    stack, seen = [output], {output}
    while stack:
        op = stack.pop()
        if isinstance(op, Dequantize):
            if not isinstance(op.x, Constant):
                leaves[op.x] = None
            continue
        computed = (o for o in op.operands if isinstance(o.type, TensorType) and not isinstance(o, Constant))
        reads_floats = any(o.format.is_float for o in computed)
        if not reads_floats:
            if not isinstance(op, Constant) and (op is output or not isinstance(op, Input)):
                leaves[op] = None
            continue
        tail.append(op)
        stack.extend(o for o in op.operands if o not in seen)
        seen.update(op.operands)
    if not tail:
        return output
    if len(leaves) != 1:
        found = ", ".join(op.label for op in leaves) or "no integer tensor"
        why = f"its float arithmetic reads {found}"
        raise EdgecError("E0311", f"output {name!r} cannot be cut", layer=output.label, op=output.mnemonic, why=why)
    order = [op for op in topological(output) if op in set(tail)]
    gone = {op.label for op in tail}
    context.diagnostics[:] = [d for d in context.diagnostics if d.code != "N0003" or d.layer not in gone]
    context.warn(
        "N0005",
        f"output {name!r} ends at {next(iter(leaves)).label}",
        layer=output.label,
        why="left to the host: " + ", ".join(f"{op.mnemonic} ({op.label})" for op in order),
    )
    return next(iter(leaves))
