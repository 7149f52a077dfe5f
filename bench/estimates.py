"""Estimates beside synthesis and gate-level simulation, on designs that no target was calibrated on.

    python bench/estimates.py [--keep FOLDER] [--designs PATTERN] [--data FOLDER] [--calibrate] [LIBERTY ...]

Area, energy of an inference and longest path of whole designs, the same frames on both sides, for every library
(default: osu018 where installed, and gate-equivalents) with the shipped target of that library. `--keep` keeps
artefacts and netlists for the next run. `--data` is a folder with TFC_*.onnx and qkeras_jettagging.onnx of the QONNX
model zoo. `--calibrate` also fits the target of each library anew, writes it beside the kept files and prints its own
designs.
"""

from __future__ import annotations

import argparse
import tempfile
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import numpy as np

from edgec.formats import Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.graph import Graph
from edgec.hw.calibrate import calibrate, write_target
from edgec.hw.calibrate.calibrate import FALLBACK, FIGURES, compare
from edgec.hw.calibrate.designs import Design, laplace, uniform
from edgec.hw.calibrate.measure import measure
from edgec.hw.synth.libraries import OSU018, load_library
from edgec.ops import (
    Add,
    AvgPool,
    Constant,
    Conv,
    Dense,
    Input,
    Lut,
    MaxPool,
    MultiThreshold,
    Op,
    Relu,
    Requantize,
    Reshape,
)
from edgec.ops.source import integers
from edgec.options import Options
from edgec.target import load_target

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "econ_t"
U8, S6, S8, U9 = Fixed(8, 0, False), Fixed(6, 1), Fixed(8, 1), Fixed(9, 1, False)
PIXEL = Affine(Integer(8, signed_=False), (float(np.float32(1 / 255)),))
"""Images are 0..1 for the TFC networks."""
FIXED, LOADED = Options(weights="fixed"), Options(weights="loaded")


def drawn(seed: int, shape: tuple[int, ...], fmt: Format) -> Constant:
    return uniform(np.random.default_rng(seed), shape, fmt)


def weights(seed: int, shape: tuple[int, ...], fmt: Fixed = S6) -> Constant:
    return laplace(np.random.default_rng(seed), shape, fmt)


def one_layer(inputs: int, w: Constant, fmt: Fixed | Affine = U8) -> Graph:
    x = Input("x", type=TensorType(fmt, (1, inputs)))
    return Graph("layer", (x,), (("y", Dense(x, w, loc=("dense",))),))


def perceptron(sizes: tuple[int, ...], seed: int, fmt: Fixed = S6) -> Graph:
    """Dense layers with biases, ReLU and u8 between them."""
    x = Input("x", type=TensorType(U8, (1, sizes[0])))
    y: Op = x
    for i, (before, after) in enumerate(pairwise(sizes)):
        w, b = weights(seed + i, (after, before), fmt), weights(seed + 50 + i, (after,), fmt)
        y = Relu(Dense(y, w, b, out=Quantizer(U8, "floor"), loc=(f"dense{i}",)), loc=(f"relu{i}",))
    return Graph("perceptron", (x,), (("y", y),))


def digits(seed: int) -> Graph:
    """A small classifier of 8x8 images: two convolutions, a pooling, ten outputs."""
    x = Input("x", type=TensorType(U8, (1, 1, 8, 8)))
    y = Relu(Conv(x, weights(seed, (4, 1, 3, 3)), weights(seed + 1, (4,)), out=Quantizer(U8, "floor"), loc=("conv0",)))
    y = MaxPool(y, (2, 2), (2, 2), loc=("pool",))
    y = Relu(Conv(y, weights(seed + 2, (6, 4, 2, 2)), out=Quantizer(U8, "floor"), loc=("conv1",)))
    y = Reshape(y, (1, y.tensor.size))
    return Graph("digits", (x,), (("y", Dense(y, weights(seed + 3, (10, y.shape[1])), loc=("dense",))),))


