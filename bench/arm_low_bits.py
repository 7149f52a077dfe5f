"""Weights of few bits on Arm cores: executed instructions, cycles and bytes of the same layers, form by form.

    python bench/arm_low_bits.py [CORE ...] [--prices]

Instructions are counted under QEMU, cycles are LLVM's pipeline model of the core (edgec/hw/arm/trace.py), bytes those
of all constants of the program. Every result is compared with the interpreter in the same run. --prices fits
`cycles.code` and `cycles.decode` of the targets, what the same weights cost more as codes than as bytes, and those of
`cycles.xnor*`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from arm_constants import bars, fitted

from edgec.backend import BuildPlan
from edgec.backends.c import plan
from edgec.comparison import first_difference, reference
from edgec.formats import Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Codebook, Pow2, Ternary
from edgec.graph import Graph
from edgec.hw.arm.trace import trace
from edgec.hw.sim.c_program import run_plan
from edgec.hw.sim.c_steps import executed
from edgec.interp import random_frames
from edgec.ops import Constant, Conv, Dense, Input, MultiThreshold, Op, Relu, Requantize, Transpose, integers
from edgec.target import load_target

CORES = ("cortex-a76", "cortex-a72")
KINDS = {"code", "decode", "dot_code"}
BYTE = Affine(Integer(8), (0.05,), (-3,))
NF4 = (-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127)
FORMATS: dict[str, Format] = {
    "int8": Affine(Integer(8), (0.1,), (0,)),
    "codebook<4>": Codebook(4, Fixed(8, 1), NF4),
    "pow2<4>": Pow2(4),
    "ternary": Ternary(),
    "binary": Binary(),
    "binary, activations too": Binary(),
}


def drawn(rng: np.random.Generator, fmt: Format, *shape: int) -> Constant:
    lo, hi = fmt.code_range
    codes = rng.integers(lo, hi, shape, endpoint=True)
    if fmt == FORMATS["int8"]:
        codes = np.clip(np.round(rng.normal(0, 35, shape)), -127, 127)
    return Constant(codes.astype(fmt.dtype), type=TensorType(fmt, shape))


def rescaled(rng: np.random.Generator, y: Conv | Dense) -> Op:
    spread = 74 * float(np.sqrt((y.w.levels.astype(float) ** 2).mean() * y.terms))  # type: ignore[attr-defined]
    outputs = y.w.shape[0]
    shift = np.full(outputs, round(float(np.log2(spread / 50)) + 21.5))
    axis = 1 if isinstance(y, Conv) else len(y.shape) - 1
    made = rng.integers(1 << 21, 1 << 22, outputs) | 1
    return Requantize(y, integers(made), integers(shift), None, Quantizer(BYTE, "half_up", "saturate"), axis)


def compared(rng: np.random.Generator, y: Conv | Dense) -> Op:
    """Sums as bits, by a threshold a channel."""
    outputs = y.w.shape[0]
    least = rng.normal(0, np.sqrt(y.terms), (outputs, 1)).round().astype(int)
    axis = 1 if isinstance(y, Conv) else len(y.shape) - 1
    return MultiThreshold(y, integers(least), integers(np.ones(outputs, int)), Binary(), axis)


def convolution(outputs: int, channels: int, kernel: int, size: int) -> Callable[[str], Graph]:
    """Results of `size` x `size`; x has the margin that they need."""

    def graph(name: str) -> Graph:
        rng = np.random.default_rng(1)
        bits = "activations" in name
        x = Input("x", type=TensorType(Binary() if bits else BYTE, (1, size + kernel - 1, size + kernel - 1, channels)))
        turned = Transpose(x, (0, 3, 1, 2))
        w = drawn(rng, FORMATS[name], outputs, channels, kernel, kernel)
        y = compared(rng, Conv(turned, w)) if bits else rescaled(rng, Conv(Relu(turned), w))
        return Graph("bench", (x,), (("y", Transpose(y, (0, 2, 3, 1))),))

    return graph


def product(outputs: int, inputs: int) -> Callable[[str], Graph]:
    def graph(name: str) -> Graph:
        rng = np.random.default_rng(1)
        bits = "activations" in name
        x = Input("x", type=TensorType(Binary() if bits else BYTE, (1, inputs)))
        w = drawn(rng, FORMATS[name], outputs, inputs)
        y = compared(rng, Dense(x, w)) if bits else rescaled(rng, Dense(Relu(x), w))
        return Graph("bench", (x,), (("y", y),))

    return graph


LAYERS = {
    "3x3, 64 to 64 channels, 16 x 16": convolution(64, 64, 3, 16),
    "1x1, 128 to 128 channels, 8 x 8": convolution(128, 128, 1, 8),
    "3x3, 128 to 128 channels, 4 x 4": convolution(128, 128, 3, 4),
    "dense, 640 to 128": product(128, 640),
}

MORE = {
    "1x1, 256 to 32 channels, 8 x 8": convolution(32, 256, 1, 8),
    "3x3, 32 to 96 channels, 7 x 7": convolution(96, 32, 3, 7),
    "dense, 100 to 64": product(64, 100),
    "dense, 2048 to 24": product(24, 2048),
}
"""What the prices of single bits are fitted to, too."""


def measured(graph: Graph, core: str, want: str) -> tuple[BuildPlan, int, float]:
    """The plan, instructions of an inference, and cycles; what is computed has to be right."""
    made = plan(graph, load_target(core), {"name": "net", "low_bits": want})
    frames = random_frames(graph, 2, 5)
    done = run_plan(made, frames, core=core, count_instructions=True)
    wrong = first_difference(reference(graph, frames), done.layers, done.outputs)
    assert wrong is None, wrong
    assert done.instructions is not None
    return made, done.instructions, sum(trace(blocks, core).cycles for blocks in executed(made, core))


def table(core: str) -> None:
    print(f"\n{core}\n\n| layer | weights | instructions | cycles | constants B | arena B |\n|---|---|---|---|---|---|")
    for layer, graph in LAYERS.items():
        for name in FORMATS:
            made, instructions, cycles = measured(graph(name), core, "size")
            memory: Any = made.interface["memory"]
            row = [layer, name, instructions, round(cycles), memory["constant_bytes"], memory["arena_bytes"]]
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def prices(core: str) -> None:
    """Cycles more for each weight that is looked up, and for each vector that is decoded: lowest, mean, highest."""
    found: dict[str, list[float]] = {}
    for graph in LAYERS.values():
        for name in ("codebook<4>", "ternary", "binary"):
            (plain, _, before), (made, _, after) = (measured(graph(name), core, w) for w in ("none", "size"))
            works = [sum((Counter(k.work) for k in p.kernels), Counter()) for p in (plain, made)]
            if set(works[0]) != set(works[1]) - KINDS:
                continue  # other loops, as those of Winograd's method
            for kind in KINDS:
                if works[1][kind]:
                    found.setdefault(kind, []).append((after - before) / works[1][kind])
    for kind, each in found.items():
        low, mean, high = max(min(each), 0.0), sum(each) / len(each), max(each)
        print(f"{core}: {kind} = {{ low = {low:.3g}, nominal = {mean:.3g}, high = {high:.3g} }}", flush=True)
    rows = []
    for layer, graph in {**LAYERS, **MORE}.items():
        made, _, cycles = measured(graph("binary, activations too"), core, "none")
        works = [dict(k.work) for k in made.kernels if any(kind.startswith("xnor") for kind in k.work)]
        rows += [(layer, "", cycles, work) for work in works]
    fit = fitted(rows)
    margin = bars(rows, fit)
    for kind, price in fit.items():
        low, high = price * (1 - margin[kind]), price * (1 + margin[kind])
        print(f"{core}: {kind} = {{ low = {low:.3g}, nominal = {price:.3g}, high = {high:.3g} }}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cores", nargs="*", default=CORES)
    parser.add_argument("--prices", action="store_true")
    given = parser.parse_args()
    for core in given.cores:
        (prices if given.prices else table)(core)


if __name__ == "__main__":
    main()
