"""The encoders of examples/econ_t through the passes, against the example's own integer model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgec import frontend
from edgec.interp import run
from edgec.pipeline import Context, parse_pipeline, run_pipeline

EXAMPLE = Path(__file__).parents[2] / "examples" / "econ_t"
PASSES = "fold-constants,fuse,fold-batch-norm,fold-padding,integerize,lower-requantize,integer-io,numerics{profile=%s}"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield
    for name in ("qonnx_files", "reference", "network", "geometry"):  # plain names: do not leave them to other tests
        sys.modules.pop(name, None)


@pytest.mark.parametrize("design", ["8x8x1", "4x4x3"])
@pytest.mark.parametrize("numerics", ["exact", "econ-t"])
def test_random_weights(example: None, tmp_path: Path, design: str, numerics: str) -> None:
    """Weights over the whole 6-bit range and images that saturate: every word, for both arithmetics."""
    from qonnx_files import save_encoder  # type: ignore[import-not-found]
    from reference import encode  # type: ignore[import-not-found]

    channels = 1 if design == "8x8x1" else 3
    g = np.random.default_rng(5)
    shapes = {"conv_weight": (8, channels, 3, 3), "conv_bias": (8,), "dense_weight": (16, 128), "dense_bias": (16,)}
    codes = {name: g.integers(-32, 32, shape) for name, shape in shapes.items()}
    save_encoder(tmp_path / "net.onnx", design, {n: c.astype(np.float32) / 32 for n, c in codes.items()})
    graph = run_pipeline(frontend.load(tmp_path / "net.onnx"), parse_pipeline(PASSES % numerics), Context())
    (wanted,) = graph.inputs
    x = g.integers(0, 256, (300, *wanted.shape))
    x[:150] >>= g.integers(0, 8, (150, 1, 1, 1, 1))
    want = encode(x.reshape(300, *wanted.shape[1:]), codes, numerics)
    got = run(graph, {wanted.name: x})[graph.outputs[0][0]]
    np.testing.assert_array_equal(got.reshape(300, 16), want)
    assert len(np.unique(want)) > 50