def residual(seed: int) -> Graph:
    """An int8 block as post-training quantisation leaves it: convolutions, requantisation, an addition."""
    rng = np.random.default_rng(seed)
    fmt = Affine(Integer(8), (0.05,))
    x = Input("x", type=TensorType(fmt, (1, 2, 4, 4)))

    def conv(y: Op, name: str) -> Op:
        w = Constant(
            np.round(rng.laplace(0, 20, (2, 2, 3, 3))).clip(-127, 127).astype(np.int64),
            type=TensorType(Affine(Integer(8), (0.01, 0.02), (0, 0), channel_axis=0), (2, 2, 3, 3)),
        )
        made = Conv(y, w, pads=(1, 1, 1, 1), loc=(name,))
        factor, shift = rng.integers(1 << 14, 1 << 15, 2), np.full(2, 21)
        return Requantize(
            made, integers(factor), integers(shift), None, Quantizer(fmt, "half_up", "saturate"), loc=(name,)
        )

    total = Add(conv(Relu(conv(x, "conv0"), loc=("relu",)), "conv1"), x, loc=("add",))
    return Graph("residual", (x,), (("y", total),))


def averages(seed: int) -> Graph:
    """A convolution, an average pooling, four outputs."""
    x = Input("x", type=TensorType(U8, (1, 2, 6, 6)))
    y = Relu(Conv(x, weights(seed, (3, 2, 3, 3)), out=Quantizer(U8, "floor"), loc=("conv",)))
    y = AvgPool(y, (2, 2), (2, 2), out=Quantizer(U8, "floor"), loc=("pool",))
    y = Reshape(y, (1, y.tensor.size))
    return Graph("averages", (x,), (("y", Dense(y, weights(seed + 1, (4, y.shape[1])), loc=("dense",))),))


def sigmoids(seed: int) -> Graph:
    """A hidden layer of eight sigmoids as tables of 256 entries."""
    fmt = Fixed(8, 4)
    x = Input("x", type=TensorType(U8, (1, 24)))
    y = Dense(x, weights(seed, (8, 24)), weights(seed + 1, (8,)), out=Quantizer(fmt, "floor"), loc=("hidden",))
    steps = np.arange(-128, 128) / 16
    table = Constant(np.round(255 / (1 + np.exp(-steps))).astype(np.uint8), type=TensorType(U8, (256,)))
    y = Lut(y, table, loc=("sigmoid",))
    return Graph("sigmoids", (x,), (("y", Dense(y, weights(seed + 2, (4, 8)), loc=("dense",))),))


def binary_net(seed: int) -> Graph:
    """Two binary layers with thresholds, 64-32-10."""
    sign = Affine(Binary(), (1.0,))
    x = Input("x", type=TensorType(sign, (1, 64)))
    y = Dense(x, drawn(seed, (32, 64), Binary()), loc=("first",))
    bounds = np.random.default_rng(seed).integers(-8, 9, (32, 1))
    limits = Constant(bounds.astype(np.int64), type=TensorType(Integer(8), (32, 1)))
    hidden = MultiThreshold(y, limits, integers(np.ones(32, np.int64)), sign, loc=("sign",))
    return Graph("binary", (x,), (("y", Dense(hidden, drawn(seed + 1, (10, 32), Binary()), loc=("second",))),))


