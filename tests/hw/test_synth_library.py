"""Cell libraries for synthesis: where they are found, what is refused, and the one that is shipped."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from gate_support import need_osu018
from hypothesis import given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import parse_liberty
from edgec.hw.synth import load_library
from edgec.hw.synth.adders import adder_cells, adder_modules
from edgec.hw.synth.functions import implicants, monomials
from edgec.hw.synth.gate_equivalents import FLIP_FLOPS, GATES, LOAD_SHARE, PIN, liberty_text
from edgec.hw.synth.models import cell_model
from edgec.target import load_target

SMALL = """library (small) {
  time_unit : "1ns"; voltage_unit : "1V"; capacitive_load_unit (1, pf); nom_voltage : 1.0;
  cell (ND) { area : 2.0; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "(A B)'"; } }
  cell (BIG) { area : 3.0; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!(A*B)"; } }
  cell (HIDDEN) { area : 1.0; dont_use : true; pin (A) { direction : input; } pin (B) { direction : input; }
    pin (Y) { direction : output; function : "!A + !B"; } }
}
"""


def code(error: pytest.ExceptionInfo[EdgecError]) -> str:
    return error.value.diagnostics[0].code


def test_the_gate_equivalent_is_the_smallest_usable_nand(tmp_path: Path) -> None:
    path = tmp_path / "small.lib"
    path.write_text(SMALL)
    library = load_library(path)
    assert library.name == library.title == "small"
    assert library.nand2.name == "ND" and library.unwanted == {"HIDDEN"}
    assert adder_cells(library) == {} and "assign co" in adder_modules(library)
    packed = tmp_path / "small.lib.gz"
    packed.write_bytes(gzip.compress(SMALL.encode()))
    assert load_library(packed).sha256 == library.sha256


PARTS = {
    "nand": SMALL[SMALL.index("  cell (ND)") : SMALL.index("  cell (BIG)")],
    "inverter": """  cell (INV) { area : 1.0; pin (A) { direction : input; }
    pin (Y) { direction : output; function : "!A"; } }
""",
    "flip-flop": """  cell (FF) { area : 9; ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin (CK) { direction : input; clock : true; } pin (D) { direction : input; }
    pin (Q) { direction : output; function : "IQ"; } }
