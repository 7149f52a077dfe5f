"""Running whole graphs: frames, chunks, observers, and inputs that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from core_support import inp

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Fixed, Integer, TensorType
from edgec.formats_compressed import Sparse
from edgec.graph import Graph
from edgec.interp import evaluate, random_frames, run
from edgec.interp.registry import EVALUATORS
from edgec.ops import OPS, Add, AvgPool, Conv, Dense, Input, Mul, Op, Relu, Reshape, constant


def small() -> Graph:
    g = np.random.default_rng(0)
    x = inp(Fixed(8, 1), 1, 2, 4, 4)
    y: Op = Conv(x, constant(g.uniform(-1, 1, (3, 2, 3, 3)), Fixed(6, 1)), pads=(1, 1, 1, 1), loc=("conv",))
    y = Relu(y, loc=("relu",))
    z = Dense(Reshape(y, (1, 48)), constant(g.uniform(-1, 1, (4, 48)), Fixed(6, 1)), loc=("dense",))
    return Graph("small", (x,), (("mean", AvgPool(y, (4, 4))), ("z", z)))


def test_every_op_has_an_evaluator() -> None:
    assert {OPS[m] for m in OPS if m not in ("input", "constant")} == set(EVALUATORS)


def test_frames_are_independent_and_chunks_do_not_matter() -> None:
    graph = small()
    frames = random_frames(graph, 7, 3)
    whole = run(graph, frames)
    for bytes_ in (1, 3000, 1 << 20):
        parts = run(graph, frames, max_bytes=bytes_)
        assert all(np.array_equal(whole[n], parts[n]) for n in whole)
    single = run(graph, {"x": frames["x"][4:5]})
    assert all(np.array_equal(whole[n][4:5], single[n]) for n in whole)
    none = run(graph, {"x": frames["x"][:0]})
    assert none["mean"].shape == (0, 1, 3, 1, 1) and none["z"].shape == (0, 1, 4)


def test_observers_see_every_computed_op_once_a_chunk() -> None:
    graph = small()
    seen: list[tuple[str, int]] = []
    run(graph, random_frames(graph, 2, 0), observe=lambda op, value: seen.append((op.mnemonic, len(value))))
    assert seen == [("conv", 2), ("relu", 2), ("avg_pool", 2), ("reshape", 2), ("dense", 2)]


def test_outputs_that_depend_on_no_input() -> None:
    x = inp(F32, 2)
    graph = Graph("g", (x,), (("c", Add(constant([1.0]), constant([2.0]))), ("x", x)))
    out = run(graph, {"x": np.zeros((3, 2))})
    assert out["c"].tolist() == [[3.0]] * 3 and out["x"].shape == (3, 2)
    out["x"][0] = 5  # the results belong to the caller
    assert run(Graph("g", (), (("c", constant([4.0])),)), {})["c"].tolist() == [[4.0]]


def test_random_frames_are_legal_and_seeded() -> None:
    formats = (F32, Integer(1), Integer(64), Fixed(9, 1, signed_=False), Sparse(Fixed(4, 2), 2, 4))
    inputs = tuple(inp(f, 8, name=f"i{n}") for n, f in enumerate(formats))
    graph = Graph("g", inputs, (("y", inputs[0]),))
    a, b, c = random_frames(graph, 5, 1), random_frames(graph, 5, 1), random_frames(graph, 5, 2)
    for i in inputs:
        i.format.check(a[i.name])
        assert a[i.name].dtype == i.format.dtype and np.array_equal(a[i.name], b[i.name])
        assert not np.array_equal(a[i.name], c[i.name])
    run(graph, a)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({}, "no data for input x"),
        ({"y": np.zeros((1, 2), np.int8)}, "no input 'y'"),
        ({"x": np.zeros((2,), np.int8)}, r"shape \[2\]"),
        ({"x": np.zeros((1, 3), np.int8)}, r"shape \[1, 3\]"),
        ({"x": np.zeros((1, 2), np.float32)}, "takes integer codes"),
        ({"x": np.array([["a", "b"]])}, "takes integer codes"),
        ({"x": np.full((1, 2), 9)}, r"codes 9..9 outside -8..7"),
        ({"x": np.full((1, 2), 1 << 40)}, "outside"),
    ],
)
def test_inputs_that_do_not_fit(frames: dict[str, np.ndarray], message: str) -> None:
    x = inp(Integer(4), 2)
    with pytest.raises(EdgecError, match=message) as caught:
        run(Graph("g", (x,), (("y", Relu(x)),)), frames)
    assert caught.value.code == "E0210"


def test_inputs_of_different_lengths() -> None:
    x, y = inp(F32, 1), inp(F32, 1, name="y")
    with pytest.raises(EdgecError, match="different numbers of frames"):
        run(Graph("g", (x, y), (("z", Add(x, y)),)), {"x": np.zeros((2, 1)), "y": np.zeros((3, 1))})


def test_ops_without_an_evaluator_say_so() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True, eq=False)
    class _Strange(Op):
        x: Op

        def infer(self) -> object:  # type: ignore[override]
            return self.x.type

    op = _Strange(Input("x", type=inp(F32, 1).tensor))
    with pytest.raises(EdgecError, match="no function for _strange"):
        evaluate(op, [np.zeros((1, 1))])


def test_users_of_a_given_layer_read_what_is_given() -> None:
    x = Input("x", type=TensorType(F32, (2,)))
    twice = Add(x, x)
    graph = Graph("t", (x,), (("y", Mul(twice, x)), ("z", twice)))
    seen = {}
    values = np.ones((3, 2), np.float32)
    stated = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = run(graph, {"x": values}, observe=lambda op, a: seen.setdefault(op, a), given={twice: stated}, max_bytes=48)
    assert seen[twice].max() == 2
    assert np.array_equal(found["y"], stated)
    assert np.array_equal(found["z"], stated)