def held_out(data: Path | None) -> list[Design]:
    """All designs, the small ones first."""
    graphs: dict[str, tuple[Graph | Path, Options, bool]] = {
        "perceptron 16-24-8": (perceptron((16, 24, 8), 100), FIXED, False),
        "perceptron 16-24-8 loaded": (perceptron((16, 24, 8), 100), LOADED, False),
        "autoencoder 32-8-32": (perceptron((32, 8, 32), 200), FIXED, True),
        "autoencoder 32-8-32 int8": (perceptron((32, 8, 32), 200, S8), FIXED, True),
        "digits 8x8": (digits(300), FIXED, False),
        "residual int8": (residual(400), FIXED, False),
        "averages 6x6": (averages(401), FIXED, False),
        "sigmoids 24-8-4": (sigmoids(402), FIXED, False),
        "binary 64-32-10": (binary_net(403), FIXED, False),
        "128x16 int6": (one_layer(128, weights(500, (16, 128))), FIXED, False),
        "128x16 int8": (one_layer(128, weights(501, (16, 128), S8)), FIXED, True),
        "128x16 pow2": (one_layer(128, drawn(502, (16, 128), Pow2(4))), FIXED, False),
        "128x16 ternary": (one_layer(128, drawn(503, (16, 128), Ternary())), FIXED, True),
        "256x64 binary": (one_layer(256, drawn(504, (64, 256), Binary()), Affine(Binary(), (1.0,))), FIXED, False),
        "64x8 ternary loaded": (one_layer(64, drawn(505, (8, 64), Ternary())), LOADED, True),
        "64x8 pow2 loaded": (one_layer(64, drawn(506, (8, 64), Pow2(3))), LOADED, True),
        "64x8 int8 loaded": (one_layer(64, weights(507, (8, 64), S8)), LOADED, False),
    }
    for numerics in ("econ-t", "exact"):
        for built in ("fixed", "loaded"):
            for shape in ("8x8x1", "4x4x3"):
                options = Options(weights=built, numerics=numerics)
                graphs[f"ECON-T {shape} {built} {numerics}"] = (EXAMPLE / f"econ_t_{shape}.onnx", options, True)
    graphs["ECON-T 8x8x1 full TMR"] = (EXAMPLE / "econ_t_8x8x1.onnx", Options(weights="loaded", harden="full"), True)
    if data is not None:
        jets = Options(weights="fixed", input_format="fixed<16,6>", strip_softmax=True)
        graphs["jet tagger"] = (data / "qkeras_jettagging.onnx", jets, False)
        for name in ("TFC_1W1A", "TFC_2W2A"):
            tfc = Options(weights="fixed", input_format=str(PIXEL), cut_float_tail=True)
            graphs[name] = (data / f"{name}.onnx", tfc, True)
    return [
        Design(name.replace(" ", "_"), model, options, sparse, seed=7 + i)
        for i, (name, (model, options, sparse)) in enumerate(graphs.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", default=["osu018"] * OSU018.is_file() + ["gate-equivalents"])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--designs", default="*")
    parser.add_argument("--calibrate", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        keep = chosen.keep or Path(temporary)
        keep.mkdir(parents=True, exist_ok=True)
        for liberty in chosen.libraries:
            run(liberty, keep, held_out(chosen.data), chosen.designs, chosen.calibrate)


def run(liberty: str, keep: Path, designs: list[Design], pattern: str, again: bool) -> None:
    library = load_library(liberty)
    target = load_target(library.target or FALLBACK)
    if again:
        result = calibrate(liberty, name=target.name, progress=lambda text: print(text, flush=True), folder=keep)
        write_target(result, keep / f"{target.name}.toml")
        target = result.target
        print_rows(f"calibrated on ({library.title})", result.table())
    print("| design | library | kGE | estimated | pJ | estimated | ns | estimated |\n|---|---|---|---|---|---|---|---|")
    errors: dict[str, list[float]] = {figure: [] for figure in FIGURES}
    for design in designs:
        if not fnmatch(design.name, pattern):
            continue
        found = measure(design, load_target("asic65nm"), library, liberty, folder=keep)
        rows = {r.figure: r for r in compare(target, [found])}
        cells = [f"{rows[f].measured:.4g} | {rows[f].error:+.1%}" for f in FIGURES]
        print(f"| {design.name.replace('_', ' ')} | {library.title} | {' | '.join(cells)} |", flush=True)
        for figure in FIGURES:
            errors[figure].append(rows[figure].error)
    for figure, found_errors in errors.items():
        if not found_errors:
            continue
        size = np.abs(found_errors)
        print(f"{library.title} {figure}: {len(size)} designs, mean error {size.mean():.1%}, worst {size.max():.1%}")


def print_rows(title: str, rows: list[dict[str, object]]) -> None:
    print(title)
    for row in rows:
        print("  ".join(f"{v}" for v in row.values()))


if __name__ == "__main__":
    main()
