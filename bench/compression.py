"""Compressed weights beside int8: accuracy on MNIST, weight bits, and area with fixed and with loaded weights.

    python bench/compression.py DATA [--nets mlp,cnn] [--images 10000] [--synth LIBERTY] [--agreement]

DATA is a folder with `mnist_test.npz` and `mnist_train.npz` (and `mlperf_tiny/` for --agreement). The networks are the
float ones of examples/mnist. Weights are compressed without training, calibrated on the first 256 training images;
activations are 8-bit integers. `top-1` codes every weight by itself, `compensated` is `compensate=full`. Areas are
those of the compensated network in thousands of gate equivalents: estimated, and with --synth (osu018,
gate-equivalents or a .lib file) mapped by yosys.

--agreement compresses float networks of MLPerf Tiny: ResNet8, MobileNetV1 for visual wake words, and the autoencoder
for anomalies. Their data sets are not asked for: calibration and test are smoothed noise, and the table gives the
signal to noise ratio of the results against those of the float network.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import edgec
from edgec import api
from edgec.frames import encode_frames
from edgec.graph import Graph
from edgec.inspection import price
from edgec.interp import run
from edgec.options import Options
from edgec.passes._compress import sqnr
from edgec.pipeline import Context, parse_pipeline, run_pipeline

EXAMPLES = Path(__file__).parents[1] / "examples" / "mnist"
ALL = "keep_first=false,keep_last=false"
FORMATS = {
    "int8": {},
    "int6": {"weights_format": f"int:6,{ALL}"},
    "int4": {"weights_format": f"int:4,{ALL}"},
    "int3": {"weights_format": f"int:3,{ALL}"},
    "pow2<4>": {"weights_format": f"pow2:4,{ALL}"},
    "pow2<3>": {"weights_format": f"pow2:3,{ALL}"},
    "pow2<2>": {"weights_format": f"pow2:2,{ALL}"},
    "pow2z<4>": {"weights_format": f"pow2z:4,{ALL}"},
    "pow2z<3>": {"weights_format": f"pow2z:3,{ALL}"},
    "ternary mean": {"weights_format": f"ternary,{ALL}"},
    "ternary median": {"weights_format": f"ternary:median,{ALL}"},
    "ternary search/channel": {"weights_format": f"ternary:search,per_channel=true,{ALL}"},
    "binary": {"weights_format": f"binary,{ALL}"},
    "binary, binary inputs": {"weights_format": f"binary,activations=binary,{ALL}"},
    "int8 ends, pow2<3>": {"weights_format": "pow2:3"},
    "int8 ends, ternary search/channel": {"weights_format": "ternary:search,per_channel=true"},
    "int8 ends, binary": {"weights_format": "binary"},
    "int8 ends, binary, binary inputs": {"weights_format": "binary,activations=binary"},
    "int8, 50 % zero": {"prune": 0.5},
    "int8, 80 % zero": {"prune": 0.8},
    "int4, 50 % zero": {"prune": 0.5, "weights_format": f"int:4,{ALL}"},
    "pow2z<4>, 50 % zero": {"prune": 0.5, "weights_format": f"pow2z:4,{ALL}"},
    "ternary, 50 % zero": {"prune": 0.5, "weights_format": f"ternary,{ALL}"},
}
"""Every layer is in the format, the first and the last one too, except in rows with int8 ends."""


def options(name: str, compensate: str, **more: object) -> Options:
    """The options of one row."""
    chosen = dict(FORMATS[name])
    prune = chosen.pop("prune", None)
    text = chosen.get("weights_format", "")
    if text:
        chosen["weights_format"] = f"{text},compensate={compensate}"
    table = {} if prune is None else {"prune": f"{prune},compensate={compensate}"}
    return Options(quantize="", max_area_kge=1e9, compress=table, **chosen, **more)  # type: ignore[arg-type]


def accuracy(graph: Graph, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images in percent whose largest score is that of the label."""
    right = 0
    for start in range(0, len(images), 500):
        codes = encode_frames(graph, {graph.inputs[0].name: images[start : start + 500]})
        (scores,) = run(graph, codes, max_bytes=1 << 62).values()
        right += int((scores.reshape(len(scores), -1).argmax(1) == labels[start : start + 500]).sum())
    return 100 * right / len(images)


