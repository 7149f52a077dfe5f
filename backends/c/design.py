"""From a graph to the build plan of C sources."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgec.backend import BuildPlan, Kernel
from edgec.backends.c.codes import CTYPES
from edgec.backends.c.constants import Constants
from edgec.backends.c.emit import Sources, function
from edgec.backends.c.family import families_of
from edgec.backends.c.fold import folded
from edgec.backends.c.functions import TRANSCENDENTAL
from edgec.backends.c.schedule import ELEMENTWISE, Schedule, Step, scheduled
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import FormatError, TensorType
from edgec.graph import Graph
from edgec.ops import (
    ArgMax,
    AvgPool,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Gru,
    Lstm,
    MatMul,
    MaxPool,
    Normalize,
    Op,
    Reduce,
    Rnn,
    Softmax,
    Unary,
)
from edgec.text import Printer

if TYPE_CHECKING:
    from edgec.target import Target


def make_plan(graph: Graph, target: Target, options: Mapping[str, Any]) -> BuildPlan:
    """Sources of `graph`; E0310 names everything that has no C code."""
    name = str(options.get("name") or "net")
    graph = folded(graph)
    problems = unsupported(graph)
    if problems:
        raise EdgecError.of(problems)
    schedule = scheduled(graph, name, families_of(target.options) if target is not None else ())
    sources = Sources(schedule, name)
    model = sources.model_source()
    files = {
        f"include/{name}.h": sources.header(),
        f"src/{name}.c": model,
        f"src/{name}_constants.h": sources.constants_header(),
        f"src/{name}_constants.c": sources.constants_source(),
    }
    kernels = tuple(kernel(k, step) for k, step in enumerate(schedule.steps))
    return BuildPlan(
        "c",
        {path: text.encode() for path, text in files.items()},
        kernels,
        interface(schedule, sources, target.name if target is not None and "core" in target.options else None),
        network_id=network_id(schedule),
        graph=graph,
    )


def unsupported(graph: Graph) -> list[Diagnostic]:
    """One diagnostic for every op that has no C code."""
    problems = []
    for name, op in graph.outputs:
        if not isinstance(op.type, TensorType):
            problems.append(Diagnostic("E0310", f"output {name!r} has several results", op.label, op.mnemonic))
    if problems:
        return problems
    try:
        schedule = scheduled(graph, "net")
    except FormatError as error:  # a format that C has no type for
        return [Diagnostic("E0310", str(error), graph.name)]
    for step in schedule.steps:
        try:
            function(schedule, step, Constants("net"), "net")
        except FormatError as error:
            op = step.anchor or step.result
            problems.append(Diagnostic("E0310", f"{op.mnemonic}: {error}", op.label, op.mnemonic))
    return problems


def multiplications(op: Op) -> int:
    """Multiply-accumulates of one op, padded taps included."""
    match op:
        case Dense() | Conv():
            return op.tensor.size * op.terms
        case ConvTranspose():
            return op.x.tensor.size * math.prod(op.w.shape[1:])
        case MatMul():
            return op.tensor.size * op.x.shape[-1]
        case Rnn() | Gru() | Lstm():
            steps, sequences, _ = op.x.shape
            return steps * sequences * (op.w.tensor.size + op.r.tensor.size)
    return 0


def kernel(number: int, step: Step) -> Kernel:
    """The cost record of a step."""
    layers = tuple(dict.fromkeys(n for op in step.ops for n in op.loc))
    macs = sum(multiplications(op) for op in step.ops)
    weights = [o for op in step.ops for o in op.operands if isinstance(o, Constant)]
    read = sum(op.tensor.size * op.format.dtype.itemsize for op in step.reads)
    written = sum(op.tensor.size * op.format.dtype.itemsize for op in step.results)
    return Kernel(
        step.name,
        layers or (step.result.label,),
        step.ops[0].mnemonic if step.anchor is not None else step.result.mnemonic,
        number,
        0,
        macs=macs,
        macs_nominal=macs,
        weight_bits=sum(w.tensor.size * w.format.bits for w in weights),
        output_bits=8 * written,
        accesses={"activations": 8.0 * (read + written)},
        work=work(step),
    )


def work(step: Step) -> dict[str, float]:
    """Operations of a step by kind: multiply-accumulates by the type that they are done in, results of elementwise ops,
    functions in double precision, bytes moved, and the step itself."""
    written = sum(op.tensor.size * op.format.dtype.itemsize for op in step.results)
    found: dict[str, float] = {"step": 1.0, "byte": float(written)}
    for op in step.ops:
        macs = multiplications(op)
        if macs:
            kind = _mac_kind(op)
            found[kind] = found.get(kind, 0.0) + macs
        size = float(step.result.tensor.size)
        if isinstance(op, AvgPool | MaxPool):
            found["element"] = found.get("element", 0.0) + size * math.prod(op.kernel)
        elif isinstance(op, Reduce | ArgMax | Normalize):
            found["element"] = found.get("element", 0.0) + op.x.tensor.size
        elif isinstance(op, Softmax) or (isinstance(op, Unary) and op.function in TRANSCENDENTAL):
            found["double"] = found.get("double", 0.0) + size
        elif isinstance(op, ELEMENTWISE):
            found["element"] = found.get("element", 0.0) + size
    found["byte"] += sum(float(op.tensor.size * op.format.dtype.itemsize) for op in step.reads)
    return found


def _mac_kind(op: Op) -> str:
    """The type of a multiply-accumulate: its operands' width, or the precision."""
    fmt = op.operands[0].format
    if fmt.is_float:
        return "mac_f64" if fmt.dtype.itemsize == 8 else "mac_f32"
    if (
        not isinstance(op, MatMul | Rnn | Gru | Lstm)
        and op.format.bits > 32
        and max(o.format.bits for o in op.operands[:2]) > 16
    ):
        return "mac_i64"
    return "mac_i8" if max(o.format.bits for o in op.operands[:2]) <= 8 else "mac_i16"


