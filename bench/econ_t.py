"""Both ECON-T designs, weights loaded and fixed, chip and exact numerics: built, simulated on 10,000 frames, priced.

    python bench/econ_t.py [frames]

One line a configuration: wrong words (any would stop the run), simulated latency and initiation interval, kGE and
energy estimates, and the wall time of build and verification on this machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import edgec
from edgec.options import Options

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "econ_t"


def bar(figure: dict[str, float]) -> str:
    return f"{figure['nominal']:.0f} ({figure['low']:.0f}..{figure['high']:.0f})"


def main() -> None:
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("design  weights  numerics  wrong  latency  II  kGE  pJ  build s  verify s")
    for design in ("8x8x1", "4x4x3"):
        for weights in ("loaded", "fixed"):
            for numerics in ("econ-t", "exact"):
                with tempfile.TemporaryDirectory() as folder:
                    options = Options(weights=weights, numerics=numerics)
                    start = time.perf_counter()
                    artefact = edgec.build(EXAMPLE / f"econ_t_{design}.onnx", "asic65nm", f"{folder}/out", options)
                    built = time.perf_counter()
                    (party,) = edgec.verify(artefact, vectors=frames)["parties"]
                    done = time.perf_counter()
                totals = artefact.manifest["estimates"]["totals"]
                print(
                    f"{design}  {weights}  {numerics}  0 of {party['words']}  {party['latency']}  "
                    f"{party['initiation_interval']}  {bar(totals['area_kge'])}  {bar(totals['energy_pj'])}  "
                    f"{built - start:.1f}  {done - built:.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
