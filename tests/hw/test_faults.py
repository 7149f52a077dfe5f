"""Fault campaigns on a small design: what protection masks, what goes wrong without, resuming, ranking, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faults_support import ROOT, built, edgec, network
from hw_support import need

import edgec as package
from edgec import api
from edgec.artefact import Artefact
from edgec.backends.rtl import design as rtl_design
from edgec.diagnostics import EdgecError
from edgec.hw.faults.progress import Progress
from edgec.hw.faults.sites import find_sites
from edgec.hw.faults.statistics import wilson
from edgec.hw.sim.ports import Ports
from edgec.hw.sim.verilator_lib import Simulation
from edgec.options import Options
from edgec.ranking import read_ranking


@pytest.fixture(scope="module")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    need("verilator", "c++", "make")
    folder = tmp_path_factory.mktemp("simulators")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEC_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return built(tmp_path_factory.mktemp("plain") / "out")


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return built(tmp_path_factory.mktemp("hardened") / "out", "full")


def flops(artefact: Artefact) -> int:
    return find_sites(artefact.manifest["interface"]["state"]).count


def test_every_single_flip_of_a_protected_flip_flop_is_masked(simulators: Path, hardened: Artefact) -> None:
    report = api.faults(hardened, exhaustive=True)
    protected = report["simulation"]["protected"]
    assert protected["injections"] == flops(hardened) == protected["masked"]
    assert (
        protected["failed"]["hits"] == protected["persistent"] == report["simulation"]["unprotected"]["injections"] == 0
    )
    weights = next(c for c in report["simulation"]["classes"] if c["class"] == "weight")
    assert weights["healed_next_edge"] == weights["injections"] == 3 * 141  # scrubbed at the next clock edge
    assert json.loads((hardened.path / "faults.json").read_text())["simulation"] == report["simulation"]
    hardened.check()  # what a campaign leaves behind is no damage


def test_without_protection_flips_fail_and_weights_stay_wrong(simulators: Path, plain: Artefact) -> None:
    report = package.faults(plain.path, exhaustive=True, seed=3)
    classes = {c["class"]: c for c in report["simulation"]["classes"]}
    weight, data, control = (classes[c] for c in ("weight", "data", "control"))
    assert weight["persistent"] == weight["injections"] == 141 and weight["healed_next_edge"] == 0
    assert weight["wrong"] > 40 and weight["largest_change"] > 0
    assert data["wrong"] > 5 and data["persistent"] == 0
    assert control["lost_or_invented"] >= 1  # a flip of a valid bit loses or invents a frame
    # Every simulated weight flip gave the words that the interpreter computes for that weight.
    assert report["simulation"]["cross_checked"]["weight_bits"] == 141
    assert report["weights"]["evaluated"] == 141 and report["weights"]["frames"] == 64
    rows = (plain.path / "faults.csv").read_text().splitlines()
    assert len(rows) == 142 and rows[0].startswith("position,layer,role,element,bit,protected,wrong_frames,mean_change")


def test_a_flip_is_what_the_flip_flop_holds_after_the_edge(simulators: Path, hardened: Artefact) -> None:
    """Through the step-by-step interface: one copy differs from the others after the edge, and not after the next."""
    interface = hardened.manifest["interface"]
    files = [hardened.path / f for f in interface["files"]]
    ports = Ports(**interface["ports"])
    with Simulation(files, interface["top"], ports, workdir=simulators, defines=("EDGEC_FAULTS",), faults=True) as sim:
        for place in ("r_bank_0.words[0].word.hard.scrub.bits", "r_valid1"):
            sim.write_register(0, 0x12345678)
            before = [sim.state(f"{place}.copy{k}", 0) for k in range(3)]
            assert len(set(before)) == 1
            sim.flip(f"{place}.copy1", 0)
            sim.step()
            assert [sim.state(f"{place}.copy{k}", 0) for k in range(3)] == [before[0], 1 - before[0], before[0]]
            sim.step()
            assert [sim.state(f"{place}.copy{k}", 0) for k in range(3)] == before
        with pytest.raises(EdgecError, match="no flip-flops r_nothing"):
            sim.flip("r_nothing", 0)


def test_broken_hardening_is_found(simulators: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A voter that passes its first input through: every flip of that copy's data reaches the outputs."""
    library = rtl_design.library()
    voter = "assign y = (a & b) | (c & (a | b));"
    assert voter in library["edgec_hardened.sv"]
    library["edgec_hardened.sv"] = library["edgec_hardened.sv"].replace(voter, "assign y = a | (1'b0 & b & c);")
    monkeypatch.setattr(rtl_design, "library", lambda: library)
    artefact = built(tmp_path / "out", "data=register-tmr", weights="fixed")
    with pytest.raises(EdgecError) as raised:
        api.faults(artefact, exhaustive=True)
    assert raised.value.code == "E0505" and "r_" in str(raised.value)
    assert (tmp_path / "out" / "faults.json").is_file()  # the report says where


