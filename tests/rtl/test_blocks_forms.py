"""The forms of a design: as expressions and as adder cells, in both simulators, through lint and a synthesis reader."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from blocks_support import Design, check_simulated, draw_graphs, frames_of, merge
from test_blocks_modules import EXAMPLES
from test_support import require_tool

from edgec.backends.rtl import simulation_files
from edgec.graph import Graph
from edgec.hw.sim import iverilog
from edgec.hw.sim.verilator_bench import lint
from edgec.interp import run

FIXED = (
    ("dense", 3), ("conv", 2), ("wide", 1), ("activation", 5), ("arithmetic", 5), ("requantize", 4), ("threshold", 4),
    ("table", 3), ("pool", 5), ("reduce", 4), ("moves", 6), ("detector", 6), ("network", 1),
)  # fmt: skip
LOADED = (("dense loaded", 3), ("conv loaded", 2), ("threshold loaded", 2), ("wide loaded", 1))


def branches(weights: str, key: int) -> list[Graph]:
    names = LOADED if weights == "loaded" else FIXED
    return [g for block, n in names for g in draw_graphs(EXAMPLES[block][0], n, key, weights == "loaded")]


@pytest.mark.parametrize("weights", ["fixed", "loaded"])
def test_cells_give_the_same_words(weights: str, tmp_path: Path) -> None:
    require_tool("verilator")
    check_simulated(branches(weights, 23), weights, tmp_path, ("EDGEC_CELLS",)).close()


@pytest.mark.parametrize("weights", ["fixed", "loaded"])
@pytest.mark.parametrize("defines", [(), ("EDGEC_CELLS",)])
def test_bench_passes_in_icarus(weights: str, defines: tuple[str, ...], tmp_path: Path) -> None:
    """The self-checking bench of an artefact: words, latency, gaps in the stream."""
    require_tool("iverilog")
    design = Design(merge("dut", branches(weights, 31)), weights, tmp_path)
    frames = frames_of(design.graph, 32)
    plan = design.plan
    files, facts = simulation_files(plan, frames, run(design.graph, frames))
    (tmp_path / "sim").mkdir()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    result = iverilog.run_testbench(
        [*design.files, tmp_path / facts["file"]], facts["top"], cwd=tmp_path / "sim", defines=defines
    )
    assert result.passed, result.output


@pytest.mark.parametrize("weights", ["fixed", "loaded"])
@pytest.mark.parametrize("defines", [(), ("EDGEC_CELLS",)])
def test_lint_has_nothing_to_say(weights: str, defines: tuple[str, ...], tmp_path: Path) -> None:
    require_tool("verilator")
    design = Design(merge("dut", branches(weights, 47)), weights, tmp_path)
    assert lint(design.files, "dut", defines=defines) == []


@pytest.mark.parametrize("weights", ["fixed", "loaded"])
@pytest.mark.parametrize("defines", [(), ("EDGEC_CELLS",)])
def test_yosys_reads_the_design(weights: str, defines: tuple[str, ...], tmp_path: Path) -> None:
    """Read, elaborate and check; in a process of its own, since its errors end the process."""
    if importlib.util.find_spec("pyosys") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("pyosys is not installed, and CI=true: every tool must be there")
        pytest.skip("pyosys is not installed")
    design = Design(merge("dut", branches(weights, 59)), weights, tmp_path)
    options = " ".join(f"-D {d}" for d in defines)
    script = [f"read_verilog -sv {options} {' '.join(map(str, design.files))}", "hierarchy -check -top dut", "proc"]
    script += ["check -assert", "select -assert-none t:$dlatch"]
    code = "import sys; from pyosys import libyosys as y; d = y.Design(); [y.run_pass(s, d) for s in sys.argv[1:]]"
    done = subprocess.run([sys.executable, "-c", code, *script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
