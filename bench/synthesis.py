"""Designs by libraries: synthesised kGE, the estimate's error, flip-flops and seconds.

    python bench/synthesis.py [LIBERTY...]

The ECON-T encoders with loaded and with constant weights, chip and exact numerics. Libraries are names or paths as
`edgec synth --liberty` takes them; by default osu018 (where installed) and gate-equivalents.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import edgec
from edgec.hw.synth.libraries import OSU018
from edgec.options import Options

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "econ_t"
DESIGNS = [(d, n, w) for w in ("loaded", "fixed") for d in ("8x8x1", "4x4x3") for n in ("econ-t", "exact")]


def main() -> None:
    default = ["osu018"] * OSU018.is_file() + ["gate-equivalents"]
    libraries = sys.argv[1:] or default
    print("| design | library | kGE | estimate kGE | error | flip-flops | longest path ns | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for design, numerics, weights in DESIGNS:
        with tempfile.TemporaryDirectory() as folder:
            options = Options(weights=weights, numerics=numerics)
            artefact = edgec.build(EXAMPLE / f"econ_t_{design}.onnx", "asic65nm", f"{folder}/out", options)
            for liberty in libraries:
                result = edgec.synth(artefact, liberty)
                totals, path = result.report["totals"], result.report["timing"]["critical_path_ns"]
                print(
                    f"| {design} {numerics} {weights} | {result.library.name} | {totals['ge'] / 1000:.1f} "
                    f"| {totals['estimated_kge']:.1f} | {100 * totals['estimate_error']:+.1f} % "
                    f"| {totals['flip_flops']} | {path:.2f} | {result.seconds:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
