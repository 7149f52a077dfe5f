"""The TFC networks (trained MNIST perceptrons of 1 and 2 bits) in constant RTL: what reuse between outputs saves.

    python bench/tfc.py DATA [--networks TFC_1W1A ...] [--sharing none mst auto] [--images 1000] [--liberty osu018]

DATA is a folder with `models/TFC_*.onnx` (QONNX model zoo) and `mnist_test.npz` (`x` uint8 [n, 28, 28], `y` [n]).
For each network and each `--constant-sharing` one line: top-1 accuracy of the simulated RTL on the images, words
compared bit for bit with the interpreter (a difference stops the run), area and longest path after synthesis, and
energy of a classification at gate level, with glitches, on real images.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

import edgec
from edgec.artefact import Artefact
from edgec.cosimulation import load_graph
from edgec.formats import Affine, Integer
from edgec.options import Options

NETWORKS = ("TFC_1W1A", "TFC_1W2A", "TFC_2W2A")
SCALE = np.float32(1 / 255)
"""Images are 0..1 for the networks, whose first layer makes -1..1 of that itself."""


def accuracy(artefact: Artefact, outputs: dict[str, np.ndarray], labels: np.ndarray) -> float:
    """Share of images whose largest score is the label's; what was cut off the network's end is computed first."""
    ((name, op),) = load_graph(artefact).outputs
    scores = op.format.decode(outputs[name]).reshape(len(labels), -1).astype(np.float32)
    tail = artefact.path / "model" / "tail.onnx"
    if tail.is_file():
        session = onnxruntime.InferenceSession(tail, providers=["CPUExecutionProvider"])
        (wanted,) = session.get_inputs()
        scores = np.stack([np.ravel(session.run(None, {wanted.name: s.reshape(wanted.shape)})[0]) for s in scores])
    return float((scores.argmax(1) == labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--sharing", nargs="+", default=("none", "mst", "auto"))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--energy-images", type=int, default=50)
    parser.add_argument("--liberty", default="osu018")
    parser.add_argument("--target", default="asic180nm")
    options = parser.parse_args()
    mnist = np.load(options.data / "mnist_test.npz")
    images, labels = mnist["x"][: options.images], mnist["y"][: options.images]
    images = images.reshape(-1, 1, 1, 28, 28).astype(np.float32) * SCALE
    pixel = str(Affine(Integer(8, signed_=False), (float(SCALE),)))
    print(f"{len(labels)} images, {options.liberty}")
    print("network   sharing  top-1 %   words  wrong      kGE   longest ns   nJ/image  build s", flush=True)
    for name in options.networks:
        for sharing in options.sharing:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "out"
                build = Options(constant_sharing=sharing, cut_float_tail=True, input_format=pixel)
                start = time.perf_counter()
                model = edgec.load(options.data / "models" / f"{name}.onnx", batch=1)
                (port,) = model.inputs
                artefact = edgec.build(model, options.target, folder, build)
                seconds = time.perf_counter() - start
                (party,) = edgec.verify(artefact, frames={port.name: images})["parties"]
                outputs = edgec.cosim(artefact, {port.name: images})["outputs"]
                right = accuracy(artefact, outputs, labels)
                area = edgec.synth(artefact, options.liberty).report["totals"]["ge"] / 1000
                power = edgec.power(artefact, options.liberty, frames={port.name: images[: options.energy_images]})
                report = power.report
                print(
                    f"{name:9} {sharing:7} {100 * right:8.1f} {party['words']:7}      0 {area:8.1f} "
                    f"{report['timing']['critical_path_ns']:12.1f} {power.energy_pj / 1000:10.2f} {seconds:8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