""",
}


@pytest.mark.parametrize(
    ("missing", "text", "words"),
    [
        ("nand", "", "no two-input NAND"),
        ("inverter", "", "no inverter"),
        ("flip-flop", "", "no flip-flop"),
        ("flip-flop", PARTS["flip-flop"].replace("area : 9;", "area : 9; dont_use : true;"), "no flip-flop"),
        ("inverter", PARTS["inverter"].replace("1.0", "nan"), "the area of cell INV is nan"),
        ("nand", PARTS["nand"].replace("2.0", "-2.0"), "the area of cell ND is -2"),
    ],
)
def test_what_designs_cannot_be_mapped_onto(tmp_path: Path, missing: str, text: str, words: str) -> None:
    header, path = SMALL[: SMALL.index("  cell (ND)")], tmp_path / "part.lib"
    path.write_text(header + "".join(PARTS.values()) + "}\n")
    load_library(path).check()
    path.write_text(header + "".join({**PARTS, missing: text}.values()) + "}\n")
    with pytest.raises(EdgecError, match=words) as error:
        load_library(path).check()
    assert code(error) == "E0213"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"module x; endmodule\n", "E0213"),
        (b"", "E0213"),
        (SMALL[:200].encode(), "E0213"),
        (gzip.compress(SMALL.encode())[:-9], "E0213"),
        (bytes(range(256)) * 40, "E0213"),
    ],
)
def test_what_is_no_liberty_file(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "bad.lib"
    path.write_bytes(content)
    with pytest.raises(EdgecError) as error:
        load_library(path)
    assert code(error) == expected
    assert "bad.lib" in error.value.diagnostics[0].what


def test_a_library_without_a_nand_has_no_gate_equivalent(tmp_path: Path) -> None:
    path = tmp_path / "poor.lib"
    path.write_text(SMALL.replace("(A B)'", "A B").replace("!(A*B)", "A+B"))
    with pytest.raises(EdgecError) as error:
        _ = load_library(path).nand2
    assert code(error) == "E0213"


def test_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "none.lib", tmp_path):
        with pytest.raises(EdgecError) as error:
            load_library(path)
        assert code(error) == "E0202"
    monkeypatch.setattr("edgec.hw.synth.libraries.OSU018", tmp_path / "none.lib")
    with pytest.raises(EdgecError) as error:
        load_library("osu018")
    assert code(error) == "E0601" and "qflow" in str(error.value.diagnostics[0].remedy)
    assert load_library(None).name == "gate-equivalents"


def test_osu018_has_adders() -> None:
    need_osu018()
    library = load_library("osu018")
    assert library.nand2.name == "NAND2X1" and library.nand2.area == 24
    assert adder_cells(library) == {"full_adder": "FAX1", "half_adder": "HAX1"}
    assert ".YS(s), .YC(co)" in adder_modules(library)
    assert library.target == "asic180nm" and {"TBUFX1", "TBUFX2"} <= library.unwanted
    assert library.is_flip_flop("DFFPOSX1") and not library.is_flip_flop("LATCH")


def test_the_shipped_library_is_what_the_constants_say() -> None:
    library = load_library("gate-equivalents")
    assert library.text == liberty_text()
    target = load_target("gate-equivalents")
    kinds = {cell: gate.kind for cell, gate in GATES.items()} | {cell: f[0] for cell, f in FLIP_FLOPS.items()}
    assert set(library.cells) == set(kinds)
    assert set(kinds.values()) == {name[3:] for name in target.constants if name.startswith("ge.")}
    for cell, kind in kinds.items():
        assert library.area(cell) == pytest.approx(target.constant(f"ge.{kind}").nominal, rel=1e-5)
    assert library.nand2.name == "NAND2" and library.nand2.area == 1
    assert adder_cells(library) == {"full_adder": "FA", "half_adder": "HA"}


@pytest.mark.parametrize("cell", sorted(GATES))
def test_delays_and_energies_of_the_shipped_library(cell: str) -> None:
    """With a load of three inputs: the constants of the target, whatever the input slew."""
    target, read = load_target("gate-equivalents"), load_library("gate-equivalents").cells[cell]
    kind = GATES[cell].kind
    for arc in read.arcs:
        for table in (arc.rise, arc.fall):
            assert table is not None
            assert float(table.at(50, 3 * PIN)) == pytest.approx(1000 * target.constant(f"delay.{kind}").nominal, 1e-4)
    for power in read.power:
        assert power.rise is not None
        energy = float(power.rise.at(50)) + LOAD_SHARE
        assert energy == pytest.approx(target.constant(f"toggle.{kind}").nominal, rel=1e-4)


def test_clock_energy_of_the_shipped_library() -> None:
    target, library = load_target("gate-equivalents"), load_library("gate-equivalents").cells
    for cell in FLIP_FLOPS:
        whole = library[cell].energy_of_clock(50) + PIN  # internal, and C V^2 of the pin
        assert whole == pytest.approx(target.constant("clock.dff").nominal, rel=1e-3)


@given(st.integers(1, 4), st.data())
def test_forms_of_truth_tables(inputs: int, data: st.DataObject) -> None:
    table = data.draw(st.integers(0, (1 << (1 << inputs)) - 1))
    polynomial, products = monomials(table, inputs), implicants(table, inputs)
    for row in range(1 << inputs):
        want = table >> row & 1
        assert sum(all(row >> k & 1 for k in term) for term in polynomial) % 2 == want
        assert any(row & mask == value for mask, value in products) == want


def test_models_of_flip_flops() -> None:
    text = (
        SMALL[:-2]
        + """cell (FF) { area : 9; ff (IQ, IQN) { next_state : "(D E) + (IQ !E)"; clocked_on : "CK'";
      clear : "!R"; } pin (CK) { direction : input; clock : true; } pin (D) { direction : input; }
      pin (E) { direction : input; } pin (R) { direction : input; }
      pin (QN) { direction : output; function : "IQN"; } } }"""
    )
    model = cell_model(parse_liberty(text)["FF"])
    assert "wire clock = ~CK" in model and "wire clear = ~R" in model and "assign QN = ~state" in model
    assert "(E & D)" in model or "(D & E)" in model
