"""Published latencies of ncnn on boards against cycles from traces: the truth behind `cycles.trace_scale`.

    python bench/arm_latency.py [--measure] [--work FOLDER] [--cores cortex-a76,...] [--networks mobilenet,...]

Prints, for every board and network of tests/hw/data/arm_latency.json, the published latency and the estimate, and the
scale of every core from its calibration entries. With --measure the traces are made again: ncnn's own wheel for
aarch64 runs its benchmark networks (bench/arm/ncnn_published.py, empty weights, one thread) in a sysroot under QEMU, as
bench/arm_peers.py does, and the file is written anew.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "arm"))
sys.path.insert(0, str(Path(__file__).parent))

import ncnn_published
from arm_peers import infer

from edgec.diagnostics import EdgecError
from edgec.hw.arm.trace import trace
from edgec.hw.tools.cache import cache_folder

DATA = Path(__file__).parents[1] / "tests/hw/data/arm_latency.json"


def measure(data: dict[str, Any], work: Path, cores: list[str], networks: list[str]) -> None:
    """Count networks again and write the file."""
    work.mkdir(parents=True, exist_ok=True)
    for core in cores:
        for name in networks:
            file = work / f"{name}.param"
            file.write_text(ncnn_published.param(name))
            found = trace(infer(work, "ncnn", file, core, 1).blocks, core)
            data["traces"].setdefault(core, {})[name] = {
                "instructions": found.instructions, "cycles": round(found.cycles),
            }  # fmt: skip
            DATA.write_text(json.dumps(data, indent=1) + "\n")
            print(f"{core:12}{name:18}{found.instructions / 1e6:9.1f} M instructions{found.cycles / 1e6:9.1f} M cycles")


def scale(data: dict[str, Any], core: str) -> float:
    """Geometric mean of published over estimated time, on the calibration entries of `core`."""
    ratios = [
        published * 1e3 * board["clock_mhz"] / data["traces"][core][name]["cycles"]
        for board in data["boards"]
        if board["core"] == core
        for name, published in board["latency_ms"].items()
        if name in board["calibration"]
    ]
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def errors(data: dict[str, Any], board: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """(published ms, estimated ms, relative error) of the entries that the scale was not taken from."""
    factor, found = scale(data, board["core"]), {}
    for name, published in board["latency_ms"].items():
        if name in board["calibration"]:
            continue
        estimate = factor * data["traces"][board["core"]][name]["cycles"] / (1e3 * board["clock_mhz"])
        found[name] = published, estimate, estimate / published - 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--cores", default="cortex-a76,cortex-a72,cortex-a53,cortex-a55")
    parser.add_argument("--networks", default=",".join(ncnn_published.NETWORKS))
    given = parser.parse_args()
    data = json.loads(DATA.read_text())
    if given.measure:
        work = (given.work or cache_folder("arm-peers")).resolve()
        measure(data, work, given.cores.split(","), given.networks.split(","))
    for core in data["traces"]:
        print(f"{core}: scale {scale(data, core):.3f}")
    promised = []
    for board in data["boards"]:
        found = errors(data, board)
        sizes = [abs(e) for _, _, e in found.values()]
        print(
            f"\n{board['name']}, {board['core']} {board['clock_mhz']} MHz:",
            f"mean error {100 * sum(sizes) / len(sizes):.1f} %,",
            end=" ",
        )
        print(f"largest {100 * max(sizes):.1f} %" + (f" ({board['apart']})" if "apart" in board else ""))
        for name, (published, estimate, error) in found.items():
            print(f"  {name:18}{published:9.2f} ms{estimate:9.2f} ms{100 * error:+8.1f} %")
        promised += sizes if "apart" not in board else []
    mean = 100 * sum(promised) / len(promised)
    print(f"\n{len(promised)} held out entries: mean {mean:.1f} %, largest {100 * max(promised):.1f} %")


if __name__ == "__main__":
    try:
        main()
    except EdgecError as error:
        raise SystemExit(str(error)) from None
