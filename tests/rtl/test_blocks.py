"""Every block of the RTL backend against the interpreter: in numpy for many draws, in Verilator for a sample."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from block_graphs import BLOCKS, graph_of, legal
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from test_support import require_tool

import edgec
from edgec.backends.rtl.bank import bank_entries
from edgec.backends.rtl.circuit.evaluate import evaluate
from edgec.backends.rtl.modules import Builder
from edgec.backends.rtl.schedule import schedule
from edgec.backends.rtl.support import unsupported
from edgec.comparison import reference
from edgec.formats import Fixed, TensorType
from edgec.graph import Graph, topological
from edgec.interp import random_frames
from edgec.ops import Input, Op, Relu, Transpose, integers
from edgec.options import Options
from edgec.text import Printer, print_graph


def frames_of(graph: Graph, count: int = 40) -> dict[str, np.ndarray]:
    """Random codes, with the two ends of every format in front."""
    frames = random_frames(graph, count, 3)
    for wanted in graph.inputs:
        lo, hi = wanted.format.code_range
        frames[wanted.name][0], frames[wanted.name][1] = lo, hi
    return frames


def check_modules(graph: Graph, loaded: bool) -> None:
    """Evaluate each layer module on the interpreter's own inputs and compare what it drives."""
    names = Printer(graph).names
    entries = bank_entries(graph) if loaded else []
    plan = schedule(graph)
    legal_names = {op: text.replace(".", "_") for op, text in names.items()}
    builder = Builder(graph, plan, "dut", legal_names, {e.constant for e in entries})
    frames = frames_of(graph)
    expected = reference(graph, frames)
    values = {op: expected.layers.get(names[op]) for op in graph.ops} | {i: frames[i.name] for i in graph.inputs}
    for module in builder.modules:
        ports = {port: values[signal.op] for port, signal in module.reads.items()}
        inputs = {port: np.asarray(v).reshape(len(v), -1).astype(np.int64) for port, v in ports.items()}
        count = len(next(iter(frames.values())))
        for port, constant in module.parameters.items():
            inputs[port] = np.broadcast_to(constant.data.reshape(1, -1).astype(np.int64), (count, constant.data.size))
        found = evaluate(module.circuit, inputs, check=True)
        for port, signal in module.drives.items():
            want = np.asarray(values[signal.op]).reshape(count, -1).astype(np.int64)
            have = np.broadcast_to(found[port].reshape(len(found[port]), -1), want.shape)
            assert np.array_equal(have, want), f"{names[signal.op]} of\n{print_graph(graph)[0]}"


@pytest.mark.parametrize("name", BLOCKS)
def test_modules_equal_the_interpreter(name: str) -> None:
    loaded = name == "loaded_macs"

    @settings(max_examples=150)
    @given(legal(BLOCKS[name]))
    def check(op: Op) -> None:
        graph = graph_of(op)
        if not unsupported(graph, loaded):
            check_modules(graph, loaded)

    check()


def merged(name: str, strategy: st.SearchStrategy[Op], count: int, loaded: bool) -> Graph:
    """`count` drawn blocks side by side in one graph, so that one simulator holds them all."""
    drawn: list[Op] = []

    @seed(7)
    @settings(max_examples=4 * count, database=None)
    @given(legal(strategy))
    def collect(op: Op) -> None:
        if len(drawn) < count and not unsupported(graph_of(op), loaded):
            drawn.append(op)

    collect()
    inputs: list[Input] = []
    outputs: list[tuple[str, Op]] = []
    for k, op in enumerate(drawn):
        mapping: dict[Op, Op] = {}
        for node in topological(op):
            if isinstance(node, Input):
                mapping[node] = dataclasses.replace(node, name=f"{node.name}{k}")
                inputs.append(mapping[node])  # type: ignore[arg-type]
            else:
                mapping[node] = node.with_operands(mapping[o] for o in node.operands)
        outputs.append((f"y{k}", mapping[op]))
    assert len(outputs) >= count // 2
    return Graph(name, tuple(inputs), tuple(outputs))


@pytest.mark.parametrize(
    ("blocks", "weights"),
    [("macs", "fixed"), ("loaded_macs", "loaded"), ("elementwise", "fixed"), ("pools", "fixed"), ("detectors", "fixed"),
     ("networks", "loaded")],
)  # fmt: skip
def test_simulated_rtl_equals_the_interpreter(tmp_path, blocks: str, weights: str) -> None:
    """All blocks of one kind in one design: every output and every probed layer, with and without stalls."""
    require_tool("verilator")
    require_tool("iverilog")
    graph = merged(blocks, BLOCKS[blocks], 8 if blocks == "networks" else 24, weights == "loaded")
    options = Options(weights=weights, passes="", max_area_kge=1e6)
    artefact = edgec.build(graph, "gate-equivalents", tmp_path / "out", options)
    result = edgec.verify(artefact, vectors=300, on=("verilator", "icarus"))
    assert result["ok"]


def test_outputs_that_are_wiring_pass_and_constants_are_refused(tmp_path) -> None:
    """A transposed input gets a stage of its own; the same op may be two outputs; a constant is no hardware."""
    require_tool("iverilog")
    x = Input("x", type=TensorType(Fixed(6, 2), (1, 4)))
    turned, relu = Transpose(x, (1, 0)), Relu(x)
    graph = Graph("wiring", (x,), (("turned", turned), ("same", x), ("relu", relu), ("again", relu)))
    artefact = edgec.build(graph, "gate-equivalents", tmp_path / "out", Options(passes=""))
    assert edgec.verify(artefact, on=("icarus", "onnxruntime"))["ok"]
    constant_output = Graph("constant", (x,), (("relu", relu), ("c", integers([1, 2]))))
    with pytest.raises(edgec.EdgecError, match="output 'c' is a constant"):
        edgec.build(constant_output, "gate-equivalents", tmp_path / "refused", Options(passes=""))
    assert not (tmp_path / "refused").exists()
