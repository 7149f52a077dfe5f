"""One check for imported operators: the interpreter on the imported graph against onnxruntime on the file."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper
from onnx_support import by_onnxruntime, model_of

from edgec.frontend.onnx import load
from edgec.interp import run

FRAMES = 3


def draw(shapes, types=None, *, limits=None, seed=1):
    """Frames: normal floats, integers in `limits` (by name) or -9..9, fair truth values."""
    g, frames = np.random.default_rng(seed), {}
    for name, shape in shapes.items():
        kind = helper.tensor_dtype_to_np_dtype((types or {}).get(name, TensorProto.FLOAT))
        if kind == np.bool_:
            frames[name] = g.random((FRAMES, *shape)) < 0.5
        elif kind.kind in "iu":
            lo, hi = (limits or {}).get(name, (0 if kind.kind == "u" else -9, 9))
            frames[name] = g.integers(lo, hi, (FRAMES, *shape), endpoint=True).astype(kind)
        else:
            frames[name] = g.normal(0, 1, (FRAMES, *shape)).astype(kind)
    return frames


def check(nodes, inputs, outputs=("y",), constants=None, *, types=None, limits=None, opset=18, tolerance=1e-6):
    """Equal to onnxruntime; integers exactly. Returns the graph."""
    model = model_of(nodes, inputs, outputs, constants, opset=opset, types=types)
    frames = draw(inputs, types, limits=limits)
    graph = load(model)
    ours = run(graph, {n: a.astype(np.uint8) if a.dtype == np.bool_ else a for n, a in frames.items()})
    for name, wanted in by_onnxruntime(model, frames).items():
        assert ours[name].shape == wanted.shape
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(ours[name], wanted, atol=tolerance, rtol=tolerance)
        else:
            np.testing.assert_array_equal(ours[name], wanted)
    return graph
