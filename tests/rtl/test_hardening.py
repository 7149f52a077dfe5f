"""Hardening of the RTL: what can be asked for, the emitted registers, bit-exactness, and what synthesis leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgec import api
from edgec.artefact import Artefact
from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Quantizer, TensorType
from edgec.graph import Graph
from edgec.hardening import CLASSES, FULL, Hardening, parse_hardening, register_cells
from edgec.hw.faults.sites import find_sites
from edgec.hw.sim.iverilog import run_testbench
from edgec.hw.tools.doctor import FINDERS
from edgec.ops import Cast, Constant, Dense, Input, Relu
from edgec.options import Options
from edgec.ranking import ranked

TARGET = "gate-equivalents"


def need(*tools: str) -> None:
    """A missing tool skips a test at a desk, where `-ra` shows it, and fails it in continuous integration."""
    for name in tools:
        tool = FINDERS[name]()
        if not tool.usable:
            message = f"{name}: {tool.problem}; {tool.remedy}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)


@pytest.fixture(scope="module")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    need("verilator", "c++", "make")
    folder = tmp_path_factory.mktemp("simulators")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEC_CACHE", str(folder))
        yield folder


def network() -> Graph:
    """Two dense layers in a row: two stages, and a bank of 17 + 3 words' worth of bits in four tensors."""
    generator = np.random.default_rng(1)

    def drawn(shape: tuple[int, ...], name: str) -> Constant:
        return Constant(generator.integers(-4, 4, shape), type=TensorType(Fixed(3, 1), shape), loc=(name,))

    x = Input("x", type=TensorType(Fixed(4, 2), (1, 5)))
    op = Dense(x, drawn((7, 5), "a.w"), drawn((7,), "a.b"), loc=("a",))
    inner = Cast(Relu(op), Quantizer(Fixed(4, 1, False), "floor"), loc=("inner",))
    op = Dense(inner, drawn((3, 7), "b.w"), drawn((3,), "b.b"), loc=("b",))
    return Graph("pair", (x,), (("y", Cast(Relu(op), Quantizer(Fixed(4, 1, False), "floor"), loc=("last",))),), {})


def built(folder: Path, harden: str | None, weights: str = "loaded", ranking: Path | None = None) -> Artefact:
    options = Options(weights=weights, harden=harden, ranking=str(ranking) if ranking else None, golden=32)
    return api.build(network(), TARGET, folder, options)


def every_other_bit(artefact: Artefact, path: Path) -> Path:
    """A ranking that puts a seeded mixture of bits first, so that words have bits of both kinds."""
    sites = find_sites(artefact.manifest["interface"]["state"])
    positions = np.unique(sites.positions()[sites.of_class("weight")])
    scores = np.random.default_rng(4).random(positions.size)
    path.write_bytes(ranked(artefact.manifest["network_id"], "drawn", 1, positions, scores).as_bytes())
    return path


