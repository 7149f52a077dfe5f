"""Holds drawn graphs against the interpreter: module by module in numpy, or many side by side in one simulation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from edgec.backend import BuildPlan
from edgec.backends.rtl.circuit.evaluate import evaluate
from edgec.backends.rtl.design import build_modules, make_plan
from edgec.backends.rtl.support import unsupported
from edgec.comparison import Difference, Reference, first_difference, reference
from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.hw.sim.ports import Ports, Probe
from edgec.hw.sim.verilator_lib import Simulation
from edgec.hw.sim.words import Field, pack_fields, unpack_fields
from edgec.interp import random_frames
from edgec.ops import Constant, Input, Op
from edgec.target import Target
from edgec.text import Printer, print_graph
from edgec.weight_image import parameter_words

TARGET = Target("bench", "rtl", "", "", {})


def frames_of(graph: Graph, count: int = 48, key: int = 3) -> dict[str, np.ndarray]:
    """Random codes; first frames of each end of every format, of zeros where they are codes, and of the ends mixed."""
    frames = random_frames(graph, count, key)
    rng = np.random.default_rng(key)
    for wanted in graph.inputs:
        lo, hi = wanted.format.code_range
        data = frames[wanted.name]
        data[0], data[1], data[2] = lo, hi, max(lo, 0)
        data[3:8] = np.where(rng.random(data[3:8].shape) < 0.5, lo, hi)
        data[8:12] = np.where(rng.random(data[8:12].shape) < 0.7, max(lo, 0), data[8:12])
    return frames


def module_difference(graph: Graph, loaded: bool, count: int = 48) -> Difference | None:
    """Evaluate each layer module on the interpreter's values of what it reads; the first wrong word it drives."""
    names = Printer(graph).names
    builder, _ = build_modules(graph, "dut", loaded)
    frames = frames_of(graph, count)
    expected = reference(graph, frames)
    values = {op: expected.layers.get(names[op]) for op in graph.ops} | {i: frames[i.name] for i in graph.inputs}
    layers: dict[str, np.ndarray] = {}
    for module in builder.modules:
        inputs = {p: np.asarray(values[s.op]).reshape(count, -1).astype(np.int64) for p, s in module.reads.items()}
        for port, constant in module.parameters.items():
            inputs[port] = np.broadcast_to(constant.data.reshape(1, -1).astype(np.int64), (count, constant.data.size))
        found = evaluate(module.circuit, inputs, check=True)
        for port, signal in module.drives.items():
            flat = found[port].reshape(len(found[port]), -1)
            layers[names[signal.op]] = np.broadcast_to(flat, (count, signal.elements)).reshape(count, *signal.op.shape)
    return first_difference(expected, layers, expected.outputs)


def check_modules(graph: Graph, loaded: bool) -> None:
    """Fail with the graph's text when a module differs from the interpreter."""
    difference = module_difference(graph, loaded)
    assert difference is None, f"{difference}\n{print_graph(graph)[0]}"


def draw_graphs(strategy: st.SearchStrategy[Graph], count: int, key: int, loaded: bool) -> list[Graph]:
    """`count` supported graphs of `strategy`, always the same ones."""
    drawn: list[Graph] = []

    @seed(key)
    @settings(
        max_examples=3 * count, database=None, derandomize=False, suppress_health_check=list(HealthCheck), deadline=None
    )
    @given(strategy)
    def collect(graph: Graph) -> None:
        if len(drawn) < count and not unsupported(graph, loaded):
            drawn.append(graph)

    collect()
    assert len(drawn) == count, f"only {len(drawn)} of {count} draws can be built"
    return drawn


def merge(name: str, branches: Sequence[Graph]) -> Graph:
    """The graphs side by side in one; inputs, outputs and constants of branch k have the prefix `b<k>_`."""
    inputs: list[Input] = []
    outputs: list[tuple[str, Op]] = []
    for k, graph in enumerate(branches):
        mapping: dict[Op, Op] = {}
        for op in graph.ops:
            if isinstance(op, Input):
                mapping[op] = dataclasses.replace(op, name=f"b{k}_{op.name}")
                inputs.append(mapping[op])  # type: ignore[arg-type]
            else:
                mapping[op] = op.with_operands(mapping[o] for o in op.operands)
        outputs += [(f"b{k}_{n}", mapping[op]) for n, op in graph.outputs]
    return Graph(name, tuple(inputs), tuple(outputs))


