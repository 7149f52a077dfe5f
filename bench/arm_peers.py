"""Executed instructions per inference of runtimes for 64-bit Arm: LiteRT, onnxruntime, ncnn.

    python bench/arm_peers.py DATA [--work FOLDER] [--cores cortex-a76,cortex-a72,cortex-a53] [--runtimes litert,...]

DATA holds the networks of MLPerf Tiny (mlcommons/tiny) as .tflite and, converted by tf2onnx, as .onnx. The runtimes are
their own wheels for aarch64, in a Debian sysroot, under `qemu-aarch64` with edgec's counting plugin: one thread, two
inferences ahead, then 10 between the markers, with the call from Python. FOLDER (default ~/.cache/edgec/arm-peers,
0.5 GB) keeps sysroots, wheels and every count, so that a rerun takes seconds. Setting up needs root, debootstrap, a
network, and the tools that docs/running-on-arm.md names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "arm"))

import ncnn_nets
from sysroot import CPUINFO, make_sysroot, wheel

from edgec.diagnostics import EdgecError
from edgec.hw.arm.qemu import Run, run_aarch64
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.tools.cache import cache_folder
from edgec.hw.tools.doctor import require_tools

HERE = Path(__file__).parent / "arm"
COMMON = ("numpy==2.4.6",)
RUNTIMES = {
    "litert": ("ai-edge-litert==2.3.0",),
    "litert-ruy": ("ai-edge-litert==2.3.0",),
    "onnxruntime": ("onnxruntime==1.32.0",),
    "ncnn": ("ncnn==1.0.20261020",),
}
CORES = ("cortex-a76", "cortex-a72", "cortex-a53")
INFERENCES = 10
Counts = dict[str, dict[str, dict[str, dict[str, float]]]]
# Measured before, by the same method and with the same versions: thousand instructions, in the order of RUNTIMES.
KNOWN: dict[tuple[str, str, str], tuple[float | None, ...]] = {
    ("int8", "ResNet8", "cortex-a76"): (1502, 2719, 2708, 1992),
    ("int8", "ResNet8", "cortex-a72"): (4324, 5134, 5493, 2824),
    ("int8", "ResNet8", "cortex-a53"): (5014, 6165, 5494, 2824),
    ("int8", "ResNet8", "max"): (1255, 2701, 2715, 1572),
    ("int8", "DS-CNN", "cortex-a76"): (715, 761, 859, None),
    ("int8", "DS-CNN", "cortex-a72"): (1943, 1402, 1453, None),
    ("int8", "DS-CNN", "cortex-a53"): (1339, 1604, 1453, None),
    ("int8", "DS-CNN", "max"): (736, 756, 859, None),
    ("int8", "VWW", "cortex-a76"): (1930, 2958, 3168, 2307),
    ("int8", "VWW", "cortex-a72"): (3618, 4916, 4883, 3403),
    ("int8", "VWW", "cortex-a53"): (4017, 5556, 4883, 3403),
    ("int8", "VWW", "max"): (1903, 2943, 3170, 2135),
    ("int8", "AD", "cortex-a76"): (48.0, 263.8, 174.3, None),
    ("int8", "AD", "cortex-a72"): (97.1, 263.8, 213.7, None),
    ("int8", "AD", "cortex-a53"): (141.1, 263.8, 213.6, None),
    ("int8", "AD", "max"): (44.4, 263.7, 168.6, None),
    ("float32", "ResNet8", "cortex-a76"): (4706, None, 6552, 1888),
    ("float32", "ResNet8", "cortex-a72"): (4887, None, 6776, 3132),
    ("float32", "ResNet8", "cortex-a53"): (7059, None, 6553, 4514),
    ("float32", "DS-CNN", "cortex-a76"): (1020, None, 3075, None),
    ("float32", "VWW", "cortex-a76"): (3518, None, 7635, 1838),
    ("float32", "AD", "cortex-a76"): (133, None, 185, None),
}


@dataclass(frozen=True)
class Model:
    """One network: the file of every kind of runtime."""

    name: str
    kind: str
    files: dict[str, Path] = field(default_factory=dict)


def mlperf_tiny(data: Path) -> list[Model]:
    """The four networks, int8 and float32."""
    stems = {
        "int8": {
            "ResNet8": "pretrainedResnet_quant",
            "DS-CNN": "kws_ref_model",
            "VWW": "vww_96_int8",
            "AD": "ad01_int8",
        },
        "float32": {
            "ResNet8": "pretrainedResnet",
            "DS-CNN": "kws_ref_model_float32",
            "VWW": "vww_96_float",
            "AD": "ad01_fp32",
        },
    }
    return [
        Model(name, kind, {"tflite": data / f"{stem}.tflite", "onnx": data / f"{stem}.onnx"})
        for kind, names in stems.items()
        for name, stem in names.items()
    ]


def model_file(work: Path, runtime: str, model: Model) -> Path | None:
    """What `runtime` loads, or None where it has nothing for this network."""
    if runtime == "ncnn":
        text = ncnn_nets.param(model.name, model.kind)
        if text is None:
            return None
        path = work / "ncnn" / f"{model.name}-{model.kind}.param"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path
    return model.files["onnx" if runtime == "onnxruntime" else "tflite"]


def infer(work: Path, runtime: str, file: Path, core: str, inferences: int = INFERENCES) -> Run:
    """`inferences` inferences of `file` by `runtime` on `core`: counts of all together, and its blocks."""
    root = make_sysroot(work, core)
    site = [wheel(work, requirement) for requirement in (*RUNTIMES[runtime], *COMMON)]
    marker = compile_c(
        [HERE / "region.c"],
        work / "region.so",
        core="cortex-a53",
        compiler="gcc",
        flags=("-O2", "-fPIC"),
        link_flags=("-shared", "-nostdlib"),
        static=False,
    )
    environment = {
        "PYTHONPATH": os.pathsep.join(map(str, site)),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return run_aarch64(
        root / "usr/bin/python3.11",
        cpu=core,
        args=[str(HERE / "guest.py"), runtime, str(file), str(inferences), str(marker)],
        sysroot=root,
        environment=environment,
        timeout=900,
    )


def measured(work: Path, runtime: str, model: Model, core: str) -> dict[str, Any] | None:
    """`instructions` of INFERENCES inferences and the `output` of one, kept in FOLDER under all versions.

    None where the runtime has no form of this network. Raises EdgecError where a tool is missing or a runtime fails.
    """
    file = model_file(work, runtime, model)
    if file is None:
        return None
    cache = work / "counts.json"
    known = json.loads(cache.read_text()) if cache.is_file() else {}
    digest = hashlib.sha256(file.read_bytes() + (HERE / "guest.py").read_bytes()).hexdigest()[:16]
    qemu = require_tools(["qemu-aarch64"])["qemu-aarch64"].version
    versions = " ".join([*RUNTIMES[runtime], *COMMON, f"qemu=={qemu}"])
    key = f"{runtime} {core} {model.name} {model.kind} {digest} {INFERENCES} {versions}"
    if key not in known:
        done = infer(work, runtime, file, core)
        known[key] = {"instructions": done.instructions, "output": json.loads(done.stdout)}
        scratch = cache.with_suffix(".part")
        scratch.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        os.replace(scratch, cache)
    return known[key]


def peer_counts(
    work: Path, models: Sequence[Model], cores: Sequence[str] = CORES, runtimes: Sequence[str] = tuple(RUNTIMES)
) -> Counts:
    """Executed instructions per inference: [kind][network][core][runtime]. What was counted before is not run again.

    Raises EdgecError where a tool is missing or a runtime fails.
    """
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    result: Counts = {}
    for model in models:
        for core in cores:
            row = result.setdefault(model.kind, {}).setdefault(model.name, {}).setdefault(core, {})
            for runtime in runtimes:
                entry = measured(work, runtime, model, core)
                if entry is not None:
                    row[runtime] = entry["instructions"] / INFERENCES
    return result


def output_spread(work: Path, model: Model, cores: Sequence[str], runtimes: Sequence[str]) -> tuple[float, float]:
    """How far outputs of runtimes and cores lie apart: the first four values, and the sum of all; not of ncnn, whose
    weights are empty.
    """
    entries = [measured(work, r, model, c) for r in runtimes if r != "ncnn" for c in cores]
    outputs = [entry["output"] for entry in entries if entry is not None]
    if not outputs:
        return 0.0, 0.0
    first = max(max(column) - min(column) for column in zip(*(o["first"] for o in outputs), strict=True))
    sums = [o["sum"] for o in outputs]
    return first, max(sums) - min(sums)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--cores", default=",".join(CORES), help=f"of {','.join(CPUINFO)}")
    parser.add_argument("--runtimes", default=",".join(RUNTIMES))
    arguments = parser.parse_args()
    cores, runtimes = arguments.cores.split(","), arguments.runtimes.split(",")
    if not set(cores) <= set(CPUINFO) or not set(runtimes) <= set(RUNTIMES):
        parser.error(f"cores are of {','.join(CPUINFO)}, runtimes of {','.join(RUNTIMES)}")
    work = (arguments.work or cache_folder("arm-peers")).resolve()
    models = mlperf_tiny(arguments.data)
    counts = peer_counts(work, models, cores, runtimes)
    order = list(RUNTIMES)
    print("thousand instructions per inference, in brackets what was measured before")
    for kind, networks in counts.items():
        print(f"\n{kind:20}" + "".join(f"{r:>20}" for r in runtimes))
        for name, rows in networks.items():
            for core, row in rows.items():
                before = KNOWN.get((kind, name, core), (None,) * len(order))
                cells = [_cell(row.get(r), before[order.index(r)]) for r in runtimes]
                print(f"{name:9}{core:11}" + "".join(f"{cell:>20}" for cell in cells))
    print("\nlargest difference between outputs of runtimes and cores (int8: in steps): first values, sum")
    for model in models:
        first, total = output_spread(work, model, cores, runtimes)
        print(f"{model.kind:9}{model.name:9}{first:10.3g}{total:10.3g}")


def _cell(count: float | None, before: float | None) -> str:
    known = "" if before is None else f" ({before:,})"
    return "-" if count is None else f"{count / 1000:,.1f}{known}"


if __name__ == "__main__":
    try:
        main()
    except EdgecError as error:
        raise SystemExit(str(error)) from None
