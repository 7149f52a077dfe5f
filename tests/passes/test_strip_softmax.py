"""strip-softmax."""

from __future__ import annotations

import numpy as np
from pass_nets import apply, check_golden, f32, mnemonics, outputs, residual_net

from edgec.formats import Affine, Integer, Quantizer
from edgec.graph import Graph
from edgec.ops import ArgMax, Dequantize, Quantize, Relu, Reshape, Softmax, Transpose
from edgec.pipeline import Context

X = f32("x", 1, 5, 3)


def test_golden() -> None:
    before = residual_net()
    after = apply(before, "strip-softmax")
    check_golden("strip_softmax", after)
    a, b = outputs(before, frames=20)["probabilities"], outputs(after, frames=20)["probabilities"]
    assert (np.argsort(a[:, 0]) == np.argsort(b[:, 0])).all() and not np.allclose(a, b)


def test_forms() -> None:
    probability = Quantizer(Affine(Integer(8, False), (1 / 256,)))
    for y, left in (
        (Softmax(X, 1, log=True), []),
        (Reshape(Transpose(Softmax(X), (0, 2, 1)), (15,)), ["transpose", "reshape"]),
        (Dequantize(Quantize(Softmax(X), probability)), []),
        (Quantize(Softmax(X), probability), []),
        (ArgMax(Softmax(X, 1), -2), ["arg_max"]),
    ):
        assert mnemonics(apply(Graph("g", (X,), (("y", y),)), "strip-softmax")) == left


def test_others_stay_with_a_note() -> None:
    for y in (Relu(Softmax(X)), ArgMax(Softmax(X, 1), 2), ArgMax(Softmax(X), 2, smallest=True)):
        context = Context()
        before = Graph("g", (X,), (("y", y),))
        assert apply(before, "strip-softmax", context) is before
        assert [d.code for d in context.diagnostics] == ["N0002"]


def test_every_output() -> None:
    before = Graph("g", (X,), (("a", Softmax(X)), ("b", Relu(X))))
    context = Context()
    after = apply(before, "strip-softmax", context)
    assert [n for n, _ in after.outputs] == ["a", "b"] and after.outputs[0][1] is X and not context.diagnostics