@dataclass
class Design:
    """The files of a plan in a folder, and a simulation of them with probes on every layer."""

    graph: Graph
    weights: str
    folder: Path
    defines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.plan: BuildPlan = make_plan(self.graph, TARGET, {"name": "dut", "weights": self.weights})
        for name, data in self.plan.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        interface = self.plan.interface
        self.files = [self.folder / f for f in interface["files"]]
        self.probes = interface["probes"]
        self._simulation: Simulation | None = None

    @property
    def simulation(self) -> Simulation:
        if self._simulation is None:
            self._simulation = Simulation(
                self.files,
                "dut",
                Ports(**self.plan.interface["ports"]),
                workdir=self.folder / "sim",
                defines=self.defines,
                probes=[Probe(p["signal"], p["bits"], p["depth"]) for p in self.probes],
            )
        return self._simulation

    def load(self, trained: Graph) -> None:
        """Write the constants of `trained`, a graph of the same structure, into the register bank."""
        words = parameter_words(trained, self.plan.interface["registers"])
        self.simulation.write_registers(range(len(words)), [int(w) for w in words])

    def run(self, frames: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Codes of the layers and of the outputs."""
        interface = self.plan.interface
        count = len(next(iter(frames.values())))
        parts = [(frames[i["name"]].reshape(count, -1).astype(np.int64), i["bits"]) for i in interface["inputs"]]
        result = self.simulation.run_batch(pack_fields(parts))
        assert (result.latency, result.initiation_interval) == (interface["latency"], 1)
        fields = [Field(o["elements"], o["bits"], o["signed"]) for o in interface["outputs"]]
        outputs = {
            o["name"]: values.reshape(count, *o["shape"])
            for o, values in zip(interface["outputs"], unpack_fields(result.outputs, fields), strict=True)
        }
        layers = {}
        for p in self.probes:
            (values,) = unpack_fields(
                result.probes[p["signal"]], [Field(p["elements"], p["element_bits"], p["signed"])]
            )
            layers[p["layer"]] = values.reshape(count, *p["shape"])
        return layers, outputs

    def difference(self, frames: Mapping[str, np.ndarray], trained: Graph | None = None) -> Difference | None:
        """The first word that differs from the interpreter's on `trained` (default: the graph that was built)."""
        graph = trained or self.graph
        if self.weights == "loaded" and self.plan.interface["register_words"]:
            self.load(graph)
        expected = reference(graph, frames)
        found = first_difference(expected, *self.run(frames))
        if found is not None:
            return found
        return compare_words(expected, self)

    def close(self) -> None:
        if self._simulation is not None:
            self._simulation.close()


def compare_words(expected: Reference, design: Design) -> None:
    """Every output and every probed layer was there to be compared."""
    assert {o["name"] for o in design.plan.interface["outputs"]} == set(expected.outputs)
    assert {p["layer"] for p in design.probes} <= set(expected.layers)


def check_simulated(
    branches: Sequence[Graph], weights: str, folder: Path, defines: tuple[str, ...] = (), frames: int = 200
) -> Design:
    """One build of all `branches`; on a difference each is built alone, to name the one to blame."""
    merged = merge("dut", branches)
    design = Design(merged, weights, folder / "all", defines)
    difference = design.difference(frames_of(merged, frames))
    if difference is not None:
        raise AssertionError(f"{difference}\n{culprit(branches, weights, folder, defines)}")
    return design


def culprit(branches: Sequence[Graph], weights: str, folder: Path, defines: tuple[str, ...]) -> str:
    """The text of the first branch that differs when it is built alone."""
    for k, graph in enumerate(branches):
        design = Design(graph, weights, folder / f"branch{k}", defines)
        difference = design.difference(frames_of(graph, 200))
        design.close()
        if difference is not None:
            return f"branch {k}: {difference}\n{print_graph(graph)[0]}"
    return "no branch differs when it is built alone: the top module joins them wrongly"


def retrained(graph: Graph, key: int) -> Graph:
    """The same network with other codes in everything that a register bank holds."""
    rng = np.random.default_rng(key)
    from edgec.backends.rtl.bank import bank_entries

    fresh = {e.constant for e in bank_entries(graph)}
    mapping: dict[Op, Op] = {}
    for op in graph.ops:
        if isinstance(op, Constant) and op in fresh:
            lo, hi = op.format.code_range
            data = rng.integers(lo, hi, op.shape, endpoint=True)
            mapping[op] = Constant(data, type=op.tensor, loc=op.loc)
        else:
            mapping[op] = op.with_operands(mapping[o] for o in op.operands)
    return dataclasses.replace(graph, outputs=tuple((n, mapping[o]) for n, o in graph.outputs))


def refusal(graph: Graph, loaded: bool) -> EdgecError | None:
    """The error with which the backend refuses `graph`; None when it plans it. Anything else is a fault of it."""
    try:
        make_plan(graph, TARGET, {"name": "dut", "weights": "loaded" if loaded else "fixed"})
    except EdgecError as error:
        return error
    return None
