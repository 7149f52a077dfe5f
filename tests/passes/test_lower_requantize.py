"""lower-requantize: the binary32 multiplier becomes an exact integer one; what differs is a near-tie."""

from __future__ import annotations

import numpy as np
from fake_quant import affine, graph_of, integer, quantized, source, weights
from hypothesis import given, settings
from hypothesis import strategies as st
from pass_nets import check_golden

from edgec.formats import F32, Affine, Format, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Constant, Dense, Input, Op, Relu, Requantize, RequantizeFloat
from edgec.passes import lower_requantize
from edgec.pipeline import Context
from edgec.tiecheck import explain


def rescaling(fmt: Format, scale: np.ndarray, out: Format, channels: int) -> Graph:
    x = Input("x", type=TensorType(fmt, (1, channels)))
    factor = Constant(scale.astype(np.float32), type=TensorType(F32, scale.shape))
    return graph_of(RequantizeFloat(x, factor, Quantizer(out), 1, loc=("layer",)))


def test_golden() -> None:
    g = np.random.default_rng(0)
    w = Affine(Integer(8), tuple(float(np.float32(s)) for s in (0.011, 0.007, 0.25)), (0,), 0)
    y = Relu(Dense(source(affine(0.03, 4), 1, 5), weights(g, w, 3, 5), loc=("fc",)), loc=("relu",))
    graph = integer(graph_of(quantized(y, affine(0.1, -128)), name="lowered"), "float32")
    check_golden("lower_requantize", lower_requantize.apply(graph, Context()))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(8, 30),
    st.lists(st.floats(2.0**-23, 3, width=32), min_size=1, max_size=4),
    st.sampled_from([affine(0.1, -128), affine(0.1, 5), affine(0.1, 200, signed=False), Integer(8)]),
    st.integers(0, 2**31),
)
def test_differences_are_near_ties(bits: int, scales: list[float], out: Format, seed: int) -> None:
    """Random accumulators, and those next to the boundaries between codes, where float rounding shows."""
    scale = np.array(scales)
    graph = rescaling(Integer(bits), scale, out, len(scales))
    new = lower_requantize.apply(graph, Context())
    g = np.random.default_rng(seed)
    top = (1 << (bits - 1)) - 1
    anywhere = g.integers(-top, top, (200, 1, len(scales)))
    boundary = np.rint((g.integers(-140, 140, (200, 1, len(scales))) + 0.5) / scale) + g.integers(-1, 2, (200, 1, 1))
    codes = np.concatenate([anywhere, np.clip(boundary, -top, top).astype(np.int64)])
    values: dict[Op, np.ndarray] = {new.inputs[0]: codes}
    run(new, {"x": codes}, observe=lambda op, array: values.__setitem__(op, array))
    theirs = run(graph, {"x": codes})["y"]
    ties = explain(new.outputs[0][1], values, theirs)
    assert ties.ok and ties.worst <= 1


def test_narrow_accumulators_are_exact_and_not_reported() -> None:
    """A multiplier of few bits: both rules agree for every accumulator."""
    graph = rescaling(Integer(14), np.array([0.3125, 0.0078125]), affine(0.1, 7), 2)
    context = Context()
    new = lower_requantize.apply(graph, context)
    assert not context.diagnostics
    codes = np.repeat(np.arange(-8192, 8192).reshape(-1, 1, 1), 2, axis=2)
    np.testing.assert_array_equal(run(new, {"x": codes})["y"], run(graph, {"x": codes})["y"])


def test_a_possible_difference_is_reported() -> None:
    graph = rescaling(Integer(28), np.array([0.3]), affine(0.1, 7), 2)
    context = Context()
    new = lower_requantize.apply(graph, context)
    assert [d.code for d in context.diagnostics] == ["N0004"] and context.diagnostics[0].layer == "layer"
    assert isinstance(new.outputs[0][1], Requantize) and new.outputs[0][1].loc == ("layer",)
