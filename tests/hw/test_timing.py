"""Static timing analysis: paths computed by hand, and the simulator as a bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gate_support import DFF_FALL, DFF_RISE, GATES, library_text, random_design, scalar_timing
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import Library, Table, parse_liberty
from edgec.hw.netlist import flatten
from edgec.hw.timing import Conditions, Timing, analyse, timing_entry
from edgec.hw.timing.stack import TableStack
from edgec.hw.toggle import Simulator

PLAIN = Conditions(wire_ff=0, buffers=False)
LIBRARY = parse_liberty(library_text())

# A buffer whose delay is 10 + slew/2 + 3 load (rise), 20 + load (fall) ps, whose slew is 4 + 2 load; at most 12 fF.
LINEAR = """
  lu_table_template(d) { variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1("0, 0.1"); index_2("0, 10"); }
  lu_table_template(s) { variable_1 : related_pin_transition; variable_2 : constrained_pin_transition;
    index_1("0, 1"); index_2("0, 0.1"); }
  cell(BUF) { area : 4; pin(A) { direction : input; capacitance : 1; }
    pin(Y) { direction : output; function : "A"; max_capacitance : 12;
      timing() { related_pin : "A"; timing_sense : positive_unate;
        cell_rise(d) { values("0.010, 0.040", "0.060, 0.090"); }
        cell_fall(d) { values("0.020, 0.030", "0.020, 0.030"); }
        rise_transition(d) { values("0.004, 0.024", "0.004, 0.024"); }
        fall_transition(d) { values("0.004, 0.024", "0.004, 0.024"); } } } }
  cell(REG) { area : 5; ff(IQ,IQN) { clocked_on : "CK"; next_state : "D"; }
    pin(CK) { direction : input; capacitance : 1; clock : true; }
    pin(D) { direction : input; capacitance : 2;
      timing() { related_pin : "CK"; timing_type : setup_rising;
        rise_constraint(s) { values("0.050, 0.070", "0.050, 0.070"); }
        fall_constraint(s) { values("0.001, 0.001", "0.001, 0.001"); } } }
    pin(Q) { direction : output; function : "IQ";
      timing() { related_pin : "CK"; timing_type : rising_edge; timing_sense : non_unate;
        cell_rise(d) { values("0.100, 0.110", "0.100, 0.110"); }
        cell_fall(d) { values("0.100, 0.110", "0.100, 0.110"); }
        rise_transition(d) { values("0.004, 0.024", "0.004, 0.024"); }
        fall_transition(d) { values("0.004, 0.024", "0.004, 0.024"); } } } }
"""
LINEAR_LIBRARY = parse_liberty(library_text(LINEAR))


def timed(
    cells: dict[str, tuple[str, dict[str, int]]], library: Library, conditions: Conditions = PLAIN, **ports: Any
) -> Timing:
    described = {n: {"direction": "output" if n[0] == "y" else "input", "bits": b} for n, b in ports.items()}
    made = {n: {"type": kind, "connections": {p: [b] for p, b in pins.items()}} for n, (kind, pins) in cells.items()}
    document = {"modules": {"top": {"attributes": {"top": "1"}, "ports": described, "cells": made}}}
    return analyse(flatten(document, library), library, conditions)


def test_delay_follows_load_and_slew() -> None:
    """Two buffers in a row: the first sees its successor's pin and a wire of 2 fF, the second its wire of none."""
    cells = {"a": ("BUF", {"A": 2, "Y": 3}), "b": ("BUF", {"A": 3, "Y": 4})}
    timing = timed(cells, LINEAR_LIBRARY, Conditions(wire_ff=2, input_slew=20, buffers=False), x=[2], y=[4])
    path = timing.paths["input to output"]
    first = 10 + 20 / 2 + 3 * 3
    slew = 4 + 2 * 3
    second = 10 + slew / 2
    assert path.delay == pytest.approx(first + second)
    assert [s.arrival for s in path.steps] == pytest.approx([first, first + second])
    assert [s.pin for s in path.steps] == ["a/Y", "b/Y"] and path.start == "x[0]" and path.end == "y[0]"
    assert all(s.rises for s in path.steps)
    assert timing.critical_path_ns == pytest.approx((first + second) / 1000)


def test_register_paths_begin_at_the_clock_and_end_with_the_set_up_time() -> None:
    cells = {
        "p": ("REG", {"CK": 5, "D": 2, "Q": 3}),
        "b": ("BUF", {"A": 3, "Y": 4}),
        "q": ("REG", {"CK": 5, "D": 4, "Q": 6}),
    }
    timing = timed(cells, LINEAR_LIBRARY, clk=[5], x=[2], y=[6])
    launch = 100 + 1  # 1 fF
    slew = 4 + 2 * 1
    through = 10 + slew / 2 + 3 * 2
    setup = 50 + 20 * (4 + 2 * 2) / 100
    path = timing.paths["register to register"]
    assert path.delay == pytest.approx(launch + through + setup) and path.setup == pytest.approx(setup)
    assert path.start == "p/CK" and path.end == "q/D"
    assert timing.paths["input to register"].delay == pytest.approx(50)  # slew 0
    assert timing.paths["register to output"].delay == pytest.approx(100)
    assert timing.critical is path
    entry = timing_entry(timing)
    assert entry["critical_path_ns"] == pytest.approx(path.delay / 1000, abs=1e-4)
    assert entry["groups_ns"].keys() == timing.paths.keys()