@pytest.mark.parametrize(
    ("text", "styles", "budget"),
    [
        (None, ("none", "none", "none"), None),
        ("none", ("none", "none", "none"), None),
        ("full", tuple(FULL[c] for c in CLASSES), None),
        ("register-tmr", ("register-tmr",) * 3, None),
        ("tmr", ("register-tmr",) * 3, None),
        ("scrub", ("full-tmr-scrub",) * 3, None),
        ("weight=full-tmr-scrub,data=register-tmr", ("full-tmr-scrub", "register-tmr", "none"), None),
        ("full, data=none", ("full-tmr-scrub", "none", "register-tmr"), None),
        ("weight = scrub , budget = 20%", ("full-tmr-scrub", "none", "none"), "20%"),
        ("budget=20%", ("full-tmr-scrub", "none", "none"), "20%"),
        ("full,budget=12.5kGE", tuple(FULL[c] for c in CLASSES), "12.5kGE"),
        ("weight=tmr,budget=100bits", ("register-tmr", "none", "none"), "100bits"),
    ],
)
def test_what_can_be_asked_for(text: str | None, styles: tuple[str, ...], budget: str | None) -> None:
    hardening = parse_hardening(text)
    assert tuple(hardening.style(c) for c in CLASSES) == styles
    assert (str(hardening.budget) if hardening.budget else None) == budget
    again = parse_hardening(str(hardening))
    assert str(again) == str(hardening) and bool(hardening) == any(s != "none" for s in styles)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wieght=tmr", "'weight'"),
        ("weight=full-tmr-scrup", "'full-tmr-scrub'"),
        ("ful", "'full'"),
        ("", "none"),
        ("weight=", "register-tmr"),
        ("weight=tmr,,data=tmr", "style ''"),
        ("weight=tmr,budget=20", "20%"),
        ("weight=tmr,budget=-1%", "20%"),
        ("weight=tmr,budget=120%", "more than all"),
        ("data=tmr,budget=10%", "hardened weights"),
        ("weight=full", "did you mean"),
    ],
)
def test_what_cannot(text: str, words: str) -> None:
    with pytest.raises(EdgecError) as raised:
        parse_hardening(text)
    assert raised.value.code == "E0204" and words in str(raised.value)


def test_options_refuse_contradictions() -> None:
    for options, words in (
        ({"harden": "weight=tmr"}, "--weights loaded"),
        ({"harden": "weight=tmr,budget=10%", "weights": "loaded"}, "--rank"),
        ({"ranking": "r.json", "harden": "full", "weights": "loaded"}, "without a budget"),
        ({"ranking": "r.json"}, "without a budget"),
    ):
        with pytest.raises(EdgecError) as raised:
            Options(**options)
        assert raised.value.code == "E0204" and words in str(raised.value)
    Options(harden="full")  # with constant weights the short form protects the classes that there are


def test_hardening_is_not_the_network(tmp_path: Path) -> None:
    """The same network id and the same image: a hardened build takes the weights of any build of the network."""
    plain, hard = built(tmp_path / "plain", None), built(tmp_path / "hard", "full")
    assert plain.manifest["network_id"] == hard.manifest["network_id"]
    assert plain.read("rtl/weights.img") == hard.read("rtl/weights.img")
    assert plain.manifest["plan_digest"] != hard.manifest["plan_digest"]
    assert hard.manifest["config"]["harden"] == "full" and "harden" not in plain.manifest["config"]
    assert "edgec_register_tmr #(" not in plain.read("rtl/pair.sv").decode()
    assert plain.manifest["interface"]["hardening"]["classes"]["weight"]["style"] == "none"


def test_the_estimate_counts_copies_and_voters(tmp_path: Path) -> None:
    totals, cells = {}, {}
    for harden in (None, "tmr", "scrub", "full"):
        artefact = built(tmp_path / str(harden), harden)
        estimates = artefact.manifest["estimates"]
        totals[harden] = {n: f["nominal"] for n, f in estimates["totals"].items()}
        cells[harden] = sum(k["cells"].get("voter", 0) for k in estimates["kernels"])
    bits = totals[None]["flip_flops"]
    assert totals["tmr"]["flip_flops"] == totals["scrub"]["flip_flops"] == totals["full"]["flip_flops"] == 3 * bits
    assert cells == {None: 0, "tmr": bits, "scrub": 3 * bits, "full": bits + 2 * (7 * 5 + 7 + 3 * 7 + 3) * 3}
    for figure in ("area_kge", "energy_ktr", "critical_path_nand2"):
        assert totals[None][figure] < totals["tmr"][figure] <= totals["scrub"][figure], figure
    assert totals["tmr"]["latency_cycles"] == totals[None]["latency_cycles"]


def test_cells_of_the_styles() -> None:
    assert register_cells("none", "dff_enable", 5) == {"dff_enable": 5}
    assert register_cells("register-tmr", "dff_enable", 5) == {"dff_enable": 5, "dff": 10, "voter": 5}
    assert register_cells("full-tmr-scrub", "dff_reset", 5) == {"dff_reset": 15, "voter": 15}
    assert not Hardening() and register_cells("none", "dff", 0) == {}


