"""Circuits: evaluation against integer arithmetic, merging, counting, hierarchy, registers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtl_support import RandomCircuit

from edgec.backends.rtl.circuit.arith import add, full_add, subtract
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.evaluate import evaluate, simulate
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import bitwise, lut
from edgec.backends.rtl.circuit.state import Register, instantiate
from edgec.backends.rtl.circuit.wire import Const, Input, cast, concat, input_array, shift_left

BYTE = Interval.of_bits(8)


@given(st.integers(0, 10**6))
def test_random_circuits_evaluate_to_integer_arithmetic(seed: int) -> None:
    made = RandomCircuit(seed)
    got = evaluate(made.circuit, made.inputs, check=True)["y"]
    np.testing.assert_array_equal(got, made.outputs["y"])


@given(st.integers(-1000, 1000), st.integers(0, 1000))
def test_interval_width_is_the_fewest_bits(lo: int, more: int) -> None:
    interval = Interval(lo, lo + more)
    full = Interval.of_bits(interval.width, interval.signed)
    assert full.lo <= lo and lo + more <= full.hi
    if interval.width > 1:
        smaller = Interval.of_bits(interval.width - 1, interval.signed)
        assert lo < smaller.lo or smaller.hi < lo + more


def test_equal_operators_are_merged_and_unread_ones_are_absent() -> None:
    x, y = Input("x", BYTE), Input("y", BYTE)
    add(x, add(y, y))
    circuit = Circuit("twice", {"a": add(x, y), "b": subtract(add(x, y), x)}, [x, y])
    assert [type(n).__name__ for n in circuit.nodes].count("Add") == 2


def test_cells_of_adders_follow_what_is_read_and_known() -> None:
    x = input_array("x", 3, BYTE)
    total, carry = full_add(*x)
    assert Circuit("both", {"y": [total, carry]}).cells == {"FA": 8}
    assert Circuit("sums", {"y": [total]}).cells == {"XOR2": 16}
    assert Circuit("plus", {"y": add(x[0], x[1])}).cells == {"HA": 1, "FA": 7}
    # The low three bits of a shifted operand are known to be 0: they cost nothing.
    assert Circuit("shifted", {"y": add(Input("w", Interval.of_bits(8, frac=3)), x[0])}).cells == {
        "HA": 1 + 3,
        "FA": 4,
    }
    assert Circuit("mask", {"y": bitwise("xor", x[0], Const(0b101, 8))}).cells == {"NOT": 2}


def test_a_cast_that_does_not_hold_is_found() -> None:
    circuit = Circuit("wrong", {"y": cast(Input("x", BYTE), Interval(0, 200))})
    assert evaluate(circuit, {"x": np.array([0, 200])})["y"].tolist() == [0, 200]
    with pytest.raises(ValueError, match="outside range<0,200,0>"):
        evaluate(circuit, {"x": np.array([201])})


def test_hierarchy_is_evaluated_and_counted() -> None:
    a, b = Input("a", BYTE), Input("b", BYTE)
    leaf = Circuit("leaf", {"s": add(a, b)}, [a, b])
    xs = input_array("x", 4, BYTE)
    sums = [instantiate(leaf, a=xs[2 * i], b=xs[2 * i + 1])["s"][0] for i in range(2)]
    top = Circuit("top", {"y": add(*sums)}, [xs])
    data = np.random.default_rng(0).integers(0, 256, (100, 4))
    np.testing.assert_array_equal(evaluate(top, {"x": data})["y"], data.sum(1))
    assert top.modules[leaf] == 2
    assert top.cells == {"FA": 2 * 7 + 8, "HA": 3}
    with pytest.raises(ValueError, match="takes range<0,255,0>"):
        instantiate(leaf, a=add(a, b), b=b)


def test_registers_in_time() -> None:
    x, en = Input("x", BYTE), Input("en", Interval(0, 1))
    plain = Register(x)
    circuit = Circuit("regs", {"a": Register(plain), "b": Register(x, en, reset=7)}, [x, en])
    assert circuit.sequential and circuit.cells == {"FF": 24, "MUX2": 8, "AND2": 8}
    data, enable = np.array([1, 2, 3, 4, 5, 6]), np.array([0, 1, 0, 1, 1, 0])
    reset = np.array([0, 0, 0, 1, 0, 0])
    got = simulate(circuit, {"x": data, "en": enable}, reset)
    assert got["a"].tolist() == [0, 0, 1, 2, 3, 4]
    assert got["b"].tolist() == [7, 7, 2, 2, 7, 5]
    assert evaluate(circuit, {"x": data, "en": enable})["a"].tolist() == data.tolist()


def test_wide_wires_are_exact() -> None:
    x = Input("x", Interval.of_bits(100))
    circuit = Circuit("wide", {"y": [add(x, x), concat([x, x]), shift_left(x, 3)]})
    values = np.array([3**60, 2**100 - 1, 0], object)
    got = evaluate(circuit, {"x": values}, check=True)["y"]
    assert [list(row) for row in got] == [[2 * v, v | v << 100, v << 3] for v in values]


def test_table_cells_are_a_shared_multiplexer_tree() -> None:
    x = Input("x", Interval.of_bits(3))
    assert Circuit("same", {"y": lut(x, range(8))}).cells == {}  # each output bit is an input bit
    assert Circuit("high", {"y": lut(x, [0, 0, 0, 1, 0, 0, 0, 1])}).cells == {"AND2": 1}
    assert Circuit("one", {"y": lut(x, [0, 1, 1, 0, 1, 0, 0, 1])}).cells == {"XOR2": 2}  # parity, and its complement
    assert Circuit("two", {"y": lut(x, [0, 3, 3, 0, 3, 0, 0, 3])}).cells == {"XOR2": 2}  # two equal output bits
    assert Circuit("mux", {"y": lut(x, [0, 0, 1, 1, 0, 1, 0, 1])}).cells == {"MUX2": 1}


def test_bad_circuits_are_refused() -> None:
    x = Input("x", BYTE)
    with pytest.raises(ValueError, match="not listed"):
        Circuit("c", {"y": x}, [Input("z", BYTE)])
    with pytest.raises(ValueError, match="elements are missing"):
        Circuit("c", {"y": Input("x", BYTE, 3)})
    with pytest.raises(ValueError, match="cannot be a port's name"):
        Circuit("c", {"n1": x})
    with pytest.raises(ValueError, match="two intervals"):
        Circuit("c", {"y": [x, Input("x", Interval(0, 3))]})