def test_inverting_arcs_change_the_edge() -> None:
    """Three inverters: rise 13, fall 11; the longest is fall, rise, fall or rise, fall, rise."""
    cells = {f"i{k}": ("INV", {"A": 2 + k, "Y": 3 + k}) for k in range(3)}
    text = library_text().replace(
        "timing_sense : non_unate; timing_type : combinational",
        "timing_sense : negative_unate; timing_type : combinational",
    )
    timing = timed(cells, parse_liberty(text), x=[2], y=[5])
    path = timing.paths["input to output"]
    assert path.delay == pytest.approx(13 + 11 + 13)
    assert [s.rises for s in path.steps] == [True, False, True]


def test_an_overloaded_net_counts_as_buffered() -> None:
    """100 pins of 1 fF on a driver for 12: two stages of buffers (12 x 8 < 100), and the driver sees 12."""
    cells = {"a": ("BUF", {"A": 2, "Y": 3})} | {f"s{k}": ("BUF", {"A": 3, "Y": 4 + k}) for k in range(100)}
    ports = {"x": [2], "y": list(range(4, 104))}
    bare = timed(cells, LINEAR_LIBRARY, Conditions(wire_ff=0, buffers=False), **ports)
    tree = timed(cells, LINEAR_LIBRARY, Conditions(wire_ff=0), **ports)
    net = 3
    net = int(tree.netlist.pin_net[tree.netlist.pin_start[0] + 1])
    assert bare.loads.driven[net] == 100 and bare.loads.buffered == 0
    assert tree.loads.driven[net] == 12 and tree.loads.buffered == 1
    assert tree.loads.switched[net] == pytest.approx(100 * 8 / 7)
    stage = 10 + (4 + 2 * 8) / 2 + 3 * 8
    assert tree.loads.extra[net] == pytest.approx(2 * stage)
    assert tree.critical_path_ns < bare.critical_path_ns


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_longest_paths_of_random_logic(seed: int) -> None:
    """Against the longest path in the graph of gates, by recursion; all arcs count for both edges."""
    design = random_design(np.random.default_rng(seed), 30, 4, 3)
    timing = analyse(flatten(design.document, LIBRARY), LIBRARY, PLAIN)
    cells = design.document["modules"]["random"]["cells"]
    arrival: dict[int, tuple[float, float]] = {n: (-np.inf, -np.inf) for n in [2, *design.inputs]}
    for cell in cells.values():
        pins = {p: b[0] for p, b in cell["connections"].items()}
        if cell["type"] == "DFF":
            arrival[pins["Q"]] = (DFF_FALL, DFF_RISE)
    for cell in cells.values():
        if cell["type"] == "DFF":
            continue
        inputs, outputs, rise, fall = GATES[cell["type"]]
        pins = {p: b[0] for p, b in cell["connections"].items()}
        before = max(max(arrival[pins[p]]) for p in inputs)
        for output in outputs:
            arrival[pins[output]] = (before + fall, before + rise)
    ends = [max(arrival[c["connections"]["D"][0]]) for c in cells.values() if c["type"] == "DFF"]
    path = timing.paths.get("register to register")
    if max(ends) == -np.inf:
        assert path is None
    else:
        assert path is not None and path.delay == pytest.approx(max(ends))
        assert path.steps[-1].arrival == pytest.approx(path.delay)
        steps = [s.arrival for s in path.steps]
        assert steps == sorted(steps)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_longest_path_bounds_the_simulation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    design = random_design(rng, 40, 5, 0)
    netlist = flatten(design.document, LIBRARY)
    simulator = Simulator(netlist, LIBRARY, conditions=PLAIN)
    simulator.run({"x": rng.integers(0, 2, (50, 5))}, 10_000)
    longest = simulator.timing.paths["input to output"].delay
    assert simulator.settle_times.max() <= longest
    assert simulator.settle_times.max() > 0.2 * longest


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_stack_of_tables_interpolates_like_each_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stack = TableStack()
    tables = []
    for _ in range(5):
        axes = [np.cumsum(rng.uniform(0.1, 5, int(rng.integers(1, 5)))) for _ in range(2)]
        tables.append(Table(axes[0], axes[1], rng.normal(size=(len(axes[0]), len(axes[1])))))
    numbers = np.array([stack.add(t) for t in tables])
    assert stack.add(tables[2]) == numbers[2] and stack.add(None) == -1
    pick = rng.integers(0, 5, 200)
    slew, load = rng.uniform(-3, 25, 200), rng.uniform(-3, 25, 200)
    expected = [float(tables[k].at(x, y)) for k, x, y in zip(pick, slew, load, strict=True)]
    np.testing.assert_allclose(stack.at(numbers[pick], slew, load), expected, rtol=1e-9, atol=1e-9)
    assert not stack.at(np.array([-1]), slew[:1], load[:1]).any()


@pytest.mark.parametrize("wrong", [{"wire_ff": -1}, {"clock_slew": -0.1}, {"input_slew": float("nan")}])
def test_conditions_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(EdgecError) as caught:
        Conditions(**wrong)
    assert caught.value.code == "E0204"


def test_the_older_linear_delay_model() -> None:
    text = scalar_timing("A", 1, 1)
    linear = 'timing() { related_pin : "A"; intrinsic_rise : 0.03; rise_resistance : 0.002; intrinsic_fall : 0.01; }'
    old = (
        "cell(OLD) { area : 1; pin(A) { direction : input; capacitance : 5; }"
        'pin(Y) { direction : output; function : "A"; %s } }'
    )
    assert text in library_text(old % text)
    library = parse_liberty(library_text(old % linear))
    timing = timed({"a": ("OLD", {"A": 2, "Y": 3}), "b": ("OLD", {"A": 3, "Y": 4})}, library, x=[2], y=[4])
    assert timing.critical_path_ns == pytest.approx(0.03 + 0.002 * 5 + 0.03)