def synthesised(model: Path, chosen: Options, data: dict[str, np.ndarray], liberty: str) -> float:
    """Mapped cell area in kGE."""
    with tempfile.TemporaryDirectory() as folder:
        artefact = edgec.build(model, "gate-equivalents", Path(folder) / "out", chosen, calibration=data)
        return float(edgec.synth(artefact, liberty).report["totals"]["kge"])


def mnist(data: Path, net: str, count: int, liberty: str | None) -> None:
    with np.load(data / "mnist_train.npz") as file:
        calibration = {"image": file["x"][:256, None, None].astype(np.float32) / 255}
    with np.load(data / "mnist_test.npz") as file:
        images, labels = file["x"][:count, None, None].astype(np.float32) / 255, file["y"][:count]
    model = EXAMPLES / f"mnist_{net}.onnx"
    print(f"\n{model.name}: float {accuracy(api.load(model), images, labels):.2f} % of {len(images)} test images\n")
    heads = ["weights", "top-1 %", "compensated %", "weight bits", "zeros %", "fixed kGE", "loaded kGE"]
    heads += ["fixed synth", "loaded synth"] if liberty else []
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name in FORMATS:
        scores = []
        for compensate in ("none", "full"):
            done = api.compile_model(model, "gate-equivalents", options(name, compensate), calibration=calibration)
            scores.append(accuracy(done.graph, images, labels))
        rows = done.context.reports["compression"]
        bits = sum(r["weight_bits"] for r in rows)
        zeros = 100 * sum(r["zeros"] for r in rows) / sum(r["weights"] for r in rows)
        cells = [name, f"{scores[0]:.2f}", f"{scores[1]:.2f}", str(bits), f"{zeros:.0f}"]
        for weights in ("fixed", "loaded"):
            chosen = options(name, "full", weights=weights)
            compiled = api.compile_model(model, "gate-equivalents", chosen, calibration=calibration)
            cells.append(f"{price(compiled).as_dict()['totals']['area_kge']['nominal']:.0f}")
        if liberty:
            for weights in ("fixed", "loaded"):
                kge = synthesised(model, options(name, "full", weights=weights), calibration, liberty)
                cells.append(f"{kge:.0f}")
        print("| " + " | ".join(cells) + " |", flush=True)


def agreement(data: Path) -> None:
    """How far the results of compressed networks are from those of the float ones."""
    stems = ("pretrainedResnet", "vww_96_float", "ad01_fp32")
    names = [n for n in FORMATS if "binary inputs" not in n]  # padded convolutions: refused
    print("\n| weights | " + " | ".join(f"{s}, dB" for s in stems) + " |\n|" + "---|" * (len(stems) + 1))
    cells: dict[str, list[str]] = {name: [] for name in names}
    for stem in stems:
        source = api.load(data / "mlperf_tiny" / f"{stem}.onnx", batch=1)
        reference = run_pipeline(source, parse_pipeline("strip-softmax"), Context())
        (wanted,) = source.inputs
        noise = smooth(np.random.default_rng(0), (96, *wanted.shape))
        calibration, frames = {wanted.name: noise[:64]}, {wanted.name: noise[64:]}
        (exact,) = run(reference, frames, max_bytes=1 << 62).values()
        for name in names:
            compiled = api.compile_model(
                source, "gate-equivalents", options(name, "full", strip_softmax=True), calibration=calibration
            )
            ((key, output),) = compiled.graph.outputs
            codes = run(compiled.graph, encode_frames(compiled.graph, frames), max_bytes=1 << 62)[key]
            cells[name].append(f"{sqnr(exact.astype(float), output.format.decode(codes.reshape(exact.shape))):.1f}")
    for name in names:
        print("| " + " | ".join([name, *cells[name]]) + " |", flush=True)


def smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise with neighbours alike, more like an image than white noise."""
    x = rng.standard_normal(shape)
    for axis in range(2, len(shape)):
        for _ in range(2):
            x = x + np.roll(x, 1, axis)
    return (x / x.std()).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--nets", default="mlp,cnn")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--synth", metavar="LIBERTY")
    parser.add_argument("--rows", nargs="+", choices=list(FORMATS), metavar="ROW", help="names of rows; all without it")
    parser.add_argument("--agreement", action="store_true")
    arguments = parser.parse_args()
    if arguments.rows:
        for name in set(FORMATS) - set(arguments.rows):
            del FORMATS[name]
    for net in filter(None, arguments.nets.split(",")):
        mnist(arguments.data, net, arguments.images, arguments.synth)
    if arguments.agreement:
        agreement(arguments.data)


if __name__ == "__main__":
    main()
