"""`edgec synth --check`: what is equivalent passes, and every kind of damage to the netlist is found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hw_support import need
from synth_support import build

import edgec
from edgec.artefact import Artefact
from edgec.cli import cli
from edgec.diagnostics import EdgecError
from edgec.hw.netlist import flatten
from edgec.hw.synth import equivalence, load_library, synthesise
from edgec.hw.synth.drive import STREAM, from_lanes, to_lanes
from edgec.hw.synth.evaluate import ALL, NetlistSimulator
from edgec.hw.synth.formal import DIFFERENT, PROVED, prove
from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.synth.mapping import Mapped, map_design
from edgec.hw.synth.netlist import Netlist

GE = "gate-equivalents"


@pytest.fixture(scope="module")
def library() -> SynthesisLibrary:
    return load_library(GE)


@pytest.fixture(scope="module", params=["loaded", "fixed"])
def artefact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    need("yosys")
    return build(tmp_path_factory.mktemp("check") / "out", request.param)


def map_artefact(artefact: Artefact, library: SynthesisLibrary) -> tuple[dict[str, bytes], Mapped]:
    interface = artefact.manifest["interface"]
    sources = {f: artefact.read(f) for f in interface["files"]}
    return sources, map_design(interface["top"], sources, library, timeout=120)


OTHER = {"XOR2": "XNOR2", "XNOR2": "XOR2", "NAND2": "NOR2", "NOR2": "NAND2", "AND2": "OR2", "OR2": "AND2"}


def swapped(mapped: Mapped, modules: str, types: tuple[str, ...] = tuple(OTHER)) -> tuple[Mapped, str]:
    """The first cell of one of `types` in a leaf module named `modules`... becomes another one, in JSON and Verilog."""
    netlist = mapped.netlist
    for module in netlist.modules:
        for old in types:
            if module.startswith(modules) and not netlist.instances(module) and netlist.cells(module)[old]:
                document = json.loads(mapped.json)
                cell = next(c for c in document["modules"][module]["cells"].values() if c["type"] == old)
                cell["type"] = OTHER[old]
                place = mapped.verilog.index(f"\n  {old} ", mapped.verilog.index(f"\nmodule {module}(")) + 3
                text = mapped.verilog[:place] + OTHER[old] + mapped.verilog[place + len(old) :]
                wrong = Netlist(netlist.top, document["modules"], netlist.base)
                return dataclasses.replace(mapped, netlist=wrong, verilog=text), module
    raise AssertionError(f"no {types} in {modules}")


def test_the_netlist_of_a_network_is_equivalent(artefact: Artefact) -> None:
    found = edgec.synth(artefact, GE, check=True).report["equivalence"]
    results = found["modules"]
    assert set(results.values()) <= {"proved", "simulated"}
    assert results["two"] == "simulated"
    assert any(r == "proved" for r in results.values())
    assert found["simulation"]["words"] == 3 * found["simulation"]["frames"] > 3000
    if artefact.manifest["interface"]["registers"]:
        assert found["simulation"]["bank_bits"] == sum(
            r["elements"] * r["element_bits"] for r in artefact.manifest["interface"]["registers"]
        )


@pytest.mark.parametrize("types", [("XOR2", "XNOR2"), ("NAND2", "NOR2"), ("AND2", "OR2", "NOR2")])
def test_a_wrong_gate_is_found_by_proof_and_by_simulation(
    artefact: Artefact, library: SynthesisLibrary, types: tuple[str, ...]
) -> None:
    sources, mapped = map_artefact(artefact, library)
    mutant, module = swapped(mapped, "two_l1", types)
    proofs = prove(sources, mutant, library, timeout=120)
    assert proofs[module] == DIFFERENT
    assert all(result == PROVED for name, result in proofs.items() if name != module)
    with pytest.raises(EdgecError) as error:
        equivalence.check_equivalence(artefact, sources, mutant, library, timeout=120, seed=1)
    first = error.value.diagnostics[0]
    assert first.code == "E0504" and module in first.what and error.value.exit == 5


def test_simulation_alone_names_the_first_wrong_layer(tmp_path: Path, library: SynthesisLibrary) -> None:
    need("yosys")
    artefact = build(tmp_path / "out", "fixed")
    _, mapped = map_artefact(artefact, library)
    mutant, _ = swapped(mapped, "two_l0_conv", ("XOR2", "XNOR2"))
    with pytest.raises(EdgecError) as error:
        equivalence.simulate(artefact, mutant, library, 1)
    first = error.value.diagnostics[0]
    assert first.code == "E0504" and "flat" in str(first.layer)  # where the convolution ends


def test_a_bank_that_forgets_is_found(tmp_path: Path, library: SynthesisLibrary) -> None:
    need("yosys")
    artefact = build(tmp_path / "out", "loaded")
    _, mapped = map_artefact(artefact, library)
    document = json.loads(mapped.json)
    module = next(
        m for m, body in document["modules"].items()
        if mapped.netlist.base[m].startswith("edgec_") and any(c["type"] == "DFFE" for c in body["cells"].values())
        and "word" not in m
    )  # fmt: skip
    for cell in document["modules"][module]["cells"].values():
        if cell["type"] == "DFFE":
            cell["connections"]["D"] = ["0"]
    mutant = dataclasses.replace(mapped, netlist=Netlist(mapped.netlist.top, document["modules"], mapped.netlist.base))
    with pytest.raises(EdgecError) as error:
        equivalence.simulate(artefact, mutant, library, 1)
    assert error.value.diagnostics[0].code == "E0504"


def test_exit_status_of_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("yosys")
    artefact = build(tmp_path / "out", "fixed")

    def wrong(*arguments: object, **options: object) -> Mapped:
        mapped = map_design(*arguments, **options)  # type: ignore[arg-type]
        return swapped(mapped, "two_l1")[0]

    monkeypatch.setitem(synthesise.__globals__, "map_design", wrong)
    from edgec.console import run_command

    assert run_command(cli, ["synth", str(artefact.path), "--liberty", GE, "--check"]) == 5
    assert not (artefact.path / "synth").exists()
    assert CliRunner().invoke(cli, ["explain", "E0504"]).exit_code == 0


def test_lanes_there_and_back() -> None:
    generator = np.random.default_rng(3)
    for frames, bits in ((1, 5), (200, 33), (256 * STREAM, 64)):
        words = generator.integers(0, 1 << 32, (frames, -(-bits // 32)), np.uint32)
        if bits % 32:
            words[:, -1] &= np.uint32((1 << bits % 32) - 1)
        lanes = to_lanes(words, bits, -(-frames // (64 * STREAM)))
        assert len(lanes) == STREAM and lanes[0].shape[0] == bits
        assert (from_lanes(lanes, frames) == words).all()


def test_flip_flops_of_the_simulator(library: SynthesisLibrary) -> None:
    """A counter with enable and synchronous reset, against plain integers; the lanes have enables of their own."""
    need("yosys")
    source = b"""module t (input clk, rst, en, output reg [7:0] q);
      always @(posedge clk) if (rst) q <= 8'd3; else if (en) q <= q + 8'd1;
    endmodule"""
    mapped = map_design("t", {"t.sv": source}, library, timeout=120)
    machine = NetlistSimulator(flatten(json.loads(mapped.json), library.cells, "t"))
    generator = np.random.default_rng(1)
    count = np.zeros(64, np.int64)
    for t in range(300):
        reset, enable = t < 1 or t == 150, generator.integers(0, 2, 64)
        machine.set_input("rst", np.array([ALL if reset else 0], np.uint64))
        machine.set_input("en", np.packbits(enable.astype(np.uint8), bitorder="little").view("<u8")[None])
        machine.settle()
        machine.clock()
        count = np.full(64, 3) if reset else (count + enable) % 256
        ones = np.unpackbits(machine.output("q").view(np.uint8), axis=1, bitorder="little")
        assert (ones.T @ (1 << np.arange(8)) == count).all()
