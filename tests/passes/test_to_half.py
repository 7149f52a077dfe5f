"""to-half: what becomes binary16, and how far the results are apart."""

from __future__ import annotations

import numpy as np
import pytest
from pass_nets import apply, assert_same, check_golden, f32, residual_net

from edgec import api
from edgec.diagnostics import EdgecError
from edgec.formats import F16, F32, Affine, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Add, Cast, Constant, Dense, Dequantize, Get, Lstm, Mul, Op, Quantize, Softmax, Split, Unary
from edgec.options import Options
from edgec.pipeline import Context

FOLD = "fold-constants,fuse,fold-batch-norm,fold-padding"


def number(value: object) -> Constant:
    data = np.asarray(value, np.float32)
    return Constant(data, type=TensorType(F32, data.shape))


def test_golden() -> None:
    before = apply(residual_net(), FOLD)
    context = Context()
    after = apply(before, "to-half", context)
    check_golden("to_half", after)
    assert_same(before, after, relative=4e-3)
    (row,) = context.reports["to-half"]
    assert row["output"] == "probabilities" and 0 < row["largest_error"] < 4e-3 * row["largest"]
    assert after.inputs == before.inputs and [o.format for _, o in after.outputs] == [F32]
    large = [o for o in after.ops if isinstance(o, Constant) and o.tensor.size > 1]
    assert large and all(o.format == F16 for o in large if o.format.is_float)


def test_inputs_and_outputs_in_halves() -> None:
    after = apply(apply(residual_net(), FOLD), "to-half{io=half}")
    assert {o.format for o in (*after.inputs, *(o for _, o in after.outputs))} == {F16}
    context, halves = Context(), Graph("g", after.inputs, (("y", Unary(after.inputs[0], "tanh")),))
    assert apply(halves, "to-half", context) is halves
    assert [d.code for d in context.diagnostics] == ["N0002"]


def test_casts_and_quantisers() -> None:
    """A cast to halves is not needed any more; codes are made of binary32, and computed with as before."""
    x = f32("x", 1, 6)
    byte = Quantizer(Affine(Integer(8), (0.1,), (3,)))
    y = Dequantize(Quantize(Cast(Cast(x, Quantizer(F16)), Quantizer(F32)), byte))
    after = apply(Graph("g", (x,), (("y", Mul(y, y)),)), "to-half")
    assert [(o.mnemonic, str(o.format)) for o in after.ops if o.mnemonic != "input"] == [
        ("cast", "f16"), ("cast", "f32"), ("quantize", str(byte.format)), ("dequantize", "f32"), ("cast", "f16"),
        ("mul", "f16"), ("cast", "f32"),
    ]  # fmt: skip


def test_ops_with_several_results() -> None:
    rng = np.random.default_rng(0)
    x = f32("x", 4, 1, 6)
    w, r, b = (number(rng.standard_normal(s) / 3) for s in ((12, 6), (12, 3), (12,)))
    start = number(np.zeros((1, 3)))
    layer = Lstm(x, w, r, b, start, start)
    parts = Split(Get(layer, 0), (1, 3), 0)
    one, two = Get(parts, 0), Get(parts, 1)
    before = Graph("g", (x,), (("y", Add(one, two)), ("c", Get(layer, 2)), ("p", Softmax(two, 2))))
    after = apply(before, "to-half")
    assert_same(before, after, relative=3e-3)
    assert [o.format for o in after.ops if isinstance(o, Get | Softmax)].count(F16) == 4


def test_beyond_the_range() -> None:
    x = f32("x", 1, 4)
    with pytest.raises(EdgecError, match="70000") as caught:
        apply(Graph("g", (x,), (("y", Mul(x, number([70000.0]))),)), "to-half")
    assert caught.value.diagnostics[0].code == "E0313"
    context = Context()
    y = Mul(Mul(x, number([6e4])), number([6e4]))
    apply(Graph("g", (x,), (("y", y),)), "to-half", context)
    assert [d.code for d in context.diagnostics] == ["W0002"]
    infinite = apply(Graph("g", (x,), (("y", Mul(x, number([np.inf]))),)), "to-half")
    assert [bool(np.isinf(o.data)) for o in infinite.ops if isinstance(o, Constant)] == [True]


def test_sums_of_a_dense_layer_are_rounded_once() -> None:
    rng = np.random.default_rng(3)
    x, w, b = (rng.standard_normal(s).astype(np.float16) for s in ((50, 1, 90), (20, 90), (20,)))
    parts = [Constant(a, type=TensorType(F16, a.shape)) for a in (w, (10 * b).astype(np.float16))]
    source = f32("x", 1, 90).replace(type=TensorType(F16, (1, 90)))
    y: Op = Dense(source, parts[0], parts[1])
    found = run(Graph("g", (source,), (("y", y),)), {"x": x})["y"]
    exact = x.astype(np.float64) @ w.T.astype(np.float64) + parts[1].data.astype(np.float64)
    assert (found == exact.astype(np.float16)).mean() > 0.999


def test_the_option() -> None:
    compiled = api.compile_model(residual_net(), "cortex-a76", Options(precision="fp16"))
    assert compiled.steps[-1].name == "to-half" and "to-half" in compiled.context.reports
    with pytest.raises(EdgecError, match="precision"):
        Options(precision="fp8")
