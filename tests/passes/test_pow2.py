"""pow2: weights as signed powers of two times a scale."""

from __future__ import annotations

import numpy as np
import pytest
from compress_nets import AFTER, codes, compressed, floats, layer, net, refusal, with_zeros
from hypothesis import given
from hypothesis import strategies as st
from pass_nets import check_golden

from edgec.formats_compressed import Pow2
from edgec.ops import BatchNorm, Conv, Dense, Requantize
from edgec.passes.pow2 import best_scales, error_of

BASES = st.builds(Pow2, st.integers(2, 5), st.booleans())


@st.composite
def rows(draw: st.DrawFn) -> np.ndarray:
    """Weights [O, K] of several distributions and sizes."""
    g = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 4)), draw(st.integers(2, 40))
    values = {
        "normal": g.standard_normal(shape),
        "heavy": g.standard_t(2, shape),
        "equal": np.full(shape, 0.3) * np.where(g.random(shape) < 0.5, 1, -1),
        "uniform": g.uniform(-1, 1, shape),
    }[draw(st.sampled_from(["normal", "heavy", "equal", "uniform"]))]
    return values * 10.0 ** draw(st.integers(-4, 3))


@given(rows(), BASES)
def test_every_weight_becomes_the_nearest_value(values: np.ndarray, base: Pow2) -> None:
    scales = best_scales(values, base)
    table = base.table * scales[:, None]  # [O, codes]
    nearest = np.abs(values[:, :, None] - table[:, None, :]).min(axis=2)
    written = base.decode(base.codes_of_levels(base.clip_levels(values / scales[:, None], "saturate")))
    assert np.allclose(np.abs(values - written * scales[:, None]), nearest, rtol=1e-12, atol=0)
    assert base.zero or (written != 0).all()


@given(rows(), BASES, st.sampled_from(["float", "pow2"]))
def test_the_scale_is_as_good_as_a_fine_search(values: np.ndarray, base: Pow2, kind: str) -> None:
    scales = best_scales(values, base, kind)  # type: ignore[arg-type]
    assert (scales > 0).all()
    top = np.abs(values).max(axis=1) / base.level_range[1]
    if kind == "pow2":
        assert (np.frexp(scales)[0] == 0.5).all()
        candidates = [np.exp2(np.floor(np.log2(top)) + k) for k in range(-4, 3)]
    else:
        candidates = [top * 2.0 ** (k / 100) for k in range(-350, 60)]
    best = np.min([error_of(values, c, base) for c in candidates], axis=0)
    size = np.square(values).sum(axis=1)
    assert (error_of(values, scales, base) <= 1.03 * best + 1e-9 * size).all()


@given(st.integers(0, 1000), st.booleans())
def test_more_bits_lose_less(seed: int, zero: bool) -> None:
    values = np.random.default_rng(seed).standard_normal((3, 64))
    errors = [error_of(values, best_scales(values, Pow2(bits, zero)), Pow2(bits, zero)).sum() for bits in (2, 3, 4)]
    assert errors[0] > errors[1] and errors[1] >= errors[2] * 0.999


def test_golden() -> None:
    graph, _ = compressed("pow2{bits=3}")
    check_golden("pow2", graph)


def test_middle_layers_are_compressed_and_reported() -> None:
    graph, context = compressed("pow2")
    assert [codes(graph, "conv1").format.base] == [Pow2(4)]
    assert all(layer(graph, name).w.format.is_float for name in ("conv0", "dense"))
    (row,) = context.reports["compression"]
    assert (row["layer"], row["format"], row["weights"], row["weight_bits"]) == ("conv1", "pow2<4>", 96, 384)
    assert row["zeros"] == 0 and row["scales"] == 6 and 12 < row["sqnr_db"] < 20


@pytest.mark.parametrize(
    ("options", "touched"),
    [
        ("keep_first=false,keep_last=false", {"conv0", "conv1", "dense"}),
        ("layers=conv*", {"conv0", "conv1"}),
        ("layers=dense|conv0", {"conv0", "dense"}),
        ("layers=conv*,skip=conv1", {"conv0"}),
        ("layers=conv*,keep_first=true", {"conv1"}),
    ],
)
def test_which_layers(options: str, touched: set[str]) -> None:
    graph, _ = compressed(f"pow2{{{options}}}")
    assert {n for n in ("conv0", "conv1", "dense") if not layer(graph, n).w.format.is_float or
            hasattr(layer(graph, n).w, "x")} == touched  # fmt: skip


