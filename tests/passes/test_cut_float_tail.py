"""`cut-float-tail`: what goes, what is kept beside it, and that both together are the network."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from fake_quant import S6, S8, graph_of, quantized, real_frames, source, weights

from edgec.formats import F32, TensorType
from edgec.frontend.onnx_export import to_onnx
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Add, Dense, Input, Op, Softmax, constant
from edgec.passes import cut_float_tail, integer_io, integerize
from edgec.pipeline import Context


def dense(x: Op) -> Op:
    return Dense(x, weights(np.random.default_rng(0), S6, 4, x.shape[-1]), loc=("fc",))


def floats(*shape: int) -> Input:
    return Input("x", type=TensorType(F32, shape))


def lowered(graph: Graph) -> tuple[Graph, Context]:
    context = Context()
    graph = integer_io.apply(integerize.apply(graph, context), context)
    return cut_float_tail.apply(graph, context), context


def net() -> Graph:
    y = Add(dense(source(S8, 1, 6)), constant([0.3]), loc=("shifted",))
    return graph_of(Softmax(y, loc=("softmax",)))


def test_hardware_and_tail_together_are_the_network() -> None:
    graph = net()
    new, context = lowered(graph)
    assert all(not op.format.is_float for op in new.ops) and new.outputs[0][0] == "y"
    (warning,) = context.diagnostics  # what was cut is no longer reported as left in floats
    assert warning.code == "W0007" and "shifted, softmax" in warning.what
    frames = real_frames(graph, np.random.default_rng(4))
    codes = run(new, {"x": S8.encode(frames["x"])})["y"]
    logits = new.outputs[0][1].format.decode(codes).astype(np.float32)
    assert context.tail is not None
    np.testing.assert_allclose(run(context.tail, {"y": logits})["y"], run(graph, frames)["y"], rtol=1e-6)
    # The tail's file has another name for its output, since its input is named as the output of the hardware.
    model = to_onnx(context.tail)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["y_out"]
    for logit, wanted in zip(logits, run(graph, frames)["y"], strict=True):
        np.testing.assert_allclose(session.run(None, {"y": logit})[0], wanted, rtol=1e-5)


def test_an_output_without_tail_is_left_alone() -> None:
    new, context = lowered(graph_of(quantized(dense(source(S8, 1, 6)), S8)))
    assert new.outputs[0][1].format == S8 and context.tail is None
    assert [d.code for d in context.diagnostics] == ["N0002"]


def test_a_tail_that_reads_a_float_input_stays() -> None:
    x = floats(1, 6)
    graph = graph_of(Softmax(Add(x, x), loc=("softmax",)))
    new = cut_float_tail.apply(graph, Context())
    assert new.outputs[0][1].format == F32
