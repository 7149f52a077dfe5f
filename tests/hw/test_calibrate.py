"""Calibration: what is read from a library, what is fitted, and what that says of designs that it has not seen."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gate_support import need_osu018

from edgec import api
from edgec.cli import cli
from edgec.console import run_command
from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Quantizer, TensorType
from edgec.graph import Graph
from edgec.hw.calibrate import calibrate, target_toml, write_target
from edgec.hw.calibrate.calibrate import compare
from edgec.hw.calibrate.cells import Reader, all_figures
from edgec.hw.calibrate.designs import Design, designs, laplace
from edgec.hw.calibrate.fit import LEAST, least_squares, scaled
from edgec.hw.calibrate.library import read_constants
from edgec.hw.calibrate.measure import measure
from edgec.hw.synth.libraries import load_library
from edgec.ops import Dense, Input, Op, Relu
from edgec.options import Options
from edgec.target import load_target

U8 = Fixed(8, 0, False)


def perceptron(*sizes: int) -> Graph:
    rng = np.random.default_rng(99)
    x = Input("x", type=TensorType(U8, (1, sizes[0])))
    y: Op = x
    for i, (before, after) in enumerate(pairwise(sizes)):
        dense = Dense(
            y, laplace(rng, (after, before)), laplace(rng, (after,)), out=Quantizer(U8, "floor"), loc=(f"d{i}",)
        )
        y = Relu(dense, loc=(f"r{i}",))
    return Graph("perceptron", (x,), (("y", y),))


def test_cells_are_found_by_function_and_measured_in_nand2() -> None:
    """The shipped library is made of the constants of a target: they are found again."""
    library, target = load_library("gate-equivalents"), load_target("gate-equivalents")
    found = all_figures(Reader(library))
    assert found["full_adder"].name == "FA" and found["mux2"].name == "MUX2" and found["voter"].name == "MAJ3"
    assert found["nand2"].load == 1.0
    for kind, figures in found.items():
        assert figures.area == pytest.approx(target.constant(f"ge.{kind}").nominal, rel=1e-4), kind
        assert len(figures.delay) == (2 if kind.endswith("adder") else 1)
    read = read_constants(load_target("asic180nm"), library)
    assert read.options["adder_cells"] == 1
    assert read.constant("ge.dff").nominal == pytest.approx(target.constant("ge.dff").nominal, rel=1e-4)


def test_least_squares_find_factors_and_none_is_negative() -> None:
    rows = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 5.0}]
    exact = least_squares(rows, [2 * r["a"] + 0.5 * r["b"] for r in rows], ["a", "b"], pull=1e-9)
    assert exact == pytest.approx({"a": 2.0, "b": 0.5}, rel=1e-3)
    assert least_squares([{"a": 1.0, "b": 1.0}], [2.0], ["a", "b", "unused"])["unused"] == pytest.approx(1.0)
    bounded = least_squares(rows, [3 * r["a"] - 0.4 * r["b"] for r in rows], ["a", "b"], pull=1e-9)
    assert bounded["b"] == LEAST


@pytest.mark.parametrize("table, unit", [("toggle", "energy.nand2_fj"), ("delay", "time.nand2_ps")])
def test_factors_scale_groups_and_the_unit_stays_the_nand2(table: str, unit: str) -> None:
    target = load_target("asic180nm")
    factors = {"adders": 0.5, "xors": 2.0, "gates": 1.25, "muxes": 1.0, "tables": 1.0, "load": 1.0}
    after = scaled(target, table, factors)
    assert after.constant(f"{table}.nand2").nominal == 1.0

    def absolute(t: object, name: str) -> float:
        return t.constant(name).nominal * t.constant(unit).nominal  # type: ignore[attr-defined]

    for kind, factor in (
        ("full_adder", 0.5),
        ("xor2", 2.0),
        ("nand2", 1.25),
        ("oai21", 1.25),
        ("mux2", 1.0),
        ("dff", 1.0),
    ):
        assert absolute(after, f"{table}.{kind}") == pytest.approx(factor * absolute(target, f"{table}.{kind}")), kind


def test_a_calibrated_target_is_a_target_file_and_holds_its_designs(tmp_path: Path) -> None:
    chosen = [d for d in designs(3) if d.name in ("dense_loaded", "dense_fixed", "dense_binary", "two_layers")]
    result = calibrate("gate-equivalents", name="own", base="asic180nm", chosen=chosen)
    write_target(result, tmp_path / "own.toml")
    target = load_target(str(tmp_path / "own.toml"))
    assert target.name == "own" and target.options["calibrated"] == 1
    assert target_toml(target) == (tmp_path / "own.toml").read_text(encoding="utf-8")
    assert {r.design for r in result.rows} == {d.name for d in chosen} and len(result.rows) == 3 * len(chosen)
    for figure, bound in (("kGE", 0.05), ("pJ", 0.20), ("ns", 0.20)):
        assert abs(result.worst(figure).error) <= bound, result.worst(figure)
    assert len(result.table()) == len(chosen)
    again = calibrate("gate-equivalents", name="own", base="asic180nm", chosen=chosen)
    assert again.toml() == result.toml()


@pytest.mark.parametrize("weights, sparse", [("fixed", True), ("loaded", False)])
def test_estimates_of_a_design_that_was_not_calibrated_on(weights: str, sparse: bool) -> None:
    """Area within 5 %, energy within 20 %, delay within 20 % of synthesis and gate-level simulation (osu018)."""
    need_osu018()
    library = load_library("osu018")
    design = Design("unseen", perceptron(20, 12, 7), Options(weights=weights), sparse, seed=5)
    found = measure(design, load_target("asic65nm"), library, "osu018")
    rows = compare(load_target("asic180nm"), [found])
    for row, bound in zip(rows, (0.05, 0.20, 0.20), strict=True):
        print(f"{weights} {row.figure}: measured {row.measured:.4g}, estimated {row.estimated:.4g}, {row.error:+.1%}")
        assert abs(row.error) <= bound, row


def test_bad_requests_end_with_their_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    garbage = tmp_path / "garbage.lib"
    garbage.write_text("library (x) { cell (A) { area : 1; } }")
    for arguments, code, status in (
        (["nowhere.lib"], "E0202", 2),
        ([str(garbage)], "E0213", 2),
        (["gate-equivalents", "--base", "gate-equivalents"], "E0204", 2),
        (["gate-equivalents", "--base", "asic66nm"], "E0205", 2),
        (["gate-equivalents", "-o", str(tmp_path / "target.txt")], "E0204", 2),
        (["gate-equivalents", "-o", str(tmp_path / "no" / "target.toml")], "E0212", 2),
        (["gate-equivalents", "--seed", "-1"], "E0204", 2),
    ):
        assert run_command(cli, ["targets", "calibrate", *arguments]) == status, arguments
        assert code in capsys.readouterr().err, arguments
    assert sorted(p.name for p in tmp_path.iterdir()) == ["garbage.lib"]


def test_the_function_refuses_what_the_command_does(tmp_path: Path) -> None:
    with pytest.raises(EdgecError, match="E0204"):
        api.calibrate("gate-equivalents", tmp_path / "x.json")