def test_a_batch_norm_stays_out_of_the_weights() -> None:
    """It ends as multiplier and offset of the channel's requantisation, with the sign of its factor."""
    before, _ = compressed("pow2")
    after, _ = compressed("pow2", rest="fold-batch-norm")
    assert np.array_equal(codes(before, "conv1").data, codes(after, "conv1").data)
    assert [op.loc for op in after.ops if isinstance(op, BatchNorm)] == [("bn1",)]
    integers, context = compressed("pow2", rest=AFTER)
    assert not floats(integers) and not [d for d in context.diagnostics if d.code == "N0003"]
    assert np.array_equal(codes(integers, "conv1").data, codes(before, "conv1").data)
    (scaling,) = [op for op in integers.ops if isinstance(op, Requantize) and "conv1" in op.x.loc]
    signs = np.sign(scaling.multiplier.data)  # type: ignore[attr-defined]
    assert signs.tolist() == [-1, 1, -1, 1, -1, 1]


def test_power_of_two_scales_on_fixed_point_need_no_multiplier() -> None:
    graph = with_positive_norms()
    rest = "fold-batch-norm,fold-padding,quantize{format=fixed},integerize,lower-requantize,integer-io"
    after, _ = compressed("pow2{scale=pow2,per_channel=false,keep_first=false,keep_last=false}", graph, rest)
    assert not floats(after) and not [op for op in after.ops if isinstance(op, Requantize)]
    assert all(op.w.format.frac is not None for op in after.ops if isinstance(op, Conv | Dense))


def with_positive_norms():  # type: ignore[no-untyped-def]
    """The network without norms."""
    from edgec.graph import rewrite

    return rewrite(net(), lambda op, uses: op.x if isinstance(op, BatchNorm) else None)


def test_zeros_are_refused_in_the_zero_free_form() -> None:
    sparse = with_zeros(net(), "conv1", 7)
    error = refusal("pow2", sparse)
    (found,) = error.diagnostics
    assert error.code == "E0313" and found.layer == "conv1" and "7 of 96 weights" in found.what
    assert "no code for zero" in (found.why or "") and "pow2z" in (found.remedy or "")
    assert refusal("prune{sparsity=0.4},pow2").code == "E0313"
    graph, _ = compressed("pow2{zeros=nearest}", sparse)
    assert (codes(graph, "conv1").values != 0).all()
    (masked,) = refusal("prune{sparsity=0.4},pow2{zeros=nearest}").diagnostics
    assert masked.code == "E0313" and "do not prune it" in (masked.remedy or "")  # a mask is no zero of the model
    compressed("prune{sparsity=0.4,skip=conv1},pow2{zeros=nearest,layers=conv1}", sparse)
    with_zero, _ = compressed("pow2{zero=true}", sparse)
    assert (codes(with_zero, "conv1").values.ravel()[:7] == 0).all()


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ("pow2{bits=6}", "2 to 5"),
        ("pow2{layers=conv9}", "did you mean"),
        ("pow2{layers=|}", "names no layer"),
        ("pow2{skip=den}", "no layer with weights fits 'den'"),
    ],
)
def test_bad_options(steps: str, word: str) -> None:
    error = refusal(steps)
    assert error.code == "E0204" and word in str(error)


def test_padding_of_integer_activations_is_no_obstacle() -> None:
    """The padded element is a zero activation; the zero-free weights stay what they are."""
    graph, _ = compressed("pow2", net(pads=1), AFTER)
    assert not floats(graph) and any(layer(graph, "conv1").pads)  # type: ignore[union-attr]


def test_codes_that_are_there_already_stay() -> None:
    once, _ = compressed("ternary{layers=conv1}")
    twice, _ = compressed("ternary{layers=conv1},pow2")
    assert codes(twice, "conv1").format == codes(once, "conv1").format
