"""Graphs, and the driver that rewrites them."""

from __future__ import annotations

import numpy as np
import pytest
from core_support import inp

from edgec.diagnostics import EdgecError
from edgec.formats import F32, Fixed, TensorType
from edgec.graph import Graph, rewrite, topological
from edgec.interp import random_frames, run
from edgec.ops import Add, Constant, Get, Input, Mul, Op, Relu, Split, Sub, Unary, constant, merge_loc

X = inp(F32, 4)


def graph(*outputs: Op) -> Graph:
    return Graph("g", (X,), tuple((f"y{i}", o) for i, o in enumerate(outputs)))


def test_order_is_operands_first_and_deterministic() -> None:
    a = Relu(X)
    b = Add(a, constant([1.0]))
    c = Add(b, a)
    g = graph(c, b)
    assert g.ops.index(X) == 0 and set(g.ops) == {X, a, b, b.y, c}
    for op in g.ops:
        assert all(g.ops.index(o) < g.ops.index(op) for o in op.operands)
    assert g.ops == graph(c, b).ops
    assert g.users[a] == (b, c) and g.use_count(b) == 2 and g.use_count(c) == 1
    assert g.parameters == 1


def test_deep_graphs_need_no_recursion() -> None:
    y: Op = X
    for _ in range(5000):
        y = Relu(y)
    g = graph(y)
    assert len(g.ops) == 5001
    deep = rewrite(g, lambda op, uses: Unary(op.x, "neg") if isinstance(op, Relu) else None)
    assert sum(isinstance(o, Unary) for o in deep.ops) == 5000
    assert len(list(topological(y))) == 5001


def test_what_no_output_needs_is_absent() -> None:
    unused = inp(F32, 2, name="unused")
    g = Graph("g", (X, unused), (("y", Relu(X)),))
    Add(X, constant([2.0]))
    assert [o.mnemonic for o in g.ops] == ["input", "input", "relu"]
    assert run(g, random_frames(g, 2, 0))["y"].shape == (2, 4)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ((X, inp(F32, 3)), (("y", X),), "two inputs of one name"),
        ((X,), (("y", X), ("y", X)), "two outputs of one name"),
        ((X,), (), "needs an output"),
        ((), (("y", Relu(X)),), "uses input 'x'"),
        ((inp(F32, 4),), (("y", Relu(X)),), "uses input 'x'"),
    ],
)
def test_bad_graphs(inputs: tuple[Input, ...], outputs: tuple, message: str) -> None:
    with pytest.raises(EdgecError, match=message) as caught:
        Graph("g", inputs, outputs)
    assert caught.value.code == "E0102"


def fold(op: Op, uses: object) -> Op | None:
    """x + a + b -> x + (a + b) for constants."""
    match op:
        case Add(x=Add(x=x, y=Constant() as a), y=Constant() as b):
            return Add(x, constant(a.values + b.values))
    return None


def test_a_rule_runs_until_nothing_changes() -> None:
    y: Op = X
    for i in range(5):
        y = Add(y, constant([float(i)]), loc=(f"add{i}",))
    after = rewrite(graph(y), fold)
    (out,) = [o for _, o in after.outputs]
    assert isinstance(out, Add) and out.x is X and out.y.data.tolist() == [10.0]  # type: ignore[attr-defined]
    assert out.loc == ("add4",)  # what a rule leaves without names takes those of what it replaces


def test_nothing_to_do_keeps_every_op() -> None:
    y = Add(Relu(X), constant([1.0]))
    after = rewrite(graph(y), lambda op, uses: None)
    assert after.outputs[0][1] is y and after.ops == graph(y).ops


def test_shared_ops_are_rewritten_once() -> None:
    shared = Relu(X)
    after = rewrite(
        graph(Add(shared, constant([1.0])), Sub(shared, constant([1.0]))),
        lambda op, uses: Unary(op.x, "abs") if isinstance(op, Relu) else None,
    )
    (a, b) = [o for _, o in after.outputs]
    assert a.x is b.x and isinstance(a.x, Unary)  # type: ignore[attr-defined]


def test_uses_counts_the_readers_of_what_was_replaced() -> None:
    seen: dict[str, int] = {}

    def look(op: Op, uses: object) -> Op | None:
        for operand in op.operands:
            if isinstance(operand, Relu | Unary):
                seen[op.loc[0]] = uses(operand)  # type: ignore[operator]
        return Unary(op.x, "abs", loc=op.loc) if isinstance(op, Relu) else None

    shared = Relu(X, loc=("r",))
    single = Relu(X, loc=("s",))
    rewrite(graph(Add(shared, X, loc=("a",)), Sub(shared, X, loc=("b",)), Mul(single, X, loc=("c",)), shared), look)
    assert seen == {"a": 3, "b": 3, "c": 1}


def test_a_doubled_op_collapses() -> None:
    after = rewrite(
        graph(Relu(Relu(Relu(X)))), lambda op, u: op.x if isinstance(op, Relu) and isinstance(op.x, Relu) else None
    )
    assert [o.mnemonic for o in after.ops] == ["input", "relu"]


def test_rules_without_end_are_stopped() -> None:
    with pytest.raises(EdgecError, match="does not come to an end after 8 steps") as caught:
        rewrite(graph(Relu(X, loc=("r",))), lambda op, uses: Relu(op.x) if isinstance(op, Relu) else None, limit=8)
    assert caught.value.diagnostics[0].layer == "r"


def test_types_are_inferred_again() -> None:
    """A pass that changes an operand's format asks again: the sum grows with its operand."""
    x = inp(Fixed(4, 4), 2)
    y = Add(Relu(x), constant([1.0, 1.0], Fixed(4, 4)))
    wide = inp(Fixed(8, 8), 2)
    after = rewrite(Graph("g", (x,), (("y", y),)), lambda op, uses: wide if op is x else None)
    assert after.inputs == (wide,) and after.outputs[0][1].format == Fixed(9, 9)


def test_ops_with_several_results() -> None:
    parts = Split(X, (1, 3), 0)
    g = graph(Get(parts, 1), Get(parts, 0))
    after = rewrite(g, lambda op, uses: op.replace(axis=-1) if isinstance(op, Split) and op.axis == 0 else None)
    out = run(after, {"x": np.arange(4.0)[None]})
    assert out["y0"].tolist() == [[1, 2, 3]] and out["y1"].tolist() == [[0]]


def test_ops_are_compared_by_identity_and_names_merge() -> None:
    a, b = Relu(X, loc=("a", "b")), Relu(X, loc=("b", "c"))
    assert a != b and len({a, b}) == 2
    assert merge_loc(a, None, b) == ("a", "b", "c")
    assert a.label == "a, b" and Relu(Relu(a)).label == "(unnamed)" and Relu(a).label == "after a, b"
    assert a.with_operands([X]) is a
    assert graph(a).input("x") is X
    with pytest.raises(KeyError):
        graph(a).input("y")


def test_stated_types_must_hold() -> None:
    assert Relu(X, type=TensorType(F32, (4,))).shape == (4,)
    with pytest.raises(EdgecError, match=r"stated type f32\[3\], but the operands give f32\[4\]"):
        Relu(X, type=TensorType(F32, (3,)), loc=("r",))
