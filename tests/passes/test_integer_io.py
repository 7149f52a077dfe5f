"""integer-io: integer inputs and outputs under their old names, or a diagnosis that names the input."""

from __future__ import annotations

import numpy as np
import pytest
from fake_quant import S6, S8, affine, computes_in_floats, graph_of, integer, quantized, real_frames, source, weights
from pass_nets import check_golden

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Fixed, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Dense, Dequantize, Input, Mul, Op, Quantize, Relu, Reshape, constant
from edgec.passes import integer_io, integerize
from edgec.pipeline import Context, parse_pipeline, run_pipeline


def dense(x: Op, outputs: int = 4, seed: int = 0, loc: str = "fc") -> Op:
    return Dense(x, weights(np.random.default_rng(seed), S6, outputs, x.shape[-1]), loc=(loc,))


def floats(*shape: int, name: str = "x") -> Input:
    return Input(name, type=TensorType(F32, shape))


def strip(graph: Graph, **options: object) -> Graph:
    return integer_io.apply(integer(graph), Context(), **options)  # type: ignore[arg-type]


def test_golden() -> None:
    x = Quantize(Reshape(floats(1, 2, 3), (1, 6)), Quantizer(S8, "floor", "wrap"), loc=("q",))
    graph = graph_of(quantized(Relu(dense(Dequantize(x))), Fixed(6, 3, signed_=False)), name="io")
    check_golden("integer_io", strip(graph))


def test_codes_in_and_out() -> None:
    graph = graph_of(quantized(Relu(dense(source(S8, 1, 6))), Fixed(6, 3, signed_=False)))
    new = strip(graph)
    assert new.inputs[0].format == S8 and new.outputs[0][1].format == Fixed(6, 3, signed_=False)
    frames = real_frames(graph, np.random.default_rng(1))
    want = run(graph, frames)["y"]
    got = run(new, {"x": S8.encode(frames["x"])})["y"]
    np.testing.assert_array_equal(new.outputs[0][1].format.decode(got), want)
    assert new.meta["input.x"] == "half_even:saturate"


def test_input_format_for_a_float_input() -> None:
    """The first layers become integer only now; on the grid the results are the float graph's."""
    y = Relu(dense(Mul(floats(1, 6), constant([2.0]))))
    graph = graph_of(quantized(y, Fixed(4, 2, signed_=False)))
    context = Context()
    new = run_pipeline(graph, parse_pipeline("integerize,integer-io{input_format=fixed<12,4>}"), context)
    assert not context.diagnostics
    assert new.inputs[0].format == Fixed(12, 4) and not computes_in_floats(new)
    codes = np.random.default_rng(2).integers(-2048, 2048, (64, 1, 6))
    want = run(graph, {"x": codes / np.float32(256)})["y"]
    np.testing.assert_array_equal(run(new, {"x": codes})["y"] / np.float32(4), want)


def test_arithmetic_is_kept_when_layers_follow_later() -> None:
    y = quantized(Dense(floats(1, 6), weights(np.random.default_rng(0), affine(0.01), 4, 6)), affine(0.1))
    new = integerize.apply(graph_of(y), Context(), arithmetic="float32")
    new = integer_io.apply(new, Context(), input_format=affine(0.02, 3))
    assert "requantize_float" in {op.mnemonic for op in new.ops}


def test_a_float_input_is_refused_with_a_remedy() -> None:
    graph = graph_of(dense(floats(1, 6, name="pixels")), dense(floats(1, 3, name="angles")))
    with pytest.raises(EdgecError) as caught:
        strip(graph)
    assert [d.code for d in caught.value.diagnostics] == ["E0311", "E0311"]
    assert [d.layer for d in caught.value.diagnostics] == ["angles", "pixels"]
    assert all("--input-format" in (d.remedy or "") and "fc" in (d.why or "") for d in caught.value.diagnostics)


def test_two_quantisers_of_one_input() -> None:
    x = floats(1, 6)
    graph = graph_of(dense(quantized(x, S8, loc="q0")), dense(quantized(x, Fixed(6, 2), loc="q1")))
    with pytest.raises(EdgecError) as caught:
        strip(graph)
    assert caught.value.code == "E0311" and "q0 (fixed<8, 1>" in str(caught.value) and "q1" in str(caught.value)
    new = strip(graph, input_format=Fixed(12, 2))
    codes = np.random.default_rng(3).integers(-2048, 2048, (64, 1, 6))
    want = run(graph, {"x": codes / np.float32(1024)})
    for name, op in new.outputs:
        np.testing.assert_array_equal(op.format.decode(run(new, {"x": codes})[name]), want[name])


def test_one_quantiser_twice_is_one_format() -> None:
    x = floats(1, 6)
    graph = graph_of(dense(quantized(x, S8)), dense(quantized(x, S8), seed=1))
    assert strip(graph).inputs[0].format == S8


def test_a_float_input_format_is_refused() -> None:
    with pytest.raises(EdgecError, match="inputs of the hardware are integer codes"):
        strip(graph_of(dense(floats(1, 6))), input_format=F32)


def test_an_integer_input_stays() -> None:
    x = Input("x", type=TensorType(affine(0.5, 3), (1, 6)))
    new = strip(graph_of(quantized(dense(Dequantize(x)), affine(0.2))))
    assert new.inputs == (x,) and isinstance(new.outputs[0][1].format.base, Integer)  # type: ignore[attr-defined]
