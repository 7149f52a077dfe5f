"""What the tests of artefacts share: two small networks, the command line as a process, and a place for simulators."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgec.formats import Fixed, Format, Quantizer, TensorType
from edgec.graph import Graph
from edgec.hw.tools.doctor import FINDERS
from edgec.ops import Cast, Constant, Conv, Dense, Input, Op, Relu, Reshape
from edgec.text import print_graph, save_arrays

ROOT = Path(__file__).parents[2]
TARGET = "gate-equivalents"


def need(*tools: str) -> None:
    """A missing tool skips a test at a desk, where `-ra` shows it, and fails it in continuous integration."""
    for name in tools:
        tool = FINDERS[name]()
        if not tool.usable:
            message = f"{name}: {tool.problem}; {tool.remedy}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)


def weights(generator: np.random.Generator, fmt: Format, shape: tuple[int, ...], name: str) -> Constant:
    lo, hi = fmt.code_range
    return Constant(generator.integers(lo, hi, shape, endpoint=True), type=TensorType(fmt, shape), loc=(name,))


def tiny(seed: int = 0, inputs: int = 4, fmt: Format | None = None) -> Graph:
    """One dense layer to three neurons; another `seed` is another training of the same network."""
    generator, fmt = np.random.default_rng(seed), fmt or Fixed(3, 1)
    x = Input("x", type=TensorType(Fixed(4, 2), (1, inputs)))
    w = weights(generator, fmt, (3, inputs), "fc.w")
    b = weights(generator, Fixed(3, 1), (3,), "fc.b")
    dense = Dense(x, w, b, loc=("fc",))
    return Graph("tiny", (x,), (("y", quantized(dense)),), {})


def two_layers(seed: int = 0) -> Graph:
    """A convolution and a dense layer, two pipeline stages, with two outputs: the last stage's and the first one's."""
    generator = np.random.default_rng(seed)
    x = Input("x", type=TensorType(Fixed(4, 2), (1, 1, 4, 4)))
    kernel = weights(generator, Fixed(3, 1), (2, 1, 3, 3), "conv.w")
    conv = Conv(x, kernel, weights(generator, Fixed(3, 1), (2,), "conv.b"), strides=(2, 2), pads=(0, 0, 1, 1))
    inner = quantized(conv, "inner")
    flat = Reshape(inner, (1, 8), loc=("flat",))
    dense = Dense(flat, weights(generator, Fixed(3, 1), (3, 8), "fc.w"), None, loc=("fc",))
    return Graph("two", (x,), (("y", quantized(dense, "last")), ("early", inner)), {})


def quantized(op: Op, name: str = "q") -> Op:
    return Cast(Relu(op, loc=(f"{name}.relu",)), Quantizer(Fixed(4, 1, False), "floor"), loc=(name,))


def write_model(graph: Graph, folder: Path, name: str = "net") -> Path:
    """The graph as NAME.edge and NAME.safetensors."""
    text, arrays = print_graph(graph)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(save_arrays(arrays))
    path = folder / f"{name}.edge"
    path.write_text(text)
    return path


def environment(changes: Mapping[str, str | Path] | None = None) -> dict[str, str]:
    ours = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return {**ours, **{k: str(v) for k, v in (changes or {}).items()}}


def edgec(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str | Path] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    words = [sys.executable, "-m", "edgec", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=environment(env), cwd=cwd, timeout=120)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def fails(done: subprocess.CompletedProcess[str], status: int, code: str, *words: str) -> None:
    """The process left with `status`, with one error `code` that says `words`, and without a traceback."""
    text = done.stdout + done.stderr
    assert done.returncode == status, text
    assert f"error[{code}]" in done.stderr and "Traceback" not in text, text
    for word in words:
        assert word in done.stderr, text
