"""The arena: nothing that is alive together overlaps, and few bytes more than the liveness bound."""

from __future__ import annotations

import re

import numpy as np
from c_support import check, drawn, graph_of, inp
from hypothesis import given
from hypothesis import strategies as st

from edgec.backends.c.memory import ALIGNMENT, Allocation, pack
from edgec.backends.c.schedule import scheduled
from edgec.backends.c.view import Buffer, View, channels_last, dense, moved, reshaped
from edgec.formats import F32, Fixed, Integer, Quantizer
from edgec.ops import Add, Concat, Conv, Dense, Expand, Op, Relu, Reshape, Slice, Split, Transpose, Unary

lives = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=25
)  # fmt: skip


@given(lives)
def test_packing(drawn_lives: list[tuple[int, int, int]]) -> None:
    allocation = {i: Allocation(f"t{i}", n, s, s + d) for i, (n, s, d) in enumerate(drawn_lives)}
    plan = pack(allocation)
    placed = list(allocation.values())
    for i, a in enumerate(placed):
        assert a.offset % ALIGNMENT == 0 and a.offset + a.bytes <= plan.arena
        for b in placed[:i]:
            together = a.start <= b.end and b.start <= a.end
            apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
            assert apart or not together
    alive = [sum(a.room for a in placed if a.start <= t <= a.end) for t in range(30)]
    assert plan.bound == max(alive)
    assert plan.bound <= plan.arena <= 1.35 * plan.bound + 64


def test_a_chain_needs_two_neighbours_and_elementwise_ops_none() -> None:
    rng = np.random.default_rng(0)
    x = inp(Fixed(8, 4), 1, 4, 8, 8)
    y: Op = x
    for _ in range(4):
        y = Relu(Conv(y, drawn(rng, Fixed(6, 1), 4, 4, 3, 3), pads=(1, 1, 1, 1), out=Quantizer(Fixed(8, 4))))
    made = check(graph_of(Add(y, y, Quantizer(Fixed(8, 4)))))
    memory = made.interface["memory"]
    assert memory["arena_bytes"] == memory["arena_lower_bound"] == 2 * 4 * 64


def test_a_residual_is_added_in_place() -> None:
    rng = np.random.default_rng(1)
    x = inp(Fixed(8, 4), 1, 4, 6, 6)
    out = Quantizer(Fixed(8, 4))

    def conv(y: Op) -> Op:
        return Conv(y, drawn(rng, Fixed(6, 1), 4, 4, 3, 3), pads=(1, 1, 1, 1), out=out)

    first = conv(x)
    joined = Add(conv(conv(first)), first, out)
    made = check(graph_of(conv(joined)))
    # the skip, whose place the sum takes, and one more
    assert made.interface["memory"]["arena_bytes"] == 2 * 4 * 36


def _array(view: View, memory: np.ndarray) -> np.ndarray:
    strides = tuple(s * memory.itemsize for s in view.strides)
    return np.lib.stride_tricks.as_strided(memory[view.offset :], view.shape, strides)


