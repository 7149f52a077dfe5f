"""The gate-level simulator: every transition as Icarus Verilog has it, and energies computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_support import GATES, Design, library_text, random_design, run_verilog, verilog
from hw_support import need
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import Library, parse_liberty
from edgec.hw.netlist import FlatNetlist, flatten
from edgec.hw.timing import Conditions
from edgec.hw.toggle import Simulator, simulate
from edgec.hw.toggle.energy import KINDS, energy

LIBRARY = parse_liberty(library_text())
PLAIN = Conditions(wire_ff=0, buffers=False)


@pytest.fixture(autouse=True, scope="module")
def compiler() -> None:
    need("c++")


def build(cells: dict[str, tuple[str, dict[str, int]]], library: Library = LIBRARY, **ports: list[int]) -> FlatNetlist:
    described = {n: {"direction": "output" if n[0] == "y" else "input", "bits": b} for n, b in ports.items()}
    made = {n: {"type": kind, "connections": {p: [b] for p, b in pins.items()}} for n, (kind, pins) in cells.items()}
    return flatten({"modules": {"top": {"attributes": {"top": "1"}, "ports": described, "cells": made}}}, library)


def net_numbers(netlist: FlatNetlist, design: Design) -> dict[int, int]:
    """Nets of the document -> nets of the flat netlist; every one is at a port."""
    ports = design.document["modules"]["random"]["ports"]
    return {a: int(b) for p in netlist.ports.values() for a, b in zip(ports[p.name]["bits"], p.nets, strict=True)}


@pytest.mark.parametrize("seed", range(9))
def test_transitions_are_those_of_icarus_verilog(seed: int, tmp_path: Path) -> None:
    """Rises, falls and last value of every net, for logic, flip-flops and a clock gate, settling in time or not."""
    need("iverilog")
    rng = np.random.default_rng(seed)
    flipflops, period = (0, 0, 5)[seed % 3], (4000, 260, 1501)[seed // 3]
    design = random_design(rng, 60, 6, flipflops, gated=seed >= 3)
    vectors = rng.integers(0, 2, (40, 6))
    netlist = flatten(design.document, LIBRARY)
    simulator = Simulator(netlist, LIBRARY, conditions=PLAIN)
    simulator.run({"x": vectors}, period)
    rises, falls, _, _ = simulator.engine.counts()
    values = simulator.engine.values()
    expected = run_verilog(verilog(design, vectors, period, 1 if flipflops else 0), tmp_path)
    numbers = net_numbers(netlist, design)
    assert len(expected) == design.nets - 2
    found = {n: (int(rises[m]), int(falls[m]), int(values[m])) for n, m in numbers.items()}
    assert found == expected
    assert sum(r + f for r, f, _ in expected.values()) > 500


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_settled_values_are_those_of_the_functions(seed: int, inertial: bool) -> None:
    """Whatever the delays do in between, at the end of a cycle every net has the value of its function."""
    rng = np.random.default_rng(seed)
    design = random_design(rng, 50, 6, 0)
    vectors = rng.integers(0, 2, (20, 6))
    result = simulate(flatten(design.document, LIBRARY), LIBRARY, {"x": vectors}, period=20_000, inertial=inertial)
    nets: dict[int, np.ndarray] = {n: vectors[:, i] for i, n in enumerate(design.inputs)}
    for cell in design.document["modules"]["random"]["cells"].values():
        inputs, outputs, *_ = GATES[cell["type"]]
        pins = {p: b[0] for p, b in cell["connections"].items()}
        index = sum(nets[pins[p]] << i for i, p in enumerate(inputs))
        for output in outputs:
            table = LIBRARY[cell["type"]].outputs[output].table
            nets[pins[output]] = (table >> index) & 1
    expected = np.stack([nets[n] for n in range(2, design.nets)], axis=1)
    np.testing.assert_array_equal(result.outputs["y"], expected)
    functional = int(np.abs(np.diff(expected[:, len(design.inputs) :].astype(int), axis=0)).sum())
    assert result.energy.functional == functional
    assert result.energy.transitions >= functional


def test_transport_lets_pulses_pass_that_a_gate_swallows() -> None:
    """A pulse of 13 ps (an inverter's delay) into an exclusive or of 47 ps."""
    netlist = build({"i": ("INV", {"A": 2, "Y": 3}), "x": ("XOR2", {"A": 2, "B": 3, "Y": 4})}, x=[2], y=[4])
    vectors = {"x": np.array([[0], [1], [0], [1]])}
    counts = [
        simulate(netlist, LIBRARY, vectors, period=1000, conditions=PLAIN, inertial=i).energy for i in (True, False)
    ]
    # the inverter moves every time; its pulse on the exclusive or (1 and 0 equal) does not come through
    assert counts[0].transitions == 3 and counts[0].functional == 3
    assert counts[1].transitions == 3 + 2 * 3 and counts[1].functional == 3


def test_events_have_the_times_of_their_gates() -> None:
    netlist = build({"i": ("INV", {"A": 2, "Y": 3}), "n": ("NAND2", {"A": 2, "B": 3, "Y": 4})}, x=[2], y=[3, 4])
    simulator = Simulator(netlist, LIBRARY, conditions=PLAIN, trace=100)
    x, y = netlist.ports["x"].nets, netlist.ports["y"].nets
    simulator.run({"x": np.array([[1], [0]])}, 1000)
    found = [(int(t), int(n), int(v)) for t, n, v in simulator.engine.trace()]
    # up: NAND sees 1 and 1 for 11 ps, less than its falling delay of 19 ps, and does not move
    assert found == [(0, x[0], 1), (11, y[0], 0), (1000, x[0], 0), (1013, y[0], 1)]
    assert simulator.settle_times.tolist() == [11, 13]


def test_flip_flops_take_what_was_there_before_the_edge() -> None:
    """A shift register with no logic between: no race, whatever the delays."""
    cells = {f"f{k}": ("DFF", {"CK": 2, "D": 3 + k, "Q": 4 + k}) for k in range(4)}
    netlist = build(cells, clk=[2], x=[3], y=[4, 5, 6, 7])
    bits = np.array([1, 0, 1, 1, 0, 0, 1, 0, 1])
    out = Simulator(netlist, LIBRARY, conditions=PLAIN).run({"x": bits[:, None]}, 400)["y"]
    for k in range(4):
        np.testing.assert_array_equal(out[k + 1 :, k], bits[: len(bits) - k - 1])


def test_energy_by_hand() -> None:
    """An inverter in front of another: internal energy by edge, C V^2 / 2, passive energy, leakage; at 2 V."""
    text = library_text(
        """power_lut_template(e) { variable_1 : input_transition_time; index_1("0, 1"); }
        cell(HOT) { area : 2; cell_leakage_power : 11;
          pin(A) { direction : input; capacitance : 5;
            internal_power() { rise_power(e) { values("0.25, 0.25"); } fall_power(e) { values("0.5, 0.5"); } } }
          pin(Y) { direction : output; function : "!A";
            timing() { related_pin : "A"; timing_sense : negative_unate; cell_rise(scalar) { values("0.01"); }
              cell_fall(scalar) { values("0.02"); } }
            internal_power() { related_pin : "A";
              rise_power(e) { values("3, 3"); } fall_power(e) { values("7, 7"); } } } }"""
    )
    library = parse_liberty(text)
    netlist = build({"a": ("HOT", {"A": 2, "Y": 3}), "b": ("HOT", {"A": 3, "Y": 4})}, library, x=[2], y=[4])
    simulator = Simulator(netlist, library, conditions=Conditions(wire_ff=1, buffers=False))
    bits = np.array([1, 0, 1, 0, 1])
    simulator.run({"x": bits[:, None]}, 1000)
    found = energy(simulator, 5, 1000)
    rises, falls = 3, 2  # of x and of the output of b; that of a the other way round
    half = 2.0**2 / 2
    passive = [rises * 0.25 + falls * 0.5, falls * 0.25 + rises * 0.5]
    a = (
        falls * 3 + rises * 7 + 5 * half * (5 + 1) + passive[0] + 5 * half * (5 + 1)
    )  # its output, its input at the port
    b = rises * 3 + falls * 7 + passive[1]
    leakage = 11 * 5000 * 1e-6
    np.testing.assert_allclose(found.by_cell.sum(axis=0), [a + leakage, b + leakage], rtol=1e-6)
    assert found.by_kind["leakage"] == pytest.approx(2 * leakage / 5)
    assert found.by_kind["glitch"] == found.by_kind["clock"] == found.by_kind["register"] == 0
    assert found.total == pytest.approx((a + b + 2 * leakage) / 5)
    assert found.power_mw == pytest.approx(found.total / 1000)


def clocked(gated: bool) -> FlatNetlist:
    cells: dict[str, Any] = {f"f{k}": ("DFF", {"CK": 9 if gated else 2, "D": 3, "Q": 10 + k}) for k in range(4)}
    if gated:
        cells["gate"] = ("ICG", {"CK": 2, "EN": 4, "G": 9})
    return build(cells, clk=[2], x=[3], en=[4], y=[10, 11, 12, 13])


def test_the_clock_costs_in_every_cycle_and_a_gate_stops_it() -> None:
    half = 2.0**2 / 2
    quiet = {"x": np.zeros((10, 1)), "en": np.zeros((10, 1))}
    free = simulate(clocked(False), LIBRARY, quiet, period=1000, conditions=PLAIN, clock_tree=1.5)
    assert free.energy.by_kind["clock"] == pytest.approx(4 * 2 * half * 1 * 1.5)
    assert free.energy.transitions == 0
    gated = simulate(clocked(True), LIBRARY, quiet, period=1000, conditions=PLAIN, clock_tree=1.5)
    assert gated.energy.by_kind["clock"] == pytest.approx(1 * 2 * half * 1 * 1.5)  # the gate's own pin
    open_gate = {"x": np.zeros((10, 1)), "en": np.ones((10, 1))}
    opened = simulate(clocked(True), LIBRARY, open_gate, period=1000, conditions=PLAIN, clock_tree=1.5)
    assert opened.energy.by_kind["clock"] == pytest.approx(5 * 2 * half * 1 * 1.5)


def test_a_clock_gate_decides_with_the_enable_before_the_edge() -> None:
    """x is taken only where the enable was 1 at the end of the cycle before; it may fall just behind the edge."""
    rng = np.random.default_rng(5)
    x, en = rng.integers(0, 2, (60, 1)), rng.integers(0, 2, (60, 1))
    out = Simulator(clocked(True), LIBRARY, conditions=PLAIN).run({"x": x, "en": en}, 1000)["y"]
    state, expected = 0, [0]
    for value, enable in zip(x[:-1, 0], en[:-1, 0], strict=True):
        state = int(value) if enable else state
        expected.append(state)
    for k in range(4):
        np.testing.assert_array_equal(out[:, k], expected)


def test_clear_preset_and_inverted_outputs() -> None:
    text = library_text(
        """cell(SR) { area : 6;
        ff(IQ,IQN) { clocked_on : "!CK"; next_state : "(D&E)|(IQ&!E)"; clear : "!R"; preset : "S"; }
        pin(CK) { direction : input; clock : true; } pin(D) { direction : input; } pin(E) { direction : input; }
        pin(R) { direction : input; } pin(S) { direction : input; }
        pin(Q) { direction : output; function : "IQ"; } pin(QN) { direction : output; function : "IQN"; } }"""
    )
    library = parse_liberty(text)
    pins = {"CK": 2, "D": 3, "E": 4, "R": 5, "S": 6, "Q": 7, "QN": 8}
    netlist = build({"f": ("SR", pins)}, library, clk=[2], d=[3], e=[4], r=[5], s=[6], y=[7, 8])
    simulator = Simulator(netlist, library, conditions=PLAIN)
    rows = [  # d e r s -> Q at the end of the cycle; the active edge is in its middle
        (1, 1, 1, 0, 1), (0, 0, 1, 0, 1), (0, 1, 1, 0, 0), (0, 0, 1, 1, 1), (0, 1, 1, 1, 1),
        (1, 1, 0, 0, 0), (1, 1, 1, 0, 1), (1, 1, 0, 1, 0),
    ]  # fmt: skip
    inputs = {name: np.array([[row[i]] for row in rows]) for i, name in enumerate("ders")}
    out = simulator.run(inputs, 1000)["y"]
    assert out[:, 0].tolist() == [row[4] for row in rows]
    assert out[:, 1].tolist() == [1 - row[4] for row in rows]


def test_states_can_be_set() -> None:
    cells = {"f": ("DFF", {"CK": 2, "D": 5, "Q": 4}), "x": ("XOR2", {"A": 3, "B": 4, "Y": 5})}
    netlist = build(cells, clk=[2], x=[3], y=[4, 5])
    simulator = Simulator(netlist, LIBRARY, conditions=PLAIN)
    q, d = netlist.ports["y"].nets
    simulator.settle({"x": 1}, states=(np.array([q]), np.array([1])))
    assert simulator.values(np.array([q, d])).tolist() == [1, 0]
    assert simulator.run({"x": np.array([[1], [1]])}, 1000)["y"].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(EdgecError) as caught:
        simulator.settle(states=(np.array([d]), np.array([1])))
    assert caught.value.code == "E0204"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_results_repeat_and_add_up(seed: int) -> None:
    """Two runs give the same; blocks and kinds add up to the whole; in two halves it is the same as in one."""
    rng = np.random.default_rng(seed)
    design = random_design(rng, 40, 5, 4, gated=True)
    netlist = flatten(design.document, LIBRARY)
    vectors = rng.integers(0, 2, (30, 5))
    one, two = (simulate(netlist, LIBRARY, {"x": vectors}, period=700) for _ in range(2))
    np.testing.assert_array_equal(one.energy.by_cell, two.energy.by_cell)
    assert one.energy.total == pytest.approx(sum(one.energy.by_kind.values()))
    assert sum(sum(b.values()) for b in one.energy.by_block().values()) == pytest.approx(one.energy.total)
    assert set(one.energy.by_kind) == set(KINDS)
    parts = Simulator(netlist, LIBRARY)
    outputs = [parts.run({"x": vectors[k : k + 10]}, 700)["y"] for k in (0, 10, 20)]
    np.testing.assert_array_equal(np.concatenate(outputs), one.outputs["y"])


def test_many_drivers_of_one_output_and_constant_inputs() -> None:
    """A gate with constant and doubled inputs."""
    netlist = build(
        {"m": ("MUX2", {"A": 2, "B": 2, "S": 3, "Y": 4}), "n": ("NAND2", {"A": 2, "B": 2, "Y": 5})}, x=[2, 3], y=[4, 5]
    )
    out = simulate(netlist, LIBRARY, {"x": np.array([[0, 0], [1, 0], [1, 1], [0, 1]])}, conditions=PLAIN).outputs["y"]
    assert out.tolist() == [[0, 1], [1, 0], [1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("inputs", "period", "code"),
    [
        ({"z": np.zeros((2, 1))}, 1000, "E0210"),
        ({"x": np.zeros((2, 2))}, 1000, "E0210"),
        ({"x": np.full((2, 1), 2)}, 1000, "E0210"),
        ({"x": np.zeros((2, 1)), "en": np.zeros((3, 1))}, 1000, "E0210"),
        ({"x": np.zeros((2, 1))}, 0.5, "E0204"),
    ],
)
def test_bad_stimuli_are_refused(inputs: dict[str, np.ndarray], period: float, code: str) -> None:
    simulator = Simulator(clocked(True), LIBRARY)
    with pytest.raises(EdgecError) as caught:
        simulator.run(inputs, period)
    assert caught.value.code == code


def test_functions_of_more_than_six_inputs_are_refused() -> None:
    pins = "".join(f"pin(A{k}) {{ direction : input; }}" for k in range(7))
    function = "&".join(f"A{k}" for k in range(7))
    library = parse_liberty(
        library_text(f'cell(BIG) {{ {pins} pin(Y) {{ direction : output; function : "{function}"; }} }}')
    )
    netlist = build({"b": ("BIG", {**{f"A{k}": 2 for k in range(7)}, "Y": 3})}, library, x=[2], y=[3])
    with pytest.raises(EdgecError) as caught:
        Simulator(netlist, library)
    assert caught.value.code == "E0214"
