"""From a graph to the build plan of C sources."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgec.backend import BuildPlan, Kernel
from edgec.backends.c.codes import CTYPES
from edgec.backends.c.constants import Constants, narrowest
from edgec.backends.c.emit import Sources, function
from edgec.backends.c.family import families_of
from edgec.backends.c.fold import folded
from edgec.backends.c.lowbit.binary import BitLayer
from edgec.backends.c.lowbit.choose import choices
from edgec.backends.c.package import package_files
from edgec.backends.c.schedule import Schedule, Step, scheduled
from edgec.backends.c.statements import statements
from edgec.backends.c.work import multiplications, work
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import FormatError, TensorType
from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, Op
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
    families = families_of(target.options) if target is not None else ()
    functions, winograd = str(options.get("functions") or "single"), str(options.get("winograd") or "auto")
    how = functions, winograd, int(options.get("threads", 1))
    chosen = choices(graph, name, families, how, target, options.get("low_bits") or "auto")
    schedule = scheduled(graph, name, families, *how, {c.op for c in chosen if c.packed})
    sources = Sources(schedule, name)
    model = sources.model_source()
    files = {
        f"include/{name}.h": sources.header(),
        f"src/{name}.c": model,
        f"src/{name}_constants.h": sources.constants_header(),
        f"src/{name}_constants.c": sources.constants_source(),
    }
    core = target.name if target is not None and "core" in target.options else None
    facts = interface(schedule, sources, model, core)
    files |= package_files(facts, model)
    kernels = tuple(kernel(k, step, schedule) for k, step in enumerate(schedule.steps))
    return BuildPlan(
        "c",
        {path: text.encode() for path, text in files.items()},
        kernels,
        facts,
        network_id=network_id(schedule),
        graph=graph,
        tables={"low bits": [c.row for c in chosen]} if chosen else {},
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


def kernel(number: int, step: Step, schedule: Schedule) -> Kernel:
    """The cost record of a step."""
    layers = tuple(dict.fromkeys(n for op in step.ops for n in op.loc))
    macs = sum(multiplications(op) for op in step.ops)
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
        weight_bits=sum(stored_bits(step, op, o) for op in step.ops for o in op.operands if isinstance(o, Constant)),
        output_bits=8 * written,
        accesses={"activations": 8.0 * (read + written)},
        work=work(schedule, step),
    )


def stored_bits(step: Step, op: Op, constant: Constant) -> int:
    """Bits of a parameter of a step: of weights that are or could be codes those that are stored, else its format's."""
    size = constant.tensor.size
    if not isinstance(op, Conv | Dense) or constant is not op.w or constant.format.is_float:
        return size * constant.format.bits
    if isinstance(step.layer, BitLayer):
        return size
    if step.codes is not None:
        return size * step.codes.width + 8 * narrowest(step.codes.table).itemsize * len(step.codes.table)
    return 8 * size * narrowest(constant.levels).itemsize


def interface(schedule: Schedule, sources: Sources, model: str, core: str | None) -> dict[str, Any]:
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
        "threads": schedule.threads,
        "header": f"include/{sources.name}.h",
        "files": [f"src/{sources.name}.c", f"src/{sources.name}_constants.c"],
        "inputs": [argument(n, v, sources.inputs[n]) for n, v in schedule.inputs.items()],
        "outputs": [argument(n, v, sources.outputs[n]) for n, v in schedule.outputs.items()],
        "memory": {
            "arena_bytes": memory.arena,
            "arena_lower_bound": memory.bound,
            "constant_bytes": sources.constant_bytes,
            "code_statements": statements(model, sources.guards),
            "map": memory.rows(),
        },
        "probes": probes,
    }


def network_id(schedule: Schedule) -> str:
    """A digest of the structure without the weights."""
    parts = [f"{step.name} {step.result.type} {[str(o.type) for o in step.reads]}" for step in schedule.steps]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


__all__ = ["interface", "make_plan", "unsupported"]