def test_the_same_report_after_being_killed(simulators: Path, plain: Artefact, tmp_path: Path) -> None:
    """kill -9 behind the second chunk, a half-written line, then --resume: byte for byte the uninterrupted report."""
    arguments = ["-n", "2500", "--seed", "5"]
    assert edgec("faults", plain.path, *arguments, "--jobs", "2").returncode == 0
    whole, table = ((plain.path / f).read_bytes() for f in ("faults.json", "faults.csv"))
    script = f"""
import os, signal
from edgec.hw.faults import progress
add = progress.Progress.add
def killed(self, *what):
    add(self, *what)
    if len(self.chunks) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
progress.Progress.add = killed
from edgec.cli import main
main(["faults", {str(plain.path)!r}, *{arguments!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL
    left = plain.path / "faults.progress"
    assert not (plain.path / "faults.json").exists() and left.read_bytes().count(b"\n") == 3
    plain.check()  # an unfinished campaign is no damage either
    with left.open("ab") as stream:
        stream.write(b'00000000 {"kind": "rtl", "chu')
    other = edgec("faults", plain.path, "-n", "2500", "--seed", "6", "--resume")
    assert other.returncode == 2 and "error[E0204]" in other.stderr and "another campaign" in other.stderr
    resumed = edgec("faults", plain.path, *arguments, "--resume", "-v")
    assert resumed.returncode == 0 and "3 of 5 chunks simulated" in resumed.stderr
    assert "1 of 5 chunks simulated" not in resumed.stderr  # the first two were taken up
    assert (plain.path / "faults.json").read_bytes() == whole and (plain.path / "faults.csv").read_bytes() == table
    assert not left.exists()


def test_ranking_protects_the_worst_bits(simulators: Path, plain: Artefact, tmp_path: Path) -> None:
    ranking = tmp_path / "ranking.json"
    report = api.faults(plain, samples=100, rank=ranking)
    ranked = read_ranking(ranking)
    assert ranked.positions.size == 141 and (np.diff(ranked.scores) <= 0).all()
    assert np.isclose(ranked.scores.mean(), report["weights"]["all"]["mean_change"])
    previous = report["weights"]["all"]["mean_change"]
    for budget, bits in (("20%", 28), ("60bits", 60), ("1kGE", None)):
        spec = f"weight=full-tmr-scrub,budget={budget}"
        artefact = built(tmp_path / budget.replace("%", ""), spec, ranking=ranking)
        hardening = artefact.manifest["interface"]["hardening"]
        protected = hardening["classes"]["weight"]["protected_bits"]
        assert bits is None or protected == bits
        assert hardening["ranking"]["file"] == "ranking.json" and len(hardening["ranking"]["sha256"]) == 64
        assert artefact.manifest["config"]["ranking"] == "ranking.json"  # no path of this machine
        if budget == "1kGE":
            target = api.load_target("gate-equivalents")
            extra = sum(target.constant(f"ge.{c}").nominal * n for c, n in (("dff_enable", 2), ("voter", 3)))
            assert protected == int(1000 / extra)
    artefact = Artefact.open(tmp_path / "20")
    report = api.faults(artefact, exhaustive=True, classes=("weight",))
    simulation = report["simulation"]
    assert simulation["protected"]["injections"] == 3 * 28 and simulation["protected"]["failed"]["hits"] == 0
    assert simulation["unprotected"]["injections"] == 141 - 28 and simulation["unprotected"]["failed"]["hits"] > 0
    left = report["weights"]["unprotected"]["mean_change"]
    # 28 of 141 bits are a fifth; the worst fifth carries far more than a fifth of the damage.
    assert left * (141 - 28) < 0.6 * previous * 141
    assert np.isclose(left, ranked.scores[28:].mean(), rtol=1e-6)
    assert set(ranked.positions[:28].tolist()) == {
        int(row.split(",")[0])
        for row in (artefact.path / "faults.csv").read_text().splitlines()[1:]
        if row.split(",")[5] == "1"
    }


def test_labels_and_metrics(simulators: Path, plain: Artefact, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    frames = rng.uniform(-2, 1.75, (40, 1, 1, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=frames, labels=rng.integers(0, 3, 40))
    report = api.faults(plain, samples=50, frames=tmp_path / "data.npz", rank=tmp_path / "r.json")
    assert report["weights"]["metric"] == "top-1 error" and report["weights"]["frames"] == 40
    assert -1 <= report["weights"]["all"]["metric_change"] <= 1

    def loss(outputs: dict[str, np.ndarray]) -> np.ndarray:
        return outputs["y"].reshape(len(outputs["y"]), -1).sum(axis=1)

    report = api.faults(plain, samples=50, frames={"x": frames}, metric=loss, weight_bits=30)
    assert report["weights"]["metric"] == "loss" and report["weights"]["evaluated"] == 30
    with pytest.raises(EdgecError, match="one finite loss a frame"):
        api.faults(plain, samples=50, metric=lambda outputs: np.zeros(3))
    with pytest.raises(EdgecError, match="integers are needed"):
        api.faults(plain, samples=50, frames={"x": frames}, labels=np.zeros(3, int))
    with pytest.raises(EdgecError, match="classes 0 to 2"):
        api.faults(plain, samples=50, frames={"x": frames}, labels=np.full(40, 3))


def test_bad_usage(plain: Artefact, tmp_path: Path) -> None:
    for arguments, status, code, words in (
        (["--classes", "wieght"], 2, "E0201", "weight"),
        (["--samples", "5", "--exhaustive"], 2, "E0201", "exclude"),
        (["--samples", "0"], 2, "E0204", "samples = 0"),
        (["--jobs", "0"], 2, "E0204", "jobs = 0"),
        (["--frames", str(tmp_path / "none.npz")], 2, "E0202", "none.npz"),
        (["--classes", ""], 2, "E0204", "nothing to flip"),
    ):
        done = edgec("faults", plain.path, *arguments)
        text = done.stdout + done.stderr
        assert done.returncode == status and f"error[{code}]" in done.stderr and words in text, text
        assert "Traceback" not in text
    fixed = built(tmp_path / "fixed", weights="fixed")
    for arguments, words in ((["--rank", "r.json"], "no weight bits"), (["--classes", "weight"], "nothing to flip")):
        done = edgec("faults", fixed.path, *arguments)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    (plain.path / "model" / "extra").write_text("x")
    done = edgec("faults", plain.path)
    (plain.path / "model" / "extra").unlink()
    assert done.returncode == 7 and "error[E0701]" in done.stderr


def test_sites_are_the_flip_flops_of_the_estimate(plain: Artefact, hardened: Artefact) -> None:
    for artefact in (plain, hardened):
        sites = find_sites(artefact.manifest["interface"]["state"])
        assert sites.count == artefact.manifest["estimates"]["totals"]["flip_flops"]["nominal"]
        found = {c: sites.of_class(c).size for c in ("weight", "data", "control")}
        stated = artefact.manifest["interface"]["hardening"]["classes"]
        assert found == {c: stated[c]["flip_flops"] for c in found}
        positions = sites.positions()[sites.of_class("weight")]
        assert np.unique(positions).size == 141 and (positions >= 0).all()
    assert flops(hardened) == 3 * flops(plain)


def test_progress_survives_damage(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    with Progress(path, {"seed": 1}, resume=False) as done:
        for k in range(3):
            done.add("rtl", k, [k, 0.1])
    data = path.read_bytes()
    for cut in (len(data), len(data) - 1, len(data) - 5, data.index(b"\n") + 1, data.index(b"\n"), 3, 0):
        path.write_bytes(data[:cut])
        with Progress(path, {"seed": 1}, resume=True) as done:
            kept = len(done.chunks)
            assert kept == max(0, data[:cut].count(b"\n") - 1)
            for k in range(kept, 3):
                done.add("rtl", k, [k, 0.1])
        assert path.read_bytes() == data
    lines = data.split(b"\n")
    lines[2] = lines[2].replace(b"0.1", b"0.2")  # its checksum is wrong now
    path.write_bytes(b"\n".join(lines))
    with Progress(path, {"seed": 1}, resume=True) as done:
        assert list(done.chunks) == [("rtl", 0)]
    path.write_bytes(data)
    with pytest.raises(EdgecError, match="another campaign"):
        Progress(path, {"seed": 2}, resume=True)
    with Progress(path, {"seed": 2}, resume=False) as done:
        assert not done.chunks


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (1, 100, 0.0018, 0.0545), (0, 0, 0.0, 1.0)],
)
def test_wilson_intervals(hits: int, trials: int, low: float, high: float) -> None:
    """Values of R's prop.test(correct=FALSE)."""
    assert wilson(hits, trials) == pytest.approx((low, high), abs=1e-4)


