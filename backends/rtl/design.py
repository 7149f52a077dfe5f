"""From a graph to the files of a design, with the cost of every layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgec.backend import BuildPlan, Kernel
from edgec.backends.rtl.bank import Entry, bank_entries, network_id, register_map
from edgec.backends.rtl.circuit.emit import library
from edgec.backends.rtl.constraints import file_list, sdc
from edgec.backends.rtl.costs import critical_path, kernel_cells
from edgec.backends.rtl.functions import emit_design
from edgec.backends.rtl.gates import module_logic
from edgec.backends.rtl.hardening import hardening_of, protection, state_cells, state_counts
from edgec.backends.rtl.modules import Builder, Module
from edgec.backends.rtl.schedule import schedule
from edgec.backends.rtl.support import unsupported
from edgec.backends.rtl.top import Top, TopBuilder
from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hardening import NONE, Hardening
from edgec.hardening import describe as describe_hardening
from edgec.layers import nominal_macs
from edgec.ops import Constant, Op
from edgec.text import Printer
from edgec.weight_image import make_image, parameter_words

if TYPE_CHECKING:
    from edgec.target import Target

LIBRARY = ("edgec_cells.sv", "edgec_register.sv", "edgec_hardened.sv", "edgec_bank.sv")


def make_plan(graph: Graph, target: Target, options: Mapping[str, Any]) -> BuildPlan:
    """See `edgec.backends.rtl.plan`."""
    loaded = options.get("weights", "fixed") == "loaded"
    problems = unsupported(graph, loaded)
    if problems:
        raise EdgecError.of(problems)
    refuse_too_large(graph, target, options, loaded)
    name = str(options.get("name") or "net")
    hardening = hardening_of(options, loaded)
    builder, entries = build_modules(graph, name, loaded, str(options.get("constant_sharing", "auto")))
    identity = network_id(graph, entries, {"weights": options.get("weights", "fixed")})
    ranking = options.get("ranking")
    protected = protection(hardening, entries, ranking, identity, target)
    top = TopBuilder(name, graph, builder, entries, hardening, protected).build()
    modules = emit_design([m.circuit for m in builder.modules], f"{name}_functions")
    primitives = library()
    files = {f"rtl/{f}": primitives[f].encode() for f in LIBRARY}
    files |= {f"rtl/{f}": text.encode() for f, text in modules.items()}
    files[f"rtl/{name}.sv"] = top.text.encode()
    ordered = list(files)
    clock = float(options.get("clock_mhz") or target.options.get("clock_mhz", 100.0))
    files[f"rtl/{name}.sdc"] = sdc(name, clock, loaded).encode()
    files[f"rtl/{name}.f"] = file_list(ordered).encode()
    if loaded:
        registers = [e.as_dict() for e in entries]
        files["rtl/weights.img"] = make_image(parameter_words(graph, registers), identity)
        files["rtl/registers.md"] = register_map(entries, identity).encode()
    interface = describe(graph, builder, top, entries)
    interface |= {"top": name, "files": ordered, "clock_mhz": clock, "state": top.state}
    interface["hardening"] = describe_hardening(hardening, state_counts(top.state))
    if ranking is not None:
        interface["hardening"]["ranking"] = ranking.summary()
    kernels = [kernel(graph, m, hardening) for m in builder.modules]
    kernels += state_kernels(builder.plan.depth, top, entries)
    return BuildPlan("rtl", files, tuple(kernels), interface, ("verilator",), identity, graph)


def build_modules(graph: Graph, name: str, loaded: bool, sharing: str = "auto") -> tuple[Builder, list[Entry]]:
    """The layer modules of a graph that `unsupported` has nothing against, and the entries of its register bank."""
    legal = {op: re.sub(r"\W", "_", text) for op, text in Printer(graph).names.items()}
    entries = bank_entries(graph) if loaded else []
    return Builder(graph, schedule(graph), name, legal, {e.constant for e in entries}, sharing), entries


def refuse_too_large(graph: Graph, target: Target, options: Mapping[str, Any], loaded: bool) -> None:
    """E0312 with the estimate when a spatial design of `graph` exceeds the limit, before anything is emitted."""
    limit = options.get("max_area_kge") or target.options.get("max_area_kge")
    if limit is None:
        return
    from edgec.hw.estimate.apriori import apriori_area

    area = apriori_area(graph, target, loaded=loaded, harden=options.get("harden"))
    if area.low > limit:
        raise EdgecError(
            "E0312",
            f"a spatial design needs about {area.nominal:,.0f} kGE ({area.low:,.0f} to {area.high:,.0f})",
            why=f"target {target.name} has a limit of {limit:,.0f} kGE",
            remedy="--mode folded, a smaller or more strongly quantised network, or a higher --max-area",
        )


def describe(graph: Graph, builder: Builder, top: Top, entries: list[Entry]) -> dict[str, Any]:
    """Ports, layout, registers and probes as plain data."""

    def port(name: str, op: Op) -> dict[str, Any]:
        lo, _ = op.format.code_range
        facts = {"name": name, "elements": op.tensor.size, "bits": op.format.bits, "signed": lo < 0}
        return {**facts, "shape": list(op.shape), "format": str(op.format)}

    names = Printer(graph).names
    probes = []
    for module in builder.modules:
        for signal in module.drives.values():
            i = signal.interval
            probe = {"layer": names[signal.op], "signal": signal.name, "bits": signal.bits}
            probe |= {"depth": module.group.stage - 1, "elements": signal.elements, "element_bits": i.width}
            probes.append({**probe, "signed": i.signed, "shape": list(signal.op.shape)})
    words = entries[-1].address + entries[-1].words if entries else 0
    return {
        "ports": {"input_bits": top.input_bits, "output_bits": top.output_bits, "address_bits": top.address_bits},
        "inputs": [port(i.name, i) for i in graph.inputs],
        "outputs": [port(n, o) for n, o in graph.outputs],
        "latency": builder.plan.depth,
        "initiation_interval": 1,
        "registers": [e.as_dict() for e in entries],
        "register_words": words,
        "probes": probes,
    }


def kernel(graph: Graph, module: Module, hardening: Hardening) -> Kernel:
    """The cost record of a layer module; the voters of the registers that it reads are on its longest path."""
    path = critical_path(module.circuit)
    if (hardening.data != NONE and module.group.stage > 1) or (module.parameters and hardening.weight != NONE):
        path = path | {"voter": 1}
    group = module.group
    loc = tuple(dict.fromkeys(name for op in group.ops for name in op.loc))
    constants = {c for op in group.ops for c in op.operands if isinstance(c, Constant)}
    return Kernel(
        name=module.circuit.name,
        layers=loc,
        op=group.main.mnemonic,
        stage=group.stage,
        cycles=0,
        macs=module.macs,
        macs_nominal=sum(nominal_macs(op) for op in group.ops),
        cells=kernel_cells(module.circuit.cells),
        path=path,
        weight_bits=sum(c.tensor.bits for c in constants),
        output_bits=sum(s.bits for s in module.drives.values()),
        logic=module_logic(module),
    )


def state_kernels(depth: int, top: Top, entries: list[Entry]) -> list[Kernel]:
    """The registers at the end of every stage (one cycle each), and the bank."""
    kernels = []
    for stage in range(1, depth + 1):
        cells, state = state_cells([r for r in top.state if r.get("stage") == stage])
        kernels.append(Kernel(f"stage_{stage}_registers", (), "register", stage, 1, cells=cells, state=state))
    if entries:
        bits = sum(e.bits for e in entries)
        words = entries[-1].address + entries[-1].words
        cells, state = state_cells([r for r in top.state if r["class"] == "weight"])
        cells = {"and2": words} | cells  # the address is decoded in parts that all words share
        bank = Kernel("register_bank", (), "bank", 0, 0, cells=cells, state=state, weight_bits=bits, activations=0.0)
        kernels.append(bank)
    return kernels
