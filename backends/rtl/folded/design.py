"""From a graph to the files of a folded design, its exact cycles, and the cost of every layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgec.backend import BuildPlan, Kernel
from edgec.backends.rtl.bank import network_id
from edgec.backends.rtl.circuit.emit import library
from edgec.backends.rtl.constraints import file_list, sdc
from edgec.backends.rtl.folded.cores import Core, build_cores
from edgec.backends.rtl.folded.costs import kernels
from edgec.backends.rtl.folded.emit import LayerModule
from edgec.backends.rtl.folded.folding import Folder, array_cycles, smallest_lanes
from edgec.backends.rtl.folded.layers import Layer, Planner
from edgec.backends.rtl.folded.network import Fold, Network, build_network
from edgec.backends.rtl.folded.streams import Stream
from edgec.backends.rtl.folded.support import unsupported
from edgec.backends.rtl.folded.top import top_module
from edgec.backends.rtl.functions import emit_design
from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hw.estimate.dataflow import Schedule, queue_depths, schedule
from edgec.text import Printer

if TYPE_CHECKING:
    from edgec.target import Target

PRIMITIVES = Path(__file__).resolve().parent / "lib"
ATTEMPTS = 8
"""How often the number of cycles is lowered when queues and buffers cost more than the layers themselves."""


@dataclass(frozen=True)
class Folded:
    """A folded design before it is written."""

    folds: Mapping[Layer, Fold]
    net: Network
    schedule: Schedule
    kernels: Sequence[Kernel]


class Designer:
    """Folds the layers of one graph in different ways."""

    def __init__(self, graph: Graph, name: str, overrides: Mapping[str, str]) -> None:
        self.layers = Planner(graph).layers
        self.cores: dict[Layer, Core] = build_cores(self.layers, name)
        self.arrays = {layer: c.array for layer, c in self.cores.items() if c.array is not None}
        self.folder = Folder(self.layers, self.cores, overrides)

    def design(self, cycles: int) -> Folded:
        """The design whose layers need at most `cycles` a frame each, where they can."""
        folds = self.folder.fold(cycles)
        source = self.layers[0].inputs[0].origin
        lanes = smallest_lanes(source.channels, source.elements, cycles)
        endless = build_network(self.layers, self.arrays, folds, lanes)
        found = schedule(endless.units)
        depths = queue_depths(endless.units, found.times)
        net = build_network(self.layers, self.arrays, folds, lanes, depths)
        if depths:
            found = schedule(net.units)
        made = kernels(self.layers, self.cores, folds, net, found.initiation_interval)
        return Folded(folds, net, found, made)

    def for_interval(self, wanted: int) -> Folded:
        """The smallest design with an initiation interval of at most `wanted`; E0315 if there is none."""
        cycles = wanted
        best = None
        for _ in range(ATTEMPTS):
            design = self.design(cycles)
            interval = design.schedule.initiation_interval
            if interval <= wanted:
                return design
            best = min(best or interval, interval)
            cycles = min(cycles - 1, cycles * wanted // interval)
            if cycles < 1:
                break
        raise EdgecError(
            "E0315",
            f"the network cannot be folded to {wanted:,} cycles a frame",
            why=f"the fastest folding found needs {best:,}",
            remedy="a lower --fps, a higher clock, or --mode spatial",
        )

    def for_area(self, target: Target, limit: float) -> Folded:
        """The fastest design whose area (nominal, kGE) is at most `limit`; E0312 if there is none."""
        bounds = self.folder.bounds()
        low, high = 0, len(bounds) - 1
        best = self.design(bounds[high])
        smallest = area_kge(best.kernels, target)
        if smallest > limit:
            raise EdgecError(
                "E0312",
                f"the smallest folded design needs about {smallest:,.0f} kGE",
                why=f"the limit is {limit:g} kGE",
                remedy="a smaller or more strongly quantised network, or a higher --max-area",
            )
        while low < high:
            middle = (low + high) // 2
            design = self.design(bounds[middle])
            if area_kge(design.kernels, target) <= limit:
                best, high = design, middle
            else:
                low = middle + 1
        return best


def area_kge(made: Sequence[Kernel], target: Target) -> float:
    """The nominal area of `made`."""
    from edgec.hw.estimate.area import kernel_ge

    return sum(kernel_ge(k, target).nominal for k in made) * 1e-3


def make_plan(graph: Graph, target: Target, options: Mapping[str, Any]) -> BuildPlan:
    """See `edgec.backends.rtl.plan`; options besides those: `fps`, `folding`, `max_area_kge`."""
    problems = unsupported(graph, options)
    if problems:
        raise EdgecError.of(problems)
    name = str(options.get("name") or "net")
    designer = Designer(graph, name, options.get("folding") or {})
    clock = float(options.get("clock_mhz") or target.options.get("clock_mhz", 100.0))
    fps, limit = options.get("fps"), options.get("max_area_kge") or target.options.get("max_area_kge")
    if fps is not None:
        folded = designer.for_interval(max(int(clock * 1e6 / fps), 1))
        area = area_kge(folded.kernels, target)
        if limit is not None and area > limit:
            raise EdgecError(
                "E0312",
                f"{fps:g} frames a second at {clock:g} MHz need about {area:,.0f} kGE",
                why=f"the limit is {limit:g} kGE",
                remedy="a lower --fps, a higher clock, or a higher --max-area",
            )
    elif limit is not None:
        folded = designer.for_area(target, limit)
    else:
        folded = designer.design(1)
    files, ordered = emit_files(designer, folded, name, clock)
    identity = network_id(graph, [], {"mode": "folded", "folding": folding_table(designer, folded)})
    interface = describe(graph, designer, folded)
    interface |= {"top": name, "files": ordered, "clock_mhz": clock}
    return BuildPlan("rtl", files, tuple(folded.kernels), interface, ("verilator",), identity)


def emit_files(designer: Designer, folded: Folded, name: str, clock: float) -> tuple[dict[str, bytes], list[str]]:
    """All sources by path, and the paths in compilation order."""
    net, cores = folded.net, designer.cores
    modules = [LayerModule(cores[la], net, [u for u in net.units if u["layer"] == la.index]) for la in designer.layers]
    texts = {f"{m.name}.sv": m.run() for m in modules}
    memories = {n: t for m in modules for n, t in m.memories.items()}
    used = []
    for layer in designer.layers:
        core, fold = cores[layer], folded.folds[layer]
        if core.array is not None:
            used.append(core.element(1 if core.array.by_channel else fold.simd))
        if core.lane is not None:
            used.append(core.lane)
    fmt = designer.layers[-1].output.op.format
    texts[f"{name}.sv"] = top_module(name, net, modules, fmt.bits, fmt.code_range[0] < 0)
    primitives = {p.name: p.read_text() for p in sorted(PRIMITIVES.glob("*.sv"))}
    sources = {"edgec_cells.sv": library()["edgec_cells.sv"], **primitives}
    sources |= emit_design(used, f"{name}_functions") | memories | texts
    files = {f"rtl/{n}": text.encode() for n, text in sources.items()}
    ordered = list(files)
    files[f"rtl/{name}.sdc"] = sdc(name, clock, False).encode()
    files[f"rtl/{name}.f"] = file_list(ordered).encode()
    return files, ordered


def axes_of(stream: Stream) -> list[int]:
    """The axes of the tensor from the slowest to the fastest in the stream; E0310 if the order is none of axes."""
    shape = stream.op.shape
    numbers = np.arange(stream.elements).reshape(shape)
    for axes in permutations(range(len(shape))):
        if np.array_equal(numbers.transpose(axes).ravel(), stream.order):
            return list(axes)
    what = f"{stream.op.mnemonic} mixes pixels and channels at the border of the network"
    raise EdgecError("E0310", what, layer=stream.op.label, remedy="--mode spatial builds it")


def folding_table(designer: Designer, folded: Folded) -> list[dict[str, Any]]:
    """The effective folding of every layer."""
    rows = []
    for layer in designer.layers:
        fold, array = folded.folds[layer], designer.cores[layer].array
        row = {"layer": f"l{layer.index}", "source": list(layer.main.loc), "op": layer.main.mnemonic}
        if array is None:
            cycles = layer.output.elements // fold.lanes
        else:
            cycles = array_cycles(array, fold.pe, fold.simd)
        rows.append({**row, "pe": fold.pe, "simd": fold.simd, "lanes": fold.lanes, "cycles": cycles})
    return rows


def describe(graph: Graph, designer: Designer, folded: Folded) -> dict[str, Any]:
    """Ports, the order of elements on them, cycles, folding, units, and the probes of inner layers, as plain data."""
    net, times = folded.net, folded.schedule
    source, last = designer.layers[0].inputs[0].origin, designer.layers[-1].output
    name, output = graph.outputs[0]
    # The output can be a moved view of the last layer's stream.
    view = Planner(graph).streams[output]
    entry, end = net.wires[net.units[0]["outs"][0]], net.wires[net.units[-1]["ins"][0]]

    def port(label: str, stream: Stream, lanes: int) -> dict[str, Any]:
        op = stream.op
        facts = {"name": label, "elements": op.tensor.size, "bits": op.format.bits, "lanes": lanes}
        facts |= {"signed": op.format.code_range[0] < 0, "shape": list(op.shape), "format": str(op.format)}
        return {**facts, "axes": axes_of(stream)}

    names = Printer(graph).names
    probes = []
    for layer in designer.layers:
        stream = [u for u in net.units if u["layer"] == layer.index][-1]["outs"][0]
        wires, interval = net.wires[stream], layer.output.interval
        probe = {"layer": names[layer.result], "fire": f"{stream}_fire", "signal": f"{stream}_data"}
        probe |= {"bits": wires.width, "beats": wires.words, "lanes": wires.lanes, "element_bits": wires.bits}
        probe |= {"signed": interval.signed, "shape": list(layer.result.shape), "axes": axes_of(layer.output)}
        probes.append(probe)
    units = [{k: v for k, v in u.items() if not re.fullmatch("leaf|by_group", k)} for u in net.units]
    return {
        "mode": "folded",
        "ports": {
            "input_bits": entry.width,
            "output_bits": end.lanes * last.op.format.bits,
            "input_beats": entry.words,
            "output_beats": end.words,
        },
        "inputs": [port(source.op.name, source, entry.lanes)],  # type: ignore[attr-defined]
        "outputs": [port(name, view, end.lanes)],
        "latency": times.latency,
        "first_output": times.first_output,
        "initiation_interval": times.initiation_interval,
        "folding": folding_table(designer, folded),
        "dataflow": units,
        "registers": [],
        "register_words": 0,
        "probes": probes,
    }