def test_rankings_are_checked(plain: Artefact, tmp_path: Path) -> None:
    good = {"schema_version": 1, "network_id": plain.manifest["network_id"], "metric": "m", "frames": 1}
    path = tmp_path / "r.json"
    for content, code in (
        (b"not json", "E0210"),
        (json.dumps({**good, "positions": [0, 0], "scores": [1, 1]}).encode(), "E0210"),
        (json.dumps({**good, "positions": [0, 1], "scores": [1]}).encode(), "E0210"),
        (json.dumps({**good, "positions": [0, -1], "scores": [1, 0]}).encode(), "E0210"),
        (json.dumps({**good, "schema_version": 9, "positions": [], "scores": []}).encode(), "E0210"),
        (json.dumps({**good, "positions": [0], "scores": [10**400]}).encode(), "E0210"),
        (json.dumps({**good, "frames": float("inf"), "positions": [0], "scores": [1]}).encode(), "E0210"),
        (json.dumps({**good, "positions": [0, 1], "scores": [1, 0]}).encode(), "E0703"),
        (json.dumps({**good, "network_id": "0" * 16, "positions": [0, 1], "scores": [1, 0]}).encode(), "E0703"),
    ):
        path.write_bytes(content)
        with pytest.raises(EdgecError) as raised:
            options = Options(weights="loaded", harden="weight=tmr,budget=10%", ranking=str(path))
            api.build(network(), "gate-equivalents", tmp_path / "out", options)
        assert raised.value.code == code, content
        assert not (tmp_path / "out").exists()
    with pytest.raises(EdgecError) as raised:
        read_ranking(tmp_path / "missing.json")
    assert raised.value.code == "E0202"


def test_a_ranking_that_cannot_be_written_is_refused_before_the_campaign(plain: Artefact, tmp_path: Path) -> None:
    for place, code, words in (
        (tmp_path, "E0212", "it is a folder"),
        (tmp_path / "none" / "r.json", "E0212", "there is no folder"),
    ):
        with pytest.raises(EdgecError, match=words) as raised:
            api.faults(plain, rank=place)
        assert raised.value.code == code
    with pytest.raises(EdgecError, match="class weight is left out"):
        api.faults(plain, rank=tmp_path / "r.json", classes=("data",))
