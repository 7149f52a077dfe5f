"""The table of signal to noise per layer."""

from __future__ import annotations

import numpy as np
import pytest
from pass_nets import apply, f32, residual_net, weights

from edgec.accuracy import NO_NOISE, layer_table, top_one
from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Dense, Dequantize, Input, Op, Quantize, Relu, constant
from edgec.pipeline import Context

FOLD = "fold-constants,fold-batch-norm,fuse,fold-padding"


def frames(count: int = 24) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(7).standard_normal((count, 1, 3, 8, 8)).astype(np.float32)}


def test_rows_follow_the_layers() -> None:
    before = residual_net()
    context = Context(calibration=frames())
    after = apply(apply(before, FOLD), "quantize", context)
    rows = layer_table(before, after, frames(), context=context)
    assert [r.layer for r in rows] == ["image", "conv0, bn0, relu0", "conv1, bn1", "add, relu1", "mean", "dense"]
    assert [r.op for r in rows] == ["input", "relu", "conv", "relu", "avg_pool", "dense"]
    assert all(25 < r.sqnr <= r.sqnr_alone + 0.5 for r in rows)
    assert sum(r.worst for r in rows) == 1 and min(rows, key=lambda r: r.sqnr_alone).worst
    assert "W0004" not in {d.code for d in context.diagnostics}
    assert set(rows[0].as_dict()) == {
        "layer", "op", "format", "sqnr_db", "sqnr_alone_db", "max_error", "saturation", "worst",
    }  # fmt: skip


def test_the_layer_that_loses_is_named() -> None:
    before = residual_net()
    context = Context(calibration=frames())
    after = apply(apply(before, FOLD), "quantize{last_bits=2,method=mse}", context)
    rows = layer_table(before, after, frames(), context=context)
    (worst,) = (r for r in rows if r.worst)
    assert worst.layer == "dense" and worst.sqnr_alone < 20
    (warning,) = (d for d in context.diagnostics if d.code == "W0004")
    assert warning.layer == "dense"


def test_figures_by_hand() -> None:
    """Two layers, compared with numpy: accumulated and alone, largest error and saturation."""
    g = np.random.default_rng(0)
    x = f32("x", 1, 4)
    first, second = weights(g, 4, 4), weights(g, 3, 4)
    hidden = Relu(Dense(x, first, loc=("a",)), loc=("r",))
    before = Graph("g", (x,), (("y", Dense(hidden, second, loc=("b",))),))
    narrow, wide = Quantizer(Fixed(4, 1, signed_=False)), Quantizer(Fixed(8, 3))
    pair = Dequantize(Quantize(hidden, narrow, loc=("r",)), loc=("r",))
    out = Dequantize(Quantize(Dense(pair, second, loc=("b",)), wide, loc=("b",)), loc=("b",))
    after = Graph("g", (x,), (("y", out),))
    data = g.standard_normal((50, 1, 4)).astype(np.float32)
    rows = layer_table(before, after, {"x": data})
    h = np.maximum(data @ first.data.T, 0).astype(np.float64)  # type: ignore[attr-defined]
    hq = np.clip(np.rint(h * 8), 0, 15) / 8
    y, weight = h @ second.data.T, second.data.T  # type: ignore[attr-defined]
    through = np.clip(np.rint((hq @ weight) * 32), -128, 127) / 32
    alone = np.clip(np.rint(y * 32), -128, 127) / 32

    def decibel(a: np.ndarray, b: np.ndarray) -> float:
        return float(10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()))

    assert [r.layer for r in rows] == ["r", "b"]
    assert rows[0].sqnr == pytest.approx(decibel(h, hq), abs=0.01) == rows[0].sqnr_alone
    assert rows[1].sqnr == pytest.approx(decibel(y, through), abs=0.01)
    assert rows[1].sqnr_alone == pytest.approx(decibel(y, alone), abs=0.01)
    assert rows[1].max_error == pytest.approx(np.abs(y - through).max(), abs=1e-5)
    assert rows[0].saturation == pytest.approx((h > 15.5 / 8).mean()) and rows[0].saturation > 0


def test_integer_graphs_match_too() -> None:
    """A stage that computes on codes is decoded; exact arithmetic has no noise."""
    x = Input("x", type=TensorType(Fixed(6, 3), (1, 4)))
    w = constant(np.eye(4) * 0.5, Fixed(3, 1))
    integer: Op = Dense(x, w, out=Quantizer(Fixed(6, 3), "floor"), loc=("a",))
    real = f32("x", 1, 4)
    before = Graph("g", (real,), (("y", Dense(real, constant(np.eye(4) * 0.5), loc=("a",))),))
    even = {"x": np.arange(-16, 16).reshape(8, 1, 4) / 4.0}
    rows = layer_table(before, Graph("g", (x,), (("y", integer),)), even)
    assert [(r.layer, r.sqnr) for r in rows] == [("x", NO_NOISE), ("a", NO_NOISE)]
    odd = {"x": np.full((2, 1, 4), 0.125)}
    assert layer_table(before, Graph("g", (x,), (("y", integer),)), odd)[1].max_error == 0.0625


def test_chunks_do_not_change_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    before = residual_net()
    after = apply(apply(before, FOLD), "quantize", Context(calibration=frames()))
    whole = layer_table(before, after, frames())
    monkeypatch.setattr("edgec.accuracy.CHUNK_BYTES", 1)
    for a, b in zip(whole, layer_table(before, after, frames()), strict=True):
        assert a.layer == b.layer and a.sqnr == pytest.approx(b.sqnr, abs=1e-3)


def test_top_one() -> None:
    before = residual_net()
    data = frames()
    labels = run(before, data)["probabilities"][:, 0].argmax(axis=1)
    fine = apply(apply(before, FOLD), "quantize", Context(calibration=data))
    result = top_one(before, fine, data, labels)
    assert result.reference == 1.0 and result.quantized == result.agreement > 0.9 and result.frames == 24
    half_wrong = np.where(np.arange(24) < 12, labels, labels + 1)
    assert top_one(before, before, data, half_wrong).as_dict() == {
        "reference": 0.5, "quantized": 0.5, "agreement": 1.0, "frames": 24,
    }  # fmt: skip
    with pytest.raises(EdgecError) as error:
        top_one(before, fine, data, labels[:3])
    assert error.value.code == "E0210"
    with pytest.raises(EdgecError):
        layer_table(before, fine, {"image": data["image"][:0]})
