"""The reader of cell libraries: units, tables, functions, states, and every way a file can be damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from gate_support import GATES, library_text, need_osu018
from hypothesis import given, settings
from hypothesis import strategies as st
from synth_support import OSU018

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import Cell, parse_liberty, read_liberty
from edgec.hw.liberty.function import truth_table, variables

HEAD = 'library(l) {{ time_unit : "{t}"; leakage_power_unit : "{w}"; capacitive_load_unit(1, {c}); nom_voltage : 1.2;\n'
TEMPLATES = """
  lu_table_template(by_load) { variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
    index_1("1, 3"); index_2("0.1, 0.2, 0.4"); }
  power_lut_template(one) { variable_1 : input_transition_time; index_1("0.1, 0.3"); }
"""
BUFFER = """
  cell(BUF) { area : 3; cell_leakage_power : 7;
    pin(A) { direction : input; capacitance : 2;
      internal_power() { rise_power(one) { values("1, 2"); } fall_power(one) { values("3, 4"); } } }
    pin(Y) { direction : output; max_capacitance : 40; function : "A";
      timing() { related_pin : "A"; timing_sense : positive_unate;
        cell_rise(by_load) { values("1, 2, 4", \\
          "3, 4, 6"); }
        cell_fall(by_load) { index_1("1, 2"); values("1, 1, 1", "2, 2, 2"); }
        rise_transition(scalar) { values("0.5"); } }
      internal_power() { related_pin : "A"; power(one) { values("5, 9"); } } } }
"""


def library(t: str = "1ns", w: str = "1nW", c: str = "ff", cells: str = BUFFER) -> Cell:
    return parse_liberty(HEAD.format(t=t, w=w, c=c) + TEMPLATES + cells + "}")["BUF"]


def test_tables_are_bilinear_between_points_and_continue_outside() -> None:
    arc = library().arcs[0]
    assert arc.rise is not None and arc.fall is not None and arc.rise_slew is not None
    # delays are in ps, slews in ps, loads in fF; the table is 1 + load - 1 + steps of the slew
    assert arc.rise.at(100, 1) == 1000 and arc.rise.at(400, 3) == 6000
    assert arc.rise.at(150, 2) == pytest.approx(2500)
    assert arc.rise.at(300, 1) == pytest.approx(3000)
    assert arc.rise.at(0, 1) == pytest.approx(0) and arc.rise.at(600, 5) == pytest.approx(10000)
    assert arc.fall.at(250, 1.5) == pytest.approx(1500)  # its own index_1
    assert arc.rise_slew.at(123, 45) == 500 and arc.fall_slew is None
    assert arc.rise.at(np.array([100, 400]), np.array([1, 3])).tolist() == [1000, 6000]


def test_units_change_nothing_but_the_scale() -> None:
    plain, other = library(), library("10ps", "1uW", "pf")
    assert other.pins["A"].capacitance == 1000 * plain.pins["A"].capacitance == 2000
    assert other.leakage == 1000 * plain.leakage == 7000
    assert other.pins["Y"].max_capacitance == 40000
    assert other.arcs[0].rise is not None and other.arcs[0].rise.at(1, 1000) == pytest.approx(10)
    # energy is capacitance x voltage^2: fF V^2 = fJ, pF V^2 = 1000 fJ
    passive, internal = plain.power
    assert passive.related is None and passive.rise is not None and passive.rise.at(200) == pytest.approx(1.5)
    assert internal.rise is internal.fall and internal.rise is not None and internal.rise.at(300) == 9
    assert other.power[1].rise is not None and other.power[1].rise.at(1) == pytest.approx(5000)


NAMES = ("A", "B1", "C_N", "D")
COLUMNS = {n: sum(1 << row for row in range(16) if (row >> i) & 1) for i, n in enumerate(NAMES)} | {"0": 0, "1": 0xFFFF}
PAIRS = {"&": "__and__", "*": "__and__", " ": "__and__", "+": "__or__", "|": "__or__", "^": "__xor__"}
Expression = tuple[str, int]


def grow(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Expressions in parentheses with their tables."""
    pairs = st.tuples(inner, st.sampled_from(sorted(PAIRS)), inner)
    return st.one_of(
        pairs.map(lambda t: (f"({t[0][0]}){t[1]}({t[2][0]})", getattr(t[0][1], PAIRS[t[1]])(t[2][1]))),
        inner.map(lambda e: (f"!({e[0]})", 0xFFFF ^ e[1])),
        inner.map(lambda e: (f"({e[0]})'", 0xFFFF ^ e[1])),
    )


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.sampled_from(sorted(COLUMNS.items())), grow, max_leaves=12))
def test_functions_agree_with_their_construction(expression: Expression) -> None:
    text, table = expression
    assert truth_table(text, NAMES) == table


