"""`edgec power`: from an artefact to energies by layer, with every word checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from gate_support import need_osu018
from hw_support import need
from synth_support import OSU018, build

import edgec
from edgec.artefact import Artefact, sha256
from edgec.cli import cli
from edgec.diagnostics import EdgecError
from edgec.hw.toggle.energy import KINDS
from edgec.hw.toggle.power import Power
from edgec.hw.toggle.stimulus import pipeline_ports

GE = "gate-equivalents"


@pytest.fixture(autouse=True, scope="module")
def tools() -> None:
    need("yosys", "c++")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return build(tmp_path_factory.mktemp("loaded") / "with space" / "out")


@pytest.fixture(scope="module")
def result(loaded: Artefact) -> Power:
    return edgec.power(loaded, GE, vectors=40)


def test_rows_add_up_and_the_file_says_the_same(loaded: Artefact, result: Power) -> None:
    report = result.report
    stored = json.loads((loaded.path / "synth" / GE / "power.json").read_bytes())
    assert stored == report
    rows, totals = report["layers"], report["totals"]
    assert sum(r["energy_pj"] for r in rows) == pytest.approx(totals["energy_pj"], rel=1e-4)
    for kind in KINDS:
        assert sum(r["by_kind_pj"][kind] for r in rows) == pytest.approx(totals["by_kind_pj"][kind], abs=1e-5)
    by_name = {r["name"]: r for r in rows}
    bank = by_name["register_bank"]["by_kind_pj"]
    assert bank["clock"] > 0 and bank["functional"] == bank["glitch"] == bank["register"] == 0  # weights hold still
    layers = [r for r in rows if "conv" in r["layers"] or "fc" in r["layers"]]
    assert len(layers) == 2 and all(r["by_kind_pj"]["functional"] > 0 for r in layers)
    assert all(r["estimated_pj"] > 0 for r in layers)
    assert totals["glitch_factor"] > 1 and 0 < report["settle_ns"] <= report["timing"]["critical_path_ns"]
    assert report["frames"] == 40 and len(result.table()) == len(rows) + 1


def test_the_same_again_gives_the_same_bytes(loaded: Artefact, result: Power) -> None:
    """The netlist is there already: nothing is synthesised, and nothing of the file depends on the run."""
    path = loaded.path / "synth" / GE / "power.json"
    first, netlist = path.read_bytes(), (loaded.path / "synth" / GE / "netlist.json").stat()
    again = edgec.power(loaded, GE, vectors=40)
    assert path.read_bytes() == first and again.report == result.report
    assert (loaded.path / "synth" / GE / "netlist.json").stat().st_mtime_ns == netlist.st_mtime_ns
    other = edgec.power(loaded, GE, vectors=40, seed=2)
    assert other.report["totals"] != result.report["totals"]


def test_clock_energy_by_count(loaded: Artefact, result: Power) -> None:
    """All flip-flops, every cycle: internal and C V^2 of the pin with the tree's factor."""
    from edgec.hw.synth.libraries import load_library

    library = load_library(GE).cells
    report = json.loads((loaded.path / "synth" / GE / "report.json").read_bytes())
    expected = 0.0
    for kind, count in report["totals"]["cells_by_type"].items():
        cell = library[kind]
        if cell.sequential is not None:
            pin = cell.pins[cell.sequential.clock_pins[0]]
            expected += count * (cell.energy_of_clock(0.0) + 1.3 * pin.capacitance * library.voltage**2)
    assert result.report["totals"]["by_kind_pj"]["clock"] == pytest.approx(expected / 1000, rel=1e-5)


def test_frames_that_stand_still_cost_only_clock_and_leakage(loaded: Artefact, tmp_path: Path) -> None:
    np.savez(tmp_path / "still.npz", x=np.full((8, 1, 1, 4, 4), 0.5, np.float32))
    kinds = edgec.power(loaded, GE, frames=tmp_path / "still.npz").report["totals"]["by_kind_pj"]
    assert kinds["clock"] > 0 and kinds["leakage"] > 0
    assert kinds["functional"] == kinds["glitch"] == kinds["register"] == 0


def test_fixed_weights_and_the_command_line(tmp_path: Path) -> None:
    need_osu018()
    artefact = build(tmp_path / "fixed", weights="fixed")
    ran = CliRunner().invoke(cli, ["power", str(artefact.path), "--liberty", str(OSU018), "-n", "30", "--json"])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)["result"]["report"]
    assert report["library"]["title"] == "osu018_stdcells" and report["voltage_v"] == 1.8
    assert not any("bank" in row["name"] for row in report["layers"])
    table = CliRunner().invoke(cli, ["power", str(artefact.path), "--liberty", str(OSU018), "-n", "30"])
    assert table.exit_code == 0 and "glitch factor" in table.stdout and "as the interpreter's" in table.stdout


