"""The MLPerf Tiny networks in folded RTL: cycles estimated and simulated, throughput, area, energy, wrong words.

    python bench/folded.py FOLDER [FPS...]

FOLDER holds `pretrainedResnet_quant.onnx` and `kws_ref_model.onnx` of the MLPerf Tiny benchmark (int8). For every frame
rate each network is folded for it at 100 MHz on asic65nm, and 20 random vectors are simulated in Verilator and compared
with the interpreter: every word of every layer, the cycle of every word, and the same again with stalls at both ends.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from edgec import api
from edgec.options import Options

NETWORKS = {"ResNet8": "pretrainedResnet_quant.onnx", "DS-CNN": "kws_ref_model.onnx"}
CLOCK_MHZ = 100.0
VECTORS = 20


def row(name: str, model: Path, fps: float, folder: Path) -> dict[str, object]:
    """Build, verify, and tell."""
    options = Options(
        mode="folded", fps=fps, clock_mhz=CLOCK_MHZ, batch=1, strip_softmax=True, golden=VECTORS, name="net"
    )
    begin = time.perf_counter()
    artefact = api.build(model, "asic65nm", folder / f"{name}-{fps:g}", options)
    built = time.perf_counter() - begin
    begin = time.perf_counter()
    (party,) = api.verify(artefact)["parties"]  # raises at the first wrong word or cycle
    facts, totals = artefact.manifest["interface"], artefact.manifest["estimates"]["totals"]
    arrays = [f for f in facts["folding"] if f["op"] in ("conv", "dense")]

    def bar(figure: str, unit: float = 1.0) -> str:
        low, nominal, high = (totals[figure][k] * unit for k in ("low", "nominal", "high"))
        return f"{nominal:.0f} ({low:.0f}..{high:.0f})"

    return {
        "network": name,
        "fps asked": f"{fps:,.0f}",
        "PE x SIMD": " ".join(f"{f['pe']}x{f['simd']}" for f in arrays),
        "MACs a cycle": sum(f["pe"] * f["simd"] for f in arrays),
        "latency est.": facts["latency"],
        "latency sim.": party["latency"],
        "interval est.": facts["initiation_interval"],
        "interval sim.": party["initiation_interval"],
        "fps": f"{totals['inferences_per_s']['nominal']:,.0f}",
        "kGE": bar("area_kge"),
        "mm2": f"{totals['area_mm2']['nominal']:.2f}",
        "nJ": bar("energy_pj", 1e-3),
        "mW": f"{totals['power_mw']['nominal']:.1f}",
        "words": party["words"],
        "wrong": 0,
        "layers": len(party["layers"]),
        "build s": f"{built:.0f}",
        "verify s": f"{time.perf_counter() - begin:.0f}",
    }


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    place = Path(sys.argv[1])
    rates = [float(a) for a in sys.argv[2:]] or [100.0, 1000.0, 10000.0]
    with tempfile.TemporaryDirectory() as folder:
        for name, file in NETWORKS.items():
            for fps in rates:
                for key, value in row(name, place / file, fps, Path(folder)).items():
                    print(f"{key:14} {value}", flush=True)
                print()


if __name__ == "__main__":
    main()