def test_precedence_and_forms_of_functions() -> None:
    assert truth_table("A B + !C'", "ABC") == truth_table("(A&B)|C", "ABC")
    assert truth_table("A & B ^ C", "ABC") == truth_table("A & (B ^ C)", "ABC")
    assert truth_table("A^B+C", "ABC") == truth_table("(A^B)|C", "ABC")
    assert truth_table("1", "") == 1 and truth_table("A", "A") == 0b10
    assert variables("B1*(A + !B1)") == ["B1", "A"]


@pytest.mark.parametrize("text", ["A &", "(A", "A)", "A & E", "", "A $ B", "&A", "!'"])
def test_a_bad_function_is_told(text: str) -> None:
    with pytest.raises(EdgecError) as caught:
        truth_table(text, "AB")
    assert caught.value.code == "E0213"


def flipflop(body: str, pins: str = "D CK E R S") -> Cell:
    text = "".join(f"pin({p}) {{ direction : input; capacitance : 1; }}\n" for p in pins.split())
    outputs = 'pin(Q) { direction : output; function : "IQ"; } pin(QN) { direction : output; function : "IQN"; }\n'
    return library(cells=f"cell(BUF) {{ area : 1; {body}\n{text}{outputs}}}")


def test_states_of_flip_flops_and_latches() -> None:
    cell = flipflop('ff(IQ,IQN) { clocked_on : "!CK"; next_state : "(D&E)|(IQ&!E)"; clear : "!R"; preset : "S"; }')
    state = cell.sequential
    assert state is not None and state.kind == "ff" and state.clock_pins == ("CK",)
    assert state.inputs == ("D", "CK", "E", "R", "S", "IQ")  # an enable makes the state one of its inputs
    assert state.data == truth_table("(D&E)|(IQ&!E)", state.inputs)
    assert state.clock == truth_table("!CK", state.inputs)
    assert state.clear == truth_table("!R", state.inputs) and state.preset == truth_table("S", state.inputs)
    assert cell.outputs["Q"].inputs == ("IQ",) and cell.outputs["Q"].table == 0b10
    assert cell.outputs["QN"].inputs == ("IQ",) and cell.outputs["QN"].table == 0b01
    latch = flipflop('latch(IQ,IQN) { enable : "CK"; data_in : "D"; }').sequential
    assert latch is not None and latch.kind == "latch" and latch.clear is None


def test_a_clock_gate_is_a_latch_that_is_open_while_the_clock_is_low() -> None:
    gate = parse_liberty(library_text())["ICG"]
    state = gate.sequential
    assert state is not None and state.is_clock_gate and state.kind == "latch" and state.clock_pins == ("CK",)
    assert state.clock == truth_table("!CK", state.inputs) and state.data == truth_table("EN", state.inputs)
    assert gate.outputs["G"].inputs == ("CK", "M") and gate.outputs["G"].table == 0b1000


def test_what_cannot_be_simulated_says_why() -> None:
    assert flipflop("bundle(X) { members(A, B); }").unsupported
    text = (
        'cell(BUF) { pin(A) { direction : input; } pin(Y) { direction : output; function : "A"; three_state : "!A"; } }'
    )
    assert "three-state" in str(library(cells=text).unsupported)


def test_leakage_is_the_cell_s_or_the_mean_of_its_states_or_the_default() -> None:
    cell = "cell(BUF) {{ {} pin(A) {{ direction : input; }} }}"
    states = 'leakage_power() { value : 2; when : "A"; } leakage_power() { value : 6; when : "!A"; }'
    assert library(cells=cell.format(states)).leakage == 4
    assert library(cells=cell.format("cell_leakage_power : 9; " + states)).leakage == 9
    assert library(cells="default_cell_leakage_power : 3;" + cell.format("")).leakage == 3