@given(st.data())
def test_views_are_what_numpy_makes(data: st.DataObject) -> None:
    """Moves in a row as views of one buffer; a reshape is one exactly where numpy needs no copy."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    size = int(np.prod(shape))
    memory = np.arange(size)
    buffer = Buffer("t", "arena", Integer(32), size)
    view = View(buffer, shape, dense(shape, order))
    op: Op = inp(Integer(32), *shape)
    array = _array(view, memory)
    for _ in range(data.draw(st.integers(1, 5))):
        rank = len(op.shape)
        kind = data.draw(st.sampled_from(["transpose", "slice", "reshape", "expand", "split"]))
        new: Op
        if kind == "transpose":
            new = Transpose(op, tuple(data.draw(st.permutations(range(rank)))))
            wanted = array.transpose(new.perm)  # type: ignore[attr-defined]
        elif kind == "slice":
            cuts = [
                data.draw(st.sampled_from([(0, n, 1), (n // 2, n, 1), (0, n, 2), (n - 1, -n - 1, -1)]))
                for n in op.shape
            ]
            new = Slice(op, *zip(*cuts, strict=True))
            wanted = array[new.slices()]  # type: ignore[attr-defined]
        elif kind == "expand":
            to = (2, *(3 if n == 1 else n for n in op.shape))
            if np.prod(to) > 500:
                continue
            new = Expand(op, to)
            wanted = np.broadcast_to(array, to)
        elif kind == "split":
            axis = data.draw(st.integers(0, rank - 1))
            n = op.shape[axis]
            if n < 2:
                continue
            split = Split(op, (1, n - 1), axis)
            made = moved(split, view, 1)
            assert made is not None
            wanted = np.split(array, [1], axis=axis)[1]
            view, array, op = made, wanted, inp(Integer(32), *wanted.shape)
            continue
        else:
            flat = int(np.prod(op.shape))
            divisors = [d for d in range(1, flat + 1) if flat % d == 0] or [1]
            first = data.draw(st.sampled_from(divisors))
            to = (first, flat // first)
            new = Reshape(op, to)
            made = moved(new, view)
            wanted = array.reshape(to)
            if made is None:
                assert not np.shares_memory(wanted, array)
                return
            assert np.shares_memory(wanted, array) or wanted.size <= 1
            view, array, op = made, wanted, new
            assert (_array(view, memory) == array).all()
            continue
        made = moved(new, view)
        assert made is not None and made.shape == wanted.shape
        assert (_array(made, memory) == wanted).all()
        view, array, op = made, wanted, new


def test_reshape_of_a_channels_last_tensor_copies_only_where_it_must() -> None:
    strides = dense((1, 3, 4, 4), channels_last(4))
    assert reshaped((1, 3, 4, 4), strides, (1, 48)) is None
    assert reshaped((1, 3, 4, 4), strides, (1, 3, 16)) == (0, 1, 3)
    assert reshaped((1, 3, 1, 1), dense((1, 3, 1, 1), channels_last(4)), (1, 3)) == (0, 1)


def test_outputs_that_are_inputs_views_and_constants() -> None:
    x = inp(F32, 1, 3, 4)
    again = Unary(x, "neg")
    check(graph_of(x, Transpose(x, (2, 1, 0)), again, again, Dense(x, drawn(np.random.default_rng(0), F32, 2, 4))))


def test_results_are_written_into_the_outputs() -> None:
    """Through moves behind them as well; what another op reads, or cannot be written there, is copied."""
    rng = np.random.default_rng(5)
    x = inp(F32, 1, 3, 6, 5)
    layer = Conv(x, drawn(rng, F32, 4, 3, 3, 3))  # channels last
    last = Transpose(layer, (0, 2, 3, 1))
    flat = Reshape(Transpose(Relu(layer), (0, 2, 3, 1)), (12, 4))
    row = Reshape(Dense(Reshape(x, (18, 5)), drawn(rng, F32, 4, 5)), (2, 36))
    turned = Transpose(Dense(Reshape(x, (18, 5)), drawn(rng, F32, 6, 5)), (1, 0))
    for outputs, copies in (((last,), 0), ((flat,), 0), ((row,), 0), ((turned,), 1), ((last, layer), 1)):
        graph = graph_of(*outputs)
        assert len(scheduled(graph, "net").copies) == copies, outputs
        check(graph)


def test_runs_without_gaps_are_copied_by_memcpy() -> None:
    x = inp(F32, 2, 3, 8)
    moves = [Concat((x, Unary(x, "neg")), 1), Reshape(Transpose(x, (1, 0, 2)), (6, 8))]
    short = [Slice(x, (0, 0, 1), (2, 3, 2), (1, 1, 1)), Transpose(x, (2, 1, 0))]
    made = check(graph_of(x, *moves, *short))
    text = made.files["src/t.c"].decode()
    assert len(re.findall(r"\bmemcpy\(", text)) == 4  # x, two operands, six rows
    assert "memcpy(to_ + 0, from_ + 0, 192);" in text
    assert "memcpy(y + i0 * 16 + i1 * 8, x0 + i0 * 8 + i1 * 24, 32);" in text
