"""narrow-requantize: halves go up, sums of rescaled tensors fit 32 bits; what differs is a near-tie."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pass_nets import check_golden

from edgec.formats import Affine, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import run
from edgec.ops import Add, Input, Op, Requantize, integers
from edgec.passes import narrow_requantize
from edgec.pipeline import Context

S8 = Affine(Integer(8), (0.05,), (3,))


def inp(name: str) -> Input:
    return Input(name, type=TensorType(S8, (1, 4, 3, 3)))


def residual(m1: int, m2: int, shift: int, offset: int | None = None) -> Graph:
    """Two rescaled tensors added exactly and rounded once, as integerize leaves a residual."""
    x, y = inp("x"), inp("y")
    wide = Quantizer(Integer(40), "floor")
    one = Requantize(x, integers([m1]), integers([0]), None, wide, loc=("add",))
    two = Requantize(y, integers([m2]), integers([0]), None, wide, loc=("add",))
    added = None if offset is None else integers([offset])
    out = Quantizer(S8, "half_even", "saturate")
    total = Requantize(Add(one, two, loc=("add",)), integers([1]), integers([shift]), added, out, loc=("add",))
    return Graph("residual", (x, y), (("z", total),))


def test_golden() -> None:
    check_golden("narrow_requantize", narrow_requantize.apply(residual(40_000_000, -31_000_000, 26, 77), Context()))


@given(st.integers(1 << 20, 1 << 26), st.integers(-(1 << 26), 1 << 26), st.integers(24, 27), st.integers(0, 1 << 30))
def test_a_narrow_sum_differs_by_one_and_only_next_to_a_middle(m1: int, m2: int, shift: int, seed: int) -> None:
    graph = residual(m1, m2, shift)
    context = Context()
    narrow = narrow_requantize.apply(graph, context)
    wide = 131 * (abs(m1) + abs(m2)) >= 1 << 29
    assert wide == any(d.code == "N0005" for d in context.diagnostics)
    assert not wide or all(op.format.bits <= 32 for op in narrow.ops if not isinstance(op, Input))
    rng = np.random.default_rng(seed)
    frames = {n: rng.integers(-128, 128, (30, 1, 4, 3, 3)) for n in ("x", "y")}
    before, after = (run(g, frames)["z"].astype(int) for g in (graph, narrow))
    exact = ((frames["x"] - 3) * m1 + (frames["y"] - 3) * m2) / 2**shift
    apart = np.abs(exact - np.floor(exact) - 0.5)
    assert (np.abs(before - after) <= 1).all()
    assert (before == after)[apart > 2**-12].all()


def test_rescalings_of_sums_round_halves_up_and_nothing_else_changes() -> None:
    x = Input("x", type=TensorType(Integer(20), (1, 8)))
    op: Op = Requantize(x, integers([3]), integers([4]), None, Quantizer(Integer(8), "half_even", "saturate"))
    graph = Graph("g", (x,), (("y", op),))
    new = narrow_requantize.apply(graph, Context())
    codes = np.arange(-400, 400).reshape(100, 1, 8)
    wanted = np.clip(np.floor(codes * 3 / 16 + 0.5), -128, 127)
    assert (run(new, {"x": codes})["y"] == wanted).all()
    again = narrow_requantize.apply(new, Context())
    assert again.ops == new.ops