def test_files_plain_and_compressed(tmp_path: Path) -> None:
    text = library_text()
    (tmp_path / "a.lib").write_text("/* a comment { */\n// another {\n" + text)
    (tmp_path / "b.lib.gz").write_bytes(gzip.compress(text.encode()))
    one, two = read_liberty(tmp_path / "a.lib"), read_liberty(tmp_path / "b.lib.gz")
    assert list(one) == list(two) == [*GATES, "DFF", "ICG"]
    assert one.voltage == 2 and one.nand2_area == 3
    assert one.cell("NAND2").outputs["Y"].table == 0b0111
    with pytest.raises(EdgecError) as caught:
        one.cell("NAND3")
    assert caught.value.code == "E0214" and "NAND2" in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    def code(path: Path) -> str | None:
        with pytest.raises(EdgecError) as caught:
            read_liberty(path)
        return caught.value.code

    assert code(tmp_path / "none.lib") == "E0202"
    assert code(tmp_path) == "E0202"
    (tmp_path / "cut.lib.gz").write_bytes(gzip.compress(library_text().encode())[:200])
    assert code(tmp_path / "cut.lib.gz") == "E0202"
    (tmp_path / "cut.lib").write_text(library_text()[:2000])
    assert code(tmp_path / "cut.lib") == "E0213"
    (tmp_path / "bytes.lib").write_bytes(bytes(range(256)))
    assert code(tmp_path / "bytes.lib") == "E0213"
    (tmp_path / "empty.lib").write_text("")
    assert code(tmp_path / "empty.lib") == "E0213"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('time_unit : "1ns"', 'time_unit : "1 second"'),
        ("capacitive_load_unit(1, ff)", "capacitive_load_unit(1, henry)"),
        ("nom_voltage : 1.2;", ""),
        ('values("1, 2, 4"', 'values("1, 2"'),
        ('values("1, 2, 4"', 'values("1, 2, x"'),
        ('index_2("0.1, 0.2, 0.4")', 'index_2("0.1, 0.4, 0.2")'),
        ('index_2("0.1, 0.2, 0.4");', ""),
        ("area : 3", "area : large"),
        ('function : "A"', 'function : "B"'),
    ],
)
def test_contradictions_are_told(old: str, new: str) -> None:
    text = HEAD.format(t="1ns", w="1nW", c="ff") + TEMPLATES + BUFFER + "}"
    assert old in text
    with pytest.raises(EdgecError) as caught:
        parse_liberty(text.replace(old, new, 1))["BUF"]
    assert caught.value.code == "E0213"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400), st.sampled_from(["", "{", "}", '"', ";", "(", "-", "\\"]))
def test_damage_is_a_diagnostic_and_never_a_traceback(place: int, length: int, instead: str) -> None:
    text = HEAD.format(t="1ns", w="1nW", c="ff") + TEMPLATES + BUFFER + "}"
    place %= len(text)
    try:
        for cell in parse_liberty(text[:place] + instead + text[place + length :]).values():
            assert cell.area >= 0 or cell.area < 0
    except EdgecError as error:
        assert error.code == "E0213"


def test_osu018() -> None:
    """The one library that an installation of Debian brings; figures by hand from its text."""
    need_osu018()
    found = read_liberty(OSU018)
    assert len(found) == 32 and found.voltage == 1.8 and found.nand2_area == 24
    gate = found["AND2X1"]
    assert gate.area == 32 and gate.leakage == pytest.approx(0.0746794)
    assert gate.pins["A"].capacitance == pytest.approx(12.9077)
    assert {o.pin: o.table for o in found["FAX1"].outputs.values()} == {"YC": 0b11101000, "YS": 0b10010110}
    flop = found["DFFSR"]
    assert flop.sequential is not None and flop.sequential.clear == truth_table("!R", flop.sequential.inputs)
    arc = next(a for a in flop.arcs if a.related == "CLK")
    assert arc.rise is not None and arc.rise.at(60, 100) == pytest.approx(387.715)
    assert found["TBUFX1"].unsupported
    # clock pin, both edges, in pF V^2
    assert flop.energy_of_clock(60) == pytest.approx(41.704 + 123.008)
