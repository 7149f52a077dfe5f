"""The netlist of one-bit cells behind a kernel: the function of its circuit, and the adders that it is counted with."""

from __future__ import annotations

import numpy as np
import pytest
from blocks_support import draw_graphs
from test_blocks_modules import EXAMPLES

from edgec.backend import FULL_ADDER, GateNetlist
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.evaluate import evaluate
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.state import Register
from edgec.backends.rtl.circuit.wire import Input, Wire
from edgec.backends.rtl.design import build_modules
from edgec.backends.rtl.gates import gate_netlist
from edgec.graph import Graph
from edgec.hw.estimate.levelled import levelled
from edgec.hw.estimate.waveform import toggle

BLOCKS = ("dense", "conv", "activation", "arithmetic", "requantize", "threshold", "table", "pool", "reduce", "detector")
PAIRS = 64


def circuits(graph: Graph, loaded: bool) -> list[Circuit]:
    return [m.circuit for m in build_modules(graph, "net", loaded)[0].modules]


def bits(values: np.ndarray, wires: tuple[Wire, ...]) -> list[np.ndarray]:
    """[bits of all wires] of [samples] from values [samples, wires]."""
    columns = values.reshape(len(values), -1)
    return [(columns[:, i] >> b & 1).astype(np.uint8) for i, w in enumerate(wires) for b in range(w.width)]


def words(rows: list[np.ndarray]) -> np.ndarray:
    """[bits, 1] of uint64 from [bits] of 64 samples."""
    return np.packbits(np.array(rows, np.uint8).reshape(len(rows), -1), axis=1, bitorder="little").view(np.uint64)


def check(circuit: Circuit, adder_cells: bool) -> None:
    """The settled values before and behind a change of all inputs are those of the circuit."""
    rng = np.random.default_rng(5)
    ports = circuit.input_ports.items()
    given = {
        port: np.stack([rng.integers(w.interval.lo, w.interval.hi, 2 * PAIRS, endpoint=True) for w in ws], axis=1)
        for port, ws in ports
    }
    if not given:
        return
    rows = [row for port, ws in ports for row in bits(given[port], ws)]
    before, after = words([r[:PAIRS] for r in rows]), words([r[PAIRS:] for r in rows])
    levels = levelled(gate_netlist(circuit), adder_cells)
    times = 4 + 2 * sum(len(level.steps) for level in [levels, *levels.children])
    values = np.repeat(after[:, None], times, axis=1)
    values[:, 0] = before
    toggles, outputs = toggle(levels, lambda level: np.full(level.netlist.nets, 1), values)
    expected = evaluate(circuit, given)
    wanted = [row for port, ws in circuit.output_ports.items() for row in bits(expected[port], ws)]
    assert np.array_equal(outputs[:, 0], words([r[:PAIRS] for r in wanted]))
    assert np.array_equal(outputs[:, -1], words([r[PAIRS:] for r in wanted]))
    assert (toggles.transitions >= toggles.useful).all()


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("adder_cells", [True, False])
def test_the_netlist_computes_what_the_circuit_does(block: str, adder_cells: bool) -> None:
    for graph in draw_graphs(EXAMPLES[block][0], 4, 77, False):
        for circuit in circuits(graph, False):
            check(circuit, adder_cells)


@pytest.mark.parametrize("block", ["dense loaded", "conv loaded", "threshold loaded"])
def test_with_loaded_weights_too(block: str) -> None:
    for graph in draw_graphs(EXAMPLES[block][0], 3, 78, True):
        for circuit in circuits(graph, True):
            check(circuit, True)


def adders(netlist: GateNetlist) -> int:
    return int((netlist.kinds == FULL_ADDER).sum()) + sum(adders(inner) for inner, _, _ in netlist.children)


@pytest.mark.parametrize("loaded", [False, True])
def test_full_adders_are_those_that_are_counted(loaded: bool) -> None:
    for graph in draw_graphs(EXAMPLES["dense loaded" if loaded else "dense"][0], 4, 79, loaded):
        for circuit in circuits(graph, loaded):
            assert adders(gate_netlist(circuit)) == circuit.cells["FA"]


def test_registers_have_no_combinational_netlist() -> None:
    x = Input("x", Interval.of_bits(4))
    with pytest.raises(ValueError, match="registers"):
        gate_netlist(Circuit("held", {"y": Register(x)}))