def test_a_wrong_gate_is_an_error(tmp_path: Path) -> None:
    """An exclusive or becomes an equivalence; the report is made to fit, so that only the simulation can tell."""
    artefact = build(tmp_path / "out")
    edgec.synth(artefact, GE)
    folder = artefact.path / "synth" / GE
    netlist = json.loads((folder / "netlist.json").read_bytes())
    gates = [c for m in netlist["modules"].values() for c in m["cells"].values() if c["type"] in ("XOR2", "XNOR2")]
    gates[len(gates) // 2]["type"] = {"XOR2": "XNOR2", "XNOR2": "XOR2"}[gates[len(gates) // 2]["type"]]
    data = json.dumps(netlist).encode()
    (folder / "netlist.json").write_bytes(data)
    report = json.loads((folder / "report.json").read_bytes())
    report["files"]["netlist.json"] = {"bytes": len(data), "sha256": sha256(data)}
    (folder / "report.json").write_text(json.dumps(report))
    ran = CliRunner().invoke(cli, ["power", str(artefact.path), "--liberty", GE])
    assert ran.exit_code == 5 and "E0501" in ran.stderr
    assert not (folder / "power.json").exists()


def test_a_netlist_that_does_not_fit_is_made_anew(tmp_path: Path) -> None:
    artefact = build(tmp_path / "out")
    edgec.synth(artefact, GE)
    folder = artefact.path / "synth" / GE
    (folder / "netlist.json").write_text("{}")
    whole = edgec.power(artefact, GE, vectors=10).report
    assert whole["totals"]["energy_pj"] > 0
    report = json.loads((folder / "report.json").read_bytes())
    for edited in ([], {**report, "files": []}, {**report, "layers": [1]}, {**report, "top": "other"}):
        (folder / "report.json").write_text(json.dumps(edited))
        assert edgec.power(artefact, GE, vectors=10).report == whole


def test_a_clock_that_is_too_fast_shows_as_wrong_words(result: Power, loaded: Artefact) -> None:
    """At half of the longest path words are wrong, at a tenth nothing works; the message says why."""
    fast = 2 * 1000 / result.report["timing"]["critical_path_ns"]
    with pytest.raises(EdgecError) as caught:
        edgec.power(loaded, GE, vectors=40, clock_mhz=fast)
    assert caught.value.code == "E0501" and "longest path" in str(caught.value)
    with pytest.raises(EdgecError, match="longest path"):
        edgec.power(loaded, GE, vectors=40, clock_mhz=5 * fast)


def test_time_multiplexed_designs_are_refused() -> None:
    streams = {"input_bits": 8, "output_bits": 8, "input_beats": 4, "output_beats": 1}
    with pytest.raises(EdgecError) as caught:
        pipeline_ports({"ports": streams})
    assert caught.value.code == "E0310"


def test_without_a_wish_the_clock_is_one_that_the_library_can_keep(result: Power) -> None:
    """A NAND2 of the gate equivalents takes 1 ns, far more than in the technology that the clock was chosen for."""
    critical, clock = result.report["timing"]["critical_path_ns"], result.report["clock_mhz"]
    assert clock == pytest.approx(1000 / (1.2 * critical), rel=1e-3) and clock < 40
    assert "does not fit" in result.report["clock_note"] and any("does not fit" in line for line in result.summary())


@pytest.mark.parametrize(("clock", "wire"), [(0.0, None), (1e9, None), (None, -1.0)])
def test_bad_options_are_refused(loaded: Artefact, clock: float | None, wire: float | None) -> None:
    with pytest.raises(EdgecError) as caught:
        edgec.power(loaded, GE, clock_mhz=clock, wire_ff=wire)
    assert caught.value.code == "E0204"


def test_bad_frames_are_refused_before_synthesis(tmp_path: Path) -> None:
    artefact = build(tmp_path / "out")
    (entry,) = artefact.manifest["interface"]["inputs"]
    none = {entry["name"]: np.zeros((0, *entry["shape"]), np.float32)}
    for given, code in (({"frames": none}, "E0210"), ({"seed": -1}, "E0204")):
        with pytest.raises(EdgecError) as caught:
            edgec.power(artefact, GE, **given)  # type: ignore[arg-type]
        assert caught.value.code == code
    assert not (artefact.path / "synth").exists()
    manifest = json.loads((artefact.path / "manifest.json").read_bytes())
    del manifest["interface"]
    (artefact.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgecError) as caught:
        edgec.power(Artefact.open(artefact.path), GE)
    assert caught.value.code == "E0701"
