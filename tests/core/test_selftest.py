"""The self-test: its mutants are what they claim to be, and it notices a verification that is blind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from artefact_support import TARGET, need, tiny, two_layers

from edgec import api, selftest, verification
from edgec.artefact import Artefact
from edgec.comparison import Difference
from edgec.cosimulation import RtlSimulation, load_graph
from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Format
from edgec.formats_compressed import Binary, Ternary
from edgec.graph import Graph
from edgec.hw.sim.mutate import CLOCKED, PACKAGE, candidates, mutated_sources
from edgec.interp import run
from edgec.mutants import is_legal, operator_mutants, sign_extend, weight_mutants
from edgec.ops import Clip, Constant, Relu
from edgec.options import Options
from edgec.selftest import Place, SelfTest, first_change, self_test
from edgec.text import Printer

Texts = dict[str, str]


def sources(artefact: Artefact) -> Texts:
    return {f: artefact.read(f).decode() for f in artefact.manifest["interface"]["files"]}


# Faults in source text


def offered(line: str, **widths: int) -> set[str]:
    """Every line that one fault makes of `line`."""
    return {line[: c.start] + c.text + line[c.end :] for c in candidates(line, widths)}


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("  n1 = a + b;", ["  n1 = a - b;"]),
        ("  n1 = a - b;", ["  n1 = a + b;"]),
        ("  n1 = a ^ b;", ["  n1 = a | b;"]),
        ("  wire n1 = ~a;", ["  wire n1 = a;"]),
        ("  wire n3 = |n2[9:4];", ["  wire n3 = &n2[9:4];", "  wire n3 = |n2[8:3];"]),
        ("  assign y = (a & b) | (c & d);", ["  assign y = (a | b) | (c & d);", "  assign y = (a & b) & (c & d);"]),
        ("  n1 = $signed(a) >= $signed(b);", ["  n1 = $signed(a) > $signed(b);"]),
        ("  n1 = s ? a : b;", ["  n1 = s ? b : a;"]),
        ("  n1 = s ? {a, b} : {c, d};", ["  n1 = s ? {c, d} : {a, b};", "  n1 = s ? {b, a} : {c, d};"]),
        ("  n1 = {a, b, c};", ["  n1 = {b, a, c};", "  n1 = {a, c, b};"]),
        ("  n1 = {{3{a}}, b};", ["  n1 = {b, {3{a}}};"]),
        ("  n1 = 2'h1;", ["  n1 = 2'h0;", "  n1 = 2'h3;"]),
        ("      4'h3: n1 = 2'h2;", ["      4'h3: n1 = 2'h3;", "      4'h3: n1 = 2'h0;"]),
        ("  n1 = n2[0];", ["  n1 = n2[1];"]),
        ("      if (wr_en && a == B[W-1:0]) q[L +: W] <= d;", ["      if (wr_en && a != B[W-1:0]) q[L +: W] <= d;"]),
        ("        else if (en) q <= d;", ["        else if (!(en)) q <= d;"]),
        ("  edgec_register #(.WIDTH(4)) r (.clk(clk), .rst(1'b0), .en(v0), .d(n2), .q(q));",
         ["  edgec_register #(.WIDTH(4)) r (.clk(clk), .rst(1'b0), .en(~v0), .d(n2), .q(q));"]),
    ],
)  # fmt: skip
def test_the_faults_of_a_line(line: str, faults: list[str]) -> None:
    found = offered(line, n2=12, a=4, b=4)
    assert set(faults) <= found and line not in found
    if not line.strip().startswith("edgec") and not CLOCKED.match(line) and "&" not in line and "s ?" not in line:
        assert found == set(faults)


@pytest.mark.parametrize(
    "line",
    ["", "  wire [3:0] n1;", "  n1 = a;", "  wire unused = &{1'b0, wr_data};", "  localparam LOW = 32 * i;",
     "  n1 = n2[11:0];", "  n1 = {4{a}};", "module m (", "  // n1 = a + b;"],
)  # fmt: skip
def test_lines_without_faults(line: str) -> None:
    assert offered(line, n2=12) == set()


@pytest.mark.parametrize("name", ["loaded", "fixed"])
def test_faults_are_switches_in_single_lines(name: str, request: pytest.FixtureRequest) -> None:
    files = sources(request.getfixturevalue(name))
    changed, faults = mutated_sources(files, 60, np.random.default_rng(3))
    assert len(faults) == 60 and [f.number for f in faults] == list(range(1, 61))
    assert len({(f.file, f.line) for f in faults}) == 60
    places = {(f.file, f.line): f for f in faults}
    for file, text in changed.items():
        old, new = files[file].split("\n"), text.split("\n")
        offset = len(new) - len(old)
        for at, (a, b) in enumerate(zip(old, new[offset:], strict=True)):
            fault = places.pop((file, at + 1), None)
            assert (a == b) == (fault is None)
            if fault is not None:
                assert b.count(f"{PACKAGE}::selected == {fault.number})") == 1
    assert not places
    assert len({f.what.split()[0] for f in faults}) >= 4
    top = f"rtl/{name if name != 'loaded' else 'tiny'}.sv"
    assert {"rtl/tiny.sv", "rtl/two.sv", top} & {f.file for f in faults}
    assert any("function" in f.file for f in faults) and any("register" in f.file for f in faults)
    again = mutated_sources(files, 60, np.random.default_rng(3))
    assert again == (changed, faults)


def test_what_is_for_synthesis_only_stays(loaded: Artefact) -> None:
    files = sources(loaded)
    changed, faults = mutated_sources(files, 1000, np.random.default_rng(0))
    for name, text in changed.items():
        parts = [re.findall(r"`ifdef EDGEC_CELLS\n(.*?)`else", t, re.S) for t in (text, files[name])]
        assert parts[0] == parts[1]
    assert not any(f.file == "rtl/edgec_cells.sv" for f in faults)


def test_no_faults_in_nothing() -> None:
    assert mutated_sources({"a.sv": "module a;\nendmodule\n"}, 5, np.random.default_rng(0)) == ({}, [])


# Faults in graphs


def test_sign_extend() -> None:
    for bits in range(1, 7):
        for code in range(-(1 << bits - 1), 1 << bits - 1):
            assert sign_extend(code & ((1 << bits) - 1), bits, True) == code
            assert sign_extend(code, bits, False) == code % (1 << bits)


@pytest.mark.parametrize("fmt", [Fixed(3, 1), Fixed(3, 1, True, True), Ternary(), Binary()], ids=str)
def test_weight_mutants_change_one_legal_element(fmt: Format) -> None:
    graph = tiny(fmt=fmt)
    names = Printer(graph).names
    for mutant in islice(weight_mutants(graph, np.random.default_rng(0)), 60):
        changes = 0
        for op in graph.ops:
            new = mutant.became[names[op]]
            assert new.type == op.type
            if isinstance(op, Constant) and isinstance(new, Constant):
                changes += int(np.count_nonzero(op.data != new.data))
                assert all(is_legal(int(c), op.format) for c in new.data.ravel())
        assert changes == 1


def test_operator_mutants_keep_every_type_and_name() -> None:
    graph = two_layers()
    mutants = operator_mutants(graph, np.random.default_rng(0))
    names = Printer(graph).names
    assert len(mutants) > 20
    for mutant in mutants:
        assert set(mutant.became) == set(names.values())
        assert all(mutant.became[n].type == op.type for op, n in names.items())
        assert set(mutant.became[names[o]] for _, o in graph.outputs) == {o for _, o in mutant.graph.outputs}


def test_an_op_that_is_left_out_stands_for_its_operand() -> None:
    graph = two_layers()
    dropped = [m for m in operator_mutants(graph, np.random.default_rng(0)) if "left out" in m.what]
    assert {m.what.split(":")[0] for m in dropped} >= {"inner_relu", "last_relu"}
    for mutant in dropped:
        relu = (
            next(n for n in ("inner_relu", "last_relu") if mutant.what.startswith(n)) if "relu" in mutant.what else None
        )
        if relu is not None:
            assert not isinstance(mutant.became[relu], Relu | Clip)
            assert mutant.became[relu] is mutant.became[relu.replace("inner_relu", "conv").replace("last_relu", "fc")]


# The whole


@pytest.fixture(scope="module", params=["loaded", "fixed"])
def tested(request: pytest.FixtureRequest, simulators: Path) -> Artefact:
    return request.getfixturevalue(request.param)


def test_every_mutant_is_caught_and_named(tested: Artefact) -> None:
    result = self_test(tested, mutants=130, seed=1, timeout=600)
    counts: dict[str, int] = result["counts"]
    assert result["ok"] and result["mutants"] == 130 == sum(counts.values())
    assert result["caught"] >= 100 and result["caught"] + result["equivalent"] == 130
    bank = {"register bank: caught"} if tested.manifest["interface"]["register_words"] else set()
    assert bank | {"rtl: caught", "file: caught", "golden word: caught", "golden input: caught"} <= set(counts)
    assert result["summary"][0].startswith("130 mutants:") and "0 missed" in result["summary"][0]


@pytest.fixture
def test_of(tested: Artefact, tmp_path: Path) -> SelfTest:
    return SelfTest(tested, tmp_path, seed=2, timeout=600)


def run_trials(trials: Iterator[Any], count: int) -> None:
    for trial in islice(trials, count):
        trial()


def everything_but_rtl(test: SelfTest, count: int) -> None:
    for trials in (test.model_mutants(), test.image_mutants(), test.golden_mutants()):
        run_trials(trials, count)


def test_same_seed_same_counts(tested: Artefact, tmp_path: Path) -> None:
    counts = []
    for seed in (2, 2, 3):
        test = SelfTest(tested, tmp_path / str(seed), seed=seed, timeout=600)
        everything_but_rtl(test, 25)
        assert not test.missed
        counts.append(dict(test.counts))
    assert counts[0] == counts[1]


def test_a_blind_comparison_is_noticed(test_of: SelfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (selftest, verification):
        monkeypatch.setattr(module, "first_difference", lambda *a: None)
    everything_but_rtl(test_of, 25)
    caught = {k: v for k, v in test_of.counts.items() if k.endswith("caught")}
    assert not caught and len(test_of.missed) > 20
    assert all(d.code == "E0503" and "nothing" in str(d.why) for d in test_of.missed)


def test_a_comparison_of_outputs_only_is_noticed(test_of: SelfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    real = selftest.first_difference
    for module in (selftest, verification):
        monkeypatch.setattr(module, "first_difference", lambda e, layers, outputs: real(e, {}, outputs))
    everything_but_rtl(test_of, 30)
    if len(test_of.layers) > 1:
        assert any("inner" in str(d.why) for d in test_of.missed)
    assert any(d.what.startswith("golden word: golden/per_layer.npz") for d in test_of.missed)


def test_a_wrong_element_is_noticed(test_of: SelfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    real = selftest.first_difference

    def last_element(expected: Any, layers: Any, outputs: Any) -> Difference | None:
        found = real(expected, layers, outputs)
        if found is not None:
            object.__setattr__(found, "frame", found.frame + 1)
        return found

    monkeypatch.setattr(selftest, "first_difference", last_element)
    run_trials(test_of.model_mutants(), 20)
    assert test_of.missed and not any(k.endswith("caught") for k in test_of.counts)


def test_a_blind_check_of_files_is_noticed(test_of: SelfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    run_trials(test_of.file_mutants(), 100)
    assert not test_of.missed and test_of.counts["file: caught"] >= 20
    monkeypatch.setattr(Artefact, "check", lambda self: None)
    run_trials(test_of.file_mutants(), 100)
    assert len(test_of.missed) > 15


def test_missed_mutants_end_with_e0503(tested: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SelfTest, "rtl_mutants", lambda *a: iter(()))
    monkeypatch.setattr(verification, "check_golden", lambda *a: None)
    monkeypatch.setattr(selftest, "check_golden", lambda *a: None)
    with pytest.raises(EdgecError) as caught:
        self_test(tested, mutants=55, seed=1, timeout=600)
    assert caught.value.exit == 5 and {d.code for d in caught.value.diagnostics} == {"E0503"}
    assert any("golden/outputs.npz" in d.what for d in caught.value.diagnostics)


@pytest.mark.parametrize("fmt", [Fixed(3, 1, True, True), Ternary()], ids=str)
def test_register_bits_without_a_legal_code(simulators: Path, tmp_path: Path, fmt: Format) -> None:
    """A flipped bit can make a code that the format does not have; the model cannot follow, but it must be found."""
    artefact = api.build(tiny(fmt=fmt), TARGET, tmp_path / "out", Options(weights="loaded"))
    test = SelfTest(artefact, tmp_path / "work", seed=0, timeout=600)
    entry = artefact.manifest["interface"]["registers"][0]
    illegal = 0
    for bit in range(entry["elements"] * entry["element_bits"]):
        illegal += test.with_flipped_bit(entry, bit) is None
        test.try_image(entry, bit)
    assert not test.missed and test.counts["register bank: caught"] > 5
    assert illegal > 0


def test_bits_and_elements_of_the_bank(test_of: SelfTest) -> None:
    for entry in test_of.artefact.manifest["interface"]["registers"]:
        names = Printer(test_of.graph).names
        constant = next(op for op, n in names.items() if n == entry["constant"])
        assert isinstance(constant, Constant)
        bits = entry["element_bits"]
        for bit in range(entry["elements"] * bits):
            changed = test_of.with_flipped_bit(entry, bit)
            assert changed is not None
            new = changed[1][entry["constant"]]
            assert isinstance(new, Constant)
            difference = np.flatnonzero(new.data != constant.data)
            assert difference.tolist() == [bit // bits]
            codes = new.data.ravel()[difference[0]] ^ constant.data.ravel()[difference[0]]
            assert int(codes) & ((1 << bits) - 1) == 1 << bit % bits


def test_switched_off_faults_change_nothing_in_icarus(loaded: Artefact, tmp_path: Path) -> None:
    """The text with switches is plain SystemVerilog: another simulator reads it, and agrees that number 0 is none."""
    need("iverilog")
    from edgec.hw.sim.iverilog import run_testbench

    files = sources(loaded)
    changed, _ = mutated_sources(files, 40, np.random.default_rng(1))
    folder = tmp_path / "rtl"
    folder.mkdir()
    for name, text in {**files, **changed}.items():
        (folder / Path(name).name).write_text(text)
    bench = loaded.manifest["interface"]["testbench"]
    paths = [*(folder / Path(f).name for f in files), loaded.path / bench["file"]]
    result = run_testbench(paths, bench["top"], cwd=loaded.path / "sim")
    assert result.passed, result.output


def test_first_change() -> None:
    a, b = np.zeros((3, 2), int), np.zeros((3, 4), np.uint8)
    assert first_change([("a", a), ("b", b)], [("a", a), ("b", b)]) is None
    late, early = b.copy(), a.copy()
    late[1, 3] = 7
    assert first_change([("a", a), ("b", b)], [("a", a), ("b", late)]) == Place("b", 1, (3,))
    early[2, 1] = -1
    assert first_change([("a", a), ("b", b)], [("a", early), ("b", late)]) == Place("a", 2, (1,))


def test_an_artefact_that_does_not_verify_is_not_tested(loaded: Artefact, simulators: Path, tmp_path: Path) -> None:
    from edgec.tampering import copy_artefact

    copy = copy_artefact(loaded, tmp_path / "out")
    (copy / "rtl/registers.md").write_text("")
    with pytest.raises(EdgecError) as caught:
        self_test(Artefact.open(copy), mutants=10, seed=1, timeout=600)
    assert caught.value.code == "E0701"


def test_computed_words_of_the_unchanged_graph(test_of: SelfTest) -> None:
    graph: Graph = load_graph(test_of.artefact)
    names = Printer(graph).names
    expected = test_of.computed(graph, {n: op for op, n in names.items()})
    for name, words in test_of.reference.layers.items():
        np.testing.assert_array_equal(expected.layers[name], words)
    np.testing.assert_array_equal(expected.outputs["y"], run(graph, test_of.frames)["y"])
    assert isinstance(test_of.simulation, RtlSimulation)
