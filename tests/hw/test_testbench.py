"""Self-checking benches under both simulators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hw_support import RTL, need, script

from edgec.diagnostics import EdgecError
from edgec.hw.sim import iverilog, verilator_bench
from edgec.hw.sim.verilator_bench import lint

FILES = [RTL / "adder_tb.sv", RTL / "adder.sv"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "frames.hex").write_text("0000000500000007\nffffffffffffffff\n0000000000000000\n8000000080000000\n")
    return tmp_path


@pytest.fixture(params=["iverilog", "verilator"])
def simulator(request: pytest.FixtureRequest) -> Callable:
    need(*{"iverilog": ["iverilog"], "verilator": ["verilator", "c++", "make"]}[request.param])
    modules: dict[str, ModuleType] = {"iverilog": iverilog, "verilator": verilator_bench}
    return modules[request.param].run_testbench


def test_bench_passes_and_fails(simulator: Callable, data: Path) -> None:
    good = simulator(FILES, "adder_tb", cwd=data)
    assert good.passed, good.output
    bad = simulator(FILES, "adder_tb", cwd=data, defines=["BROKEN"])
    assert not bad.passed and "wrong sum for frame" in bad.output
    assert sorted(p.name for p in data.iterdir()) == ["frames.hex"]


def test_silence_is_no_success(data: Path) -> None:
    need("iverilog")
    result = iverilog.run_testbench(FILES, "adder_tb", cwd=data, defines=["SILENT"])
    assert not result.passed


def test_bench_that_never_ends(tmp_path: Path) -> None:
    need("iverilog")
    (tmp_path / "tb.sv").write_text("module tb; reg c = 0; always #1 c = ~c; endmodule\n")
    with pytest.raises(EdgecError) as caught:
        iverilog.run_testbench([tmp_path / "tb.sv"], "tb", timeout=0.5)
    assert caught.value.code == "E0604"


def test_bench_that_does_not_compile(tmp_path: Path) -> None:
    need("iverilog")
    (tmp_path / "tb.sv").write_text("module tb; initial nonsense(; endmodule\n")
    with pytest.raises(EdgecError, match="syntax error") as caught:
        iverilog.run_testbench([tmp_path / "tb.sv"], "tb")
    assert caught.value.code == "E0602"


def test_missing_bench(tmp_path: Path) -> None:
    need("iverilog")
    with pytest.raises(EdgecError) as caught:
        iverilog.run_testbench([tmp_path / "no.sv"], "tb")
    assert caught.value.code == "E0202"


def test_killed_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """vvp is taken from beside iverilog."""
    answers = 'case "$*" in *-V*) echo "Icarus Verilog version 11.0";; esac'
    monkeypatch.setenv("EDGEC_IVERILOG", str(script(tmp_path, answers, "iverilog")))
    script(tmp_path, "kill -KILL $$", "vvp")
    with pytest.raises(EdgecError, match="vvp was killed by SIGKILL") as caught:
        iverilog.run_testbench(FILES, "adder_tb")
    assert caught.value.code == "E0603"


def test_lint_names_the_warnings(tmp_path: Path) -> None:
    need("verilator")
    good = tmp_path / "good.sv"
    good.write_text("module good (input logic [3:0] a, output logic [3:0] b);\n  assign b = a;\nendmodule\n")
    assert lint([good], "good") == []
    bad = tmp_path / "bad.sv"
    bad.write_text("module bad (input logic [3:0] a, output logic [2:0] b);\n  assign b = a;\nendmodule\n")
    warnings = lint([bad], "bad")
    assert len(warnings) == 2
    assert warnings[0].startswith("WIDTH") and "bad.sv:2" in warnings[0]
    assert warnings[1].startswith("UNUSED") and "bad.sv:1" in warnings[1]