def interface(schedule: Schedule, sources: Sources, core: str | None) -> dict[str, Any]:
    """What the manifest says of the C code: arguments, memory map, and what every step leaves where."""
    names = Printer(schedule.graph).names

    def argument(label: str, view: Any, identifier: str) -> dict[str, Any]:
        fmt = view.buffer.format
        kind = {"ctype": CTYPES[fmt.dtype.name], "dtype": fmt.dtype.name}
        return {"name": label, "argument": identifier, **kind, "shape": list(view.shape), "elements": view.size}

    probes = []
    made = [(k, op) for k, step in enumerate(schedule.steps) for op in step.results if op in names]
    for k, op in made:
        view = schedule.views[op]
        facts = {"step": k, "layer": names[op], "dtype": view.buffer.format.dtype.name}
        facts |= {"elements": view.buffer.elements, "shape": list(view.shape)}
        probes.append(facts | {"strides": list(view.strides), "offset": view.offset})
    memory = schedule.memory
    return {
        "name": sources.name,
        "core": core,
        "header": f"include/{sources.name}.h",
        "files": [f"src/{sources.name}.c", f"src/{sources.name}_constants.c"],
        "inputs": [argument(n, v, sources.inputs[n]) for n, v in schedule.inputs.items()],
        "outputs": [argument(n, v, sources.outputs[n]) for n, v in schedule.outputs.items()],
        "memory": {
            "arena_bytes": memory.arena,
            "arena_lower_bound": memory.bound,
            "constant_bytes": sources.constant_bytes,
            "map": memory.rows(),
        },
        "probes": probes,
    }


def network_id(schedule: Schedule) -> str:
    """A digest of the structure without the weights."""
    parts = [f"{step.name} {step.result.type} {[str(o.type) for o in step.reads]}" for step in schedule.steps]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


__all__ = ["interface", "make_plan", "unsupported"]
