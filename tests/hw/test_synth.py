"""`edgec synth`: what is counted, written and said, on designs small enough to count by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hw_support import need
from synth_support import build, network

import edgec
from edgec.artefact import Artefact, sha256
from edgec.cli import cli
from edgec.diagnostics import EdgecError
from edgec.hw.synth import Synthesis, load_library
from edgec.hw.synth.mapping import map_design

GE = "gate-equivalents"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return build(tmp_path_factory.mktemp("loaded") / "with space" / "out")


@pytest.fixture(scope="module")
def result(loaded: Artefact) -> Synthesis:
    need("yosys")
    return edgec.synth(loaded, GE)


def kge(source: str, top: str = "t") -> tuple[dict[str, int], float]:
    library = load_library(GE)
    mapped = map_design(top, {"t.sv": source.encode()}, library, timeout=120)
    cells = mapped.netlist.total(top)
    return dict(cells), sum(library.area(c) * n for c, n in cells.items())


def test_a_design_that_is_counted_by_hand() -> None:
    """Three NAND2, an XOR2, an adder cell and two plain flip-flops: 3 + 2.33 + 5.33 + 2 x 5.67."""
    need("yosys")
    cells, area = kge(
        """module t (input clk, input [2:0] a, b, output [2:0] y, output x, output reg [1:0] q);
          assign y = ~(a & b);
          assign x = a[0] ^ b[1];
          wire s, co;
          edgec_full_adder u (.a(a[0]), .b(b[1]), .ci(a[2]), .s(s), .co(co));
          always @(posedge clk) q <= {s, co};
        endmodule"""
    )
    assert cells == {"NAND2": 3, "XOR2": 1, "FA": 1, "DFF": 2}
    assert area == pytest.approx(3 + 2.33 + 5.33 + 2 * 5.67)


def test_copies_in_modules_of_their_own_stay_apart() -> None:
    """Registers in one module are merged by synthesis; a copy for safety therefore is a module instance."""
    need("yosys")
    register = "module r (input clk, d, output reg q); always @(posedge clk) q <= d; endmodule\n"
    vote = "assign y = (q[0] & q[1]) | (q[0] & q[2]) | (q[1] & q[2]); endmodule"
    apart = "wire [2:0] q; r u0 (clk, d, q[0]); r u1 (clk, d, q[1]); r u2 (clk, d, q[2]);"
    cells, _ = kge(register + "module t (input clk, d, output y);" + apart + vote)
    assert cells == {"DFF": 3, "MAJ3": 1}
    merged = "reg [2:0] q; always @(posedge clk) q <= {3{d}};"
    assert kge("module t (input clk, d, output y);" + merged + vote)[0] == {"DFF": 1}


def test_flip_flops_by_class(result: Synthesis, loaded: Artefact) -> None:
    totals = result.report["totals"]
    weight = sum(r["elements"] * r["element_bits"] for r in loaded.manifest["interface"]["registers"])
    data = sum(k["state"].get("data", 0) for k in loaded.manifest["estimates"]["kernels"])
    assert totals["flip_flops_by_class"] == {"weight": weight, "data": data, "control": 2}
    assert totals["flip_flops"] == weight + data + 2


def test_parts_add_up_and_carry_the_names_of_layers(result: Synthesis) -> None:
    report, totals = result.report, result.report["totals"]
    rows = {row["name"]: row for row in report["layers"]}
    assert sum(r["cells"] for r in rows.values()) == totals["cells"]
    assert sum(r["ge"] for r in rows.values()) == pytest.approx(totals["ge"], abs=0.01)
    assert sum(r["share"] for r in rows.values()) == pytest.approx(1, abs=1e-4)
    assert "conv" in rows["two_l0_conv"]["layers"] and "fc" in rows["two_l1_fc"]["layers"]
    assert rows["rest of the top module"]["cells"] == 0
    assert rows["stage_1_registers"]["flip_flops_by_class"] == {"weight": 0, "data": 32, "control": 1}
    by_module = report["modules"]
    assert by_module["two"]["ge"] == pytest.approx(totals["ge"])
    assert by_module["two_l0_conv"]["instances"] == 1
    neuron = next(m for m in by_module if m.startswith("two_l1_fc_n"))
    assert by_module[neuron]["instances"] == 3


def test_estimate_and_synthesis_agree(result: Synthesis) -> None:
    report = result.report
    assert abs(report["totals"]["estimate_error"]) < 0.05
    for row in report["layers"]:
        if row["estimated_ge"]:
            assert abs(row["estimate_error"]) < 0.1, row["name"]


def test_what_is_written(result: Synthesis, loaded: Artefact) -> None:
    folder = loaded.path / "synth" / GE
    assert result.folder == folder
    report = json.loads((folder / "report.json").read_text())
    assert report["manifest_sha256"] == sha256(loaded.read("manifest.json"))
    assert set(report["files"]) == {"netlist.json", "netlist.v", "cells.v"}
    for name, entry in report["files"].items():
        assert sha256((folder / name).read_bytes()) == entry["sha256"]
    assert sorted(p.name for p in folder.iterdir()) == sorted([*report["files"], "report.json"])
    assert [p.name for p in folder.parent.iterdir()] == [GE]  # nothing is left of the writing
    loaded.check()  # the results do not make the artefact look damaged
    text = (folder / "netlist.v").read_text()
    assert "$paramod" not in text and "src =" not in text
    netlist = json.loads((folder / "netlist.json").read_text())
    assert not any("src" in c["attributes"] for m in netlist["modules"].values() for c in m["cells"].values())


def test_longest_path_has_a_basis(result: Synthesis) -> None:
    timing = result.report["timing"]
    assert timing["critical_path_ns"] > 0 and timing["basis"]


def test_twice_the_same_bytes(result: Synthesis, loaded: Artefact) -> None:
    before = {p.name: p.read_bytes() for p in result.folder.iterdir()}
    edgec.synth(loaded, GE)
    assert {p.name: p.read_bytes() for p in result.folder.iterdir()} == before


def test_fixed_weights_have_no_bank(tmp_path: Path) -> None:
    need("yosys")
    report = edgec.synth(build(tmp_path / "out", "fixed"), GE).report
    assert report["totals"]["flip_flops_by_class"]["weight"] == 0
    assert "register_bank" not in {row["name"] for row in report["layers"]}


def test_command_line(loaded: Artefact) -> None:
    need("yosys")
    done = CliRunner().invoke(cli, ["synth", str(loaded.path), "--liberty", GE, "--json"])
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["ok"] and document["result"]["report"]["totals"]["ge"] > 0
    done = CliRunner().invoke(cli, ["synth", str(loaded.path), "--liberty", GE])
    assert "total" in done.stdout and "kGE" in done.stdout and "estimate kGE" in done.stdout


def test_a_damaged_artefact_is_not_synthesised(tmp_path: Path) -> None:
    artefact = build(tmp_path / "out", "fixed")
    (artefact.path / "rtl" / "two.sv").write_text("module two; endmodule\n")
    with pytest.raises(EdgecError) as error:
        edgec.synth(artefact, GE)
    assert error.value.diagnostics[0].code == "E0701"


def test_an_artefact_without_rtl(tmp_path: Path, loaded: Artefact) -> None:
    manifest = {**loaded.manifest, "backend": "c"}
    with pytest.raises(EdgecError) as error:
        edgec.synth(Artefact(loaded.path, manifest), GE)
    assert error.value.diagnostics[0].code == "E0204"


def test_network_is_what_the_tests_say() -> None:
    assert [op.mnemonic for op in network().ops].count("conv") == 1
