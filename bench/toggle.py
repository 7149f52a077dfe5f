"""Gate-level energy of the ECON-T encoders: longest path, transitions, energy by kind, and the simulator's speed.

    python bench/toggle.py [--frames N] [--designs 8x8x1,4x4x3] [--weights loaded,fixed] [LIBERTY ...]

LIBERTY are .lib or .lib.gz files (default: osu018 and gate-equivalents). The frames are sparse: 60 % zeros, the
rest exponential with a mean of 40. One line a design and library; where OpenSTA is
installed (`sta`), its longest path of the same netlist without wires stands beside ours.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import edgec
from edgec.artefact import Artefact
from edgec.hw.netlist import read_netlist
from edgec.hw.synth.libraries import SynthesisLibrary, load_library
from edgec.hw.timing import Conditions, analyse
from edgec.hw.toggle.energy import KINDS
from edgec.options import Options

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "econ_t"
PLAIN = Conditions(wire_ff=0, buffers=False)
SHAPES = {"8x8x1": (1, 1, 8, 8), "4x4x3": (1, 3, 4, 4)}


def frames(design: str, count: int) -> np.ndarray:
    """Sparse u8 frames as real values."""
    rng = np.random.default_rng(1)
    shape = (count, *SHAPES[design])
    values = np.minimum(np.floor(rng.exponential(40, shape)), 255)
    return (np.where(rng.random(shape) < 0.6, 0, values) / 256).astype(np.float32)


def compare_timing(folder: Path, library: SynthesisLibrary, top: str) -> str:
    """`ours / OpenSTA (difference)` for the longest path from register to register, in ns, without wires."""
    netlist = read_netlist(folder / "netlist.json", library.cells, top)
    path = analyse(netlist, library.cells, PLAIN).paths.get("register to register")
    ours = path.delay / 1000 if path else 0.0
    if shutil.which("sta") is None:
        return f"{ours:.3f}"
    with tempfile.TemporaryDirectory() as name:
        lib, script = Path(name) / "cells.lib", Path(name) / "run.tcl"
        # without the wire loads that OpenSTA takes from the library unasked
        lib.write_text(re.sub(r"default_wire_load\w*\s*:[^;]*;|default_wire_load_selection[^;]*;", "", library.text))
        script.write_text(
            f"read_liberty {lib}\nread_verilog {folder / 'netlist.v'}\nlink_design {top}\n"
            "create_clock -name clk -period 1000 [get_ports clk]\n"
            "report_checks -from [all_registers -clock_pins] -to [all_registers -data_pins] -digits 4\nexit\n"
        )
        out = subprocess.run(["sta", "-exit", str(script)], capture_output=True, text=True, timeout=600).stdout
    found = re.search(r"([\d.]+)\s+slack", out)
    if found is None:
        return f"{ours:.3f} / failed"
    theirs = 1000 - float(found[1])
    return f"{ours:.3f} / {theirs:.3f} ({100 * (ours / theirs - 1):+.2f} %)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", default=["osu018", "gate-equivalents"])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--designs", default="8x8x1,4x4x3")
    parser.add_argument("--weights", default="loaded,fixed")
    chosen = parser.parse_args()
    titles = ["design", "weights", "library", "cells", "path ns: ours / OpenSTA, no wires", "path ns", "settled ns"]
    titles += [
        *KINDS,
        "pJ",
        "estimate",
        "glitch factor",
        "transitions/frame",
        "M transitions/s",
        "simulation s",
        "all s",
    ]
    print("  ".join(titles))
    for design in chosen.designs.split(","):
        for weights in chosen.weights.split(","):
            with tempfile.TemporaryDirectory() as folder:
                model = EXAMPLE / f"econ_t_{design}.onnx"
                options = Options(weights=weights, numerics="econ-t")
                artefact = edgec.build(model, "asic65nm", f"{folder}/out", options)
                for liberty in chosen.libraries:
                    print(
                        "  ".join([design, weights, *row(artefact, liberty, frames(design, chosen.frames))]), flush=True
                    )


def row(artefact: Artefact, liberty: str, values: np.ndarray) -> list[str]:
    library = load_library(liberty)
    start = time.perf_counter()
    name = artefact.manifest["interface"]["inputs"][0]["name"]
    result = edgec.power(artefact, liberty, frames={name: values})
    seconds = time.perf_counter() - start
    report, speed = result.report, result.simulation
    totals = report["totals"]
    error = totals["estimate_error"]
    return [
        library.title,
        str(speed.energy.netlist.cell_count),
        compare_timing(result.folder, library, report["top"]),
        f"{report['timing']['critical_path_ns']:.3f}",
        f"{report['settle_ns']:.3f}",
        *[f"{totals['by_kind_pj'][kind]:.4g}" for kind in KINDS],
        f"{totals['energy_pj']:.5g}",
        "-" if error is None else f"{totals['estimated_pj']:.5g} ({100 * error:+.0f} %)",
        f"{totals['glitch_factor']:.3f}",
        f"{totals['transitions']:.0f}",
        f"{speed.transitions / speed.seconds / 1e6:.1f}",
        f"{speed.seconds:.1f}",
        f"{seconds:.0f}",
    ]


if __name__ == "__main__":
    main()
