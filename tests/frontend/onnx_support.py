"""Helpers of the front-end tests: executors to compare with, and small models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgec.frontend.onnx_export import to_onnx
from edgec.graph import Graph
from edgec.interp import random_frames, run

onnxruntime.set_default_logger_severity(4)


def session(model: ModelProto) -> onnxruntime.InferenceSession:
    """onnxruntime on the processor, one thread, no graph optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def by_onnxruntime(model: ModelProto, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs [F, *shape] of `model` for frames [F, *shape]."""
    executor = session(model)
    names = [o.name for o in model.graph.output]
    count = len(next(iter(frames.values()))) if frames else 1
    results = [executor.run(names, {n: np.asarray(a[f]) for n, a in frames.items()}) for f in range(count)]
    return {n: np.stack([r[i] for r in results]) for i, n in enumerate(names)}


def by_qonnx(model: ModelProto, frames: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs [F, *shape] from the qonnx executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    wrapper = ModelWrapper(model, make_deepcopy=True)
    results = [
        execute_onnx(wrapper, {n: a[f] for n, a in frames.items()}) for f in range(len(next(iter(frames.values()))))
    ]
    return {o.name: np.stack([r[o.name] for r in results]) for o in model.graph.output}


def real_values(graph: Graph, codes: Mapping[str, np.ndarray], model: ModelProto) -> dict[str, np.ndarray]:
    """Real values of input frames in the element types of the exported model."""
    kinds = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    return {n: _decoded(graph.input(n), a).astype(kinds[n]) for n, a in codes.items()}


def _decoded(op, codes: np.ndarray) -> np.ndarray:
    fmt = op.format
    if fmt.is_float or fmt.axis is None:
        return fmt.decode(codes)
    return np.stack([fmt.decode(frame) for frame in codes])


def check_against_onnxruntime(
    graph: Graph,
    frames: Mapping[str, np.ndarray] | None = None,
    *,
    count: int = 8,
    seed: int = 0,
    tolerance: float = 0.0,
) -> ModelProto:
    """Export `graph`, run it in onnxruntime on the real values of `frames`, and compare with the interpreter.

    Outputs of quantised formats must have equal real values; float outputs may differ by `tolerance` of the largest.
    """
    model = to_onnx(graph)
    onnx.checker.check_model(model, full_check=False)
    frames = random_frames(graph, count, seed) if frames is None else frames
    ours = run(graph, frames)
    theirs = by_onnxruntime(model, real_values(graph, frames, model))
    compare(graph, ours, theirs, tolerance)
    return model


def compare(graph: Graph, ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], tolerance: float) -> None:
    for name, op in graph.outputs:
        got, wanted = theirs[name], _decoded(op, ours[name])
        assert got.shape == wanted.shape, name
        fmt = op.format
        if fmt.is_float:
            limit = tolerance * max(float(np.abs(wanted).max(initial=0)), 1e-30)
            worst = float(np.abs(got.astype(np.float64) - wanted).max(initial=0))
            assert worst <= limit, f"{name}: differs by {worst}, allowed {limit}"
        elif fmt.frac is not None:
            np.testing.assert_array_equal(got, wanted, name)
        else:  # levels times a scale that is no power of two: one rounding of the product
            scale = fmt._along(fmt.scale_array, got.ndim - 1)
            np.testing.assert_array_equal(np.rint(got / scale), np.rint(wanted / scale), name)
            np.testing.assert_allclose(got, wanted, rtol=1e-6)


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    domains: Mapping[str, int] | None = None,
    types: Mapping[str, int] | None = None,
) -> ModelProto:
    """A small model; `types` gives element types of inputs and outputs other than float."""
    types = dict(types or {})
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), None) for n in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, v) for d, v in (domains or {}).items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 21 else 10)
