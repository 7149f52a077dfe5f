"""Executed instructions per inference of MobileNetV1 (arXiv 1704.04861, table 1; 224 x 224, width 1) on 64-bit Arm.

    python bench/arm_mobilenet.py [--kind int8|float32] [--cores cortex-a76,...] [--compiler zig|gcc] [--steps]

Weights are random (normal, He et al. 2015) and seeded; batch norms are thought of as folded into them. The int8 network
is the float one behind `--quantize bits=8,format=affine` with random frames for calibration. Every step and the output
of one random frame is compared with the interpreter under QEMU, then an inference is counted. Beside it the best other
runtime, counted by the method of `bench/arm_peers.py` with a network of the same shapes. `--steps` adds a line a step.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from arm_models import limit
from onnx import TensorProto, helper, numpy_helper

from edgec import api
from edgec.artefact import Artefact
from edgec.cosimulation import load_graph
from edgec.diagnostics import EdgecError
from edgec.hw.arm.size import objects_of
from edgec.hw.sim.c_program import CRun, run_sources
from edgec.interp import random_frames
from edgec.options import Options

BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels and stride of the pairs of a depthwise and a pointwise convolution."""
SIZE, CLASSES = 224, 1000
QUANTIZE = "bits=8,format=affine"
PEERS = {
    ("int8", "cortex-a76"): (62_022, "ncnn"),
    ("int8", "cortex-a72"): (154_057, "ncnn"),
    ("int8", "cortex-a53"): (154_057, "ncnn"),
    ("float32", "cortex-a76"): (202_340, "LiteRT"),
}
"""Thousand instructions of LiteRT 2.3.0 and ncnn 1.0.20261020, whichever needs fewer. In binary32: ncnn computes in
binary16 on this core, with 90,350."""


def mobilenet(seed: int = 0) -> onnx.ModelProto:
    """The network, from an image [1, 3, 224, 224] to 1000 probabilities."""
    rng = np.random.default_rng(seed)
    tensors: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, values: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(x: str, name: str, shape: tuple[int, int, int, int], stride: int, groups: int = 1) -> str:
        fan = int(np.prod(shape[1:]))
        w = constant(f"{name}_w", rng.standard_normal(shape) * (2 / fan) ** 0.5)
        b = constant(f"{name}_b", rng.standard_normal(shape[0]) * 0.1)
        edge = 1 if shape[2] == 3 else 0
        pads = [edge, edge, edge, edge] if stride == 1 else [0, 0, 1, 1]
        options = {"strides": [stride, stride], "pads": pads, "group": groups}
        nodes.append(helper.make_node("Conv", [x, w, b], [f"{name}_sum"], name=name, **options))
        nodes.append(helper.make_node("Clip", [f"{name}_sum", "zero", "six"], [name], name=f"{name}_relu6"))
        return name

    constant("zero", np.zeros(()))
    constant("six", np.full((), 6.0))
    y, channels = conv("image", "first", (32, 3, 3, 3), 2), 32
    for k, (outputs, stride) in enumerate(BLOCKS):
        y = conv(y, f"depthwise{k}", (channels, 1, 3, 3), stride, channels)
        y, channels = conv(y, f"pointwise{k}", (outputs, channels, 1, 1), 1), outputs
    w = constant("classes_w", rng.standard_normal((CLASSES, channels)) * (1 / channels) ** 0.5)
    b = constant("classes_b", rng.standard_normal(CLASSES) * 0.1)
    nodes += [
        helper.make_node("GlobalAveragePool", [y], ["mean"], name="mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", w, b], ["classes"], name="classes", transB=1),
        helper.make_node("Softmax", ["classes"], ["probabilities"], name="softmax"),
    ]
    graph = helper.make_graph(
        nodes,
        "mobilenet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, CLASSES])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def built(kind: str, core: str, folder: Path) -> Artefact:
    """The artefact of the network in `folder`."""
    onnx.save(mobilenet(), str(folder / "mobilenet.onnx"))
    frames = np.random.default_rng(1).standard_normal((2, 3, SIZE, SIZE)).astype(np.float32)
    quantize = QUANTIZE if kind == "int8" else None
    return api.build(
        folder / "mobilenet.onnx", core, folder / "out", Options(golden=1, name="net", quantize=quantize),
        calibration={"image": frames} if quantize else None,
    )  # fmt: skip


def counted(artefact: Artefact, core: str, compiler: str | None, steps: bool) -> CRun:
    """Instructions of an inference, and of every step if asked for."""
    facts = artefact.manifest["interface"]
    frames = random_frames(load_graph(artefact), 1, 1)
    return run_sources(
        artefact.path, facts["testbench"]["file"], facts, frames, core=core, compiler=compiler, layers=False,
        count_instructions=True, count_steps=steps,
    )  # fmt: skip


def lines(kind: str, core: str, compiler: str | None, steps: bool) -> Iterator[str]:
    """The line of the network on a core, and of its steps."""
    with tempfile.TemporaryDirectory(prefix="edgec-mobilenet-") as scratch:
        artefact = built(kind, core, Path(scratch))
        api.verify(artefact, on=["qemu-aarch64"], vectors=1)
        done = counted(artefact, core, compiler, False)
        memory = artefact.manifest["interface"]["memory"]
        size = sum(objects_of(artefact, core, compiler))
        line = limit(load_graph(artefact))
        assert done.instructions is not None
        cells = [f"{done.instructions / 1000:,.0f}"]
        cells += [f"{n / 1024:,.1f}" for n in (memory["arena_bytes"], memory["constant_bytes"], size, line)]
        if (peer := PEERS.get((kind, core))) is not None:
            cells += [f"{peer[0]:,} {peer[1]}", f"{done.instructions / 1000 / peer[0]:.2f}"]
        yield f"{kind:9}{core:12}" + "".join(f"{cell:>15}" for cell in cells)
        if steps:
            probes = artefact.manifest["interface"]["probes"]
            for k, count in enumerate(counted(artefact, core, compiler, True).steps):
                names = ", ".join(p["layer"] for p in probes if p["step"] == k)
                yield f"    {k:3d} {count / 1000:12,.1f}  {names}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("int8", "float32"))
    parser.add_argument("--cores", default="cortex-a76")
    parser.add_argument("--compiler", choices=("zig", "gcc"))
    parser.add_argument("--steps", action="store_true")
    arguments = parser.parse_args()
    heads = ("instructions/k", "arena KiB", "constants KiB", "size KiB", "line KiB", "best other/k", "ratio")
    print(f"{'kind':9}{'core':12}" + "".join(f"{head:>15}" for head in heads))
    for kind in (arguments.kind,) if arguments.kind else ("int8", "float32"):
        for core in arguments.cores.split(","):
            for line in lines(kind, core, arguments.compiler, arguments.steps):
                print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except EdgecError as error:
        raise SystemExit(str(error)) from None