@pytest.mark.parametrize("harden", ["tmr", "scrub,budget=40%"])
def test_hardened_designs_are_bit_exact(simulators: Path, tmp_path: Path, harden: str) -> None:
    """Against the interpreter in Verilator (layers, cycles, stalls), and in Icarus by the artefact's own bench."""
    need("iverilog")
    mixed = "budget" in harden
    ranking = every_other_bit(built(tmp_path / "plain", None), tmp_path / "r.json") if mixed else None
    artefact = built(tmp_path / "out", harden, ranking=ranking)
    result = api.verify(artefact, on=("verilator", "icarus"), vectors=200)
    assert [p["party"] for p in result["parties"]] == ["verilator", "icarus"]


def test_synthesis_keeps_every_copy_and_the_voters_work(tmp_path: Path) -> None:
    """yosys merges registers that compute the same unless they are kept apart: three times as many flip-flops must be
    left in every protected class. In the mapped netlist a copy that is wrong in every bit is outvoted, two are not."""
    need("yosys", "iverilog")
    plain = api.synth(built(tmp_path / "plain", None)).report["totals"]["flip_flops_by_class"]
    rank = every_other_bit(Artefact.open(tmp_path / "plain"), tmp_path / "r.json")
    for harden, ranking in (("full", None), ("scrub,budget=40%", rank)):
        artefact = built(tmp_path / "hard", harden, ranking=ranking)
        result = api.synth(artefact)
        classes = artefact.manifest["interface"]["hardening"]["classes"]
        found = result.report["totals"]["flip_flops_by_class"]
        assert found == {c: classes[c]["flip_flops"] for c in CLASSES}
        if ranking is None:
            assert found == {c: 3 * plain[c] for c in CLASSES}
        modules = result.report["modules"].values()
        kinds = {m["base"] for m in modules}
        voters = sum(m["instances"] for m in modules if m["base"] == "edgec_voter")
        voted = sum(m["instances"] for m in modules if m["base"] == "edgec_register_tmr")
        scrubbed = sum(m["instances"] for m in modules if m["base"] == "edgec_register_scrub")
        copies = sum(m["instances"] for m in modules if m["base"] == "edgec_scrub_copy")
        assert voters == voted and copies == 3 * scrubbed and (voters or copies), kinds
        netlist = [result.folder / "netlist.v", result.folder / "cells.v"]
        for wrong, passes in (((0,), True), ((1,), True), ((2,), True), ((0, 2), False)):
            bench = run_testbench(
                [*netlist, artefact.path / "sim" / "pair_tb.sv", forces(artefact, wrong, tmp_path)],
                "forced",
                cwd=artefact.path / "sim",
            )
            assert bench.passed == passes, (harden, wrong, bench.output[-500:])


def forces(artefact: Artefact, copies: tuple[int, ...], folder: Path) -> Path:
    """A top around the bench that holds some copies of every protected register at arbitrary values."""
    sites = find_sites(artefact.manifest["interface"]["state"])
    generator = np.random.default_rng(7)
    lines = []
    for place in sites.places:
        if place.protected and place.copy in copies:
            value = "".join(map(str, generator.integers(0, 2, place.bits.size)))
            lines.append(f"force bench.dut.{escaped(place.name)}.q = {place.bits.size}'b{value};")
    path = folder / "forced.sv"
    path.write_text("module forced;\npair_tb bench();\ninitial begin\n" + "\n".join(lines) + "\nend\nendmodule\n")
    return path


def escaped(name: str) -> str:
    """The name in the mapped netlist, where instances carry the names of their generate blocks."""
    parts = name.split(".")
    if parts[0].startswith("r_bank"):
        head, word, *rest = parts[0], ".".join(parts[1:3]), *parts[3:]
        copy = rest[-1]
        return f"{head}.\\{word} .\\{'.'.join(rest[:-1])} .{copy}"
    return name
