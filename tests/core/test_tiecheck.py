"""tiecheck: near-ties are explained, everything else is not."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.formats import Affine, Fixed, Integer, Quantizer, TensorType
from edgec.interp import evaluate
from edgec.ops import Add, AvgPool, Cast, Input, Op, Relu, Requantize, integers
from edgec.tiecheck import explain

INT8 = Affine(Integer(8), (0.1,), (5,))


def layer(multiplier: int, shift: int, out: Quantizer) -> tuple[Op, Op]:
    x = Input("x", type=TensorType(Integer(32), (1, 1)))
    return x, Requantize(x, integers([multiplier]), integers([shift]), None, out, 1)


def values_of(x: Op, op: Op, codes: list[int]) -> dict[Op, np.ndarray]:
    array = np.array(codes).reshape(-1, 1, 1)
    values = {x: array}
    for step in (*op.operands, op):
        if step not in values:
            values[step] = evaluate(step, [values[o] for o in step.operands])
    return values


def test_equal_results() -> None:
    x, op = layer(3, 4, Quantizer(INT8))
    values = values_of(x, op, list(range(-100, 100)))
    ties = explain(op, values, values[op])
    assert ties.ok and ties.worst == 0 and not ties.positions.size


def test_next_to_a_tie_and_away_from_it() -> None:
    """2**23 + 1 over 2**24 is one part in 2**23 above a half: binary32 may round it down."""
    x, op = layer(1, 24, Quantizer(INT8))
    values = values_of(x, op, [(1 << 23) + 1, (1 << 23) + (1 << 18), 1 << 23])
    np.testing.assert_array_equal(values[op].ravel(), [6, 6, 5])
    ties = explain(op, values, np.array([5, 5, 6]).reshape(3, 1, 1))
    assert ties.positions.tolist() == [0, 1, 2]
    assert ties.explained.tolist() == [True, False, True]  # an exact tie may go either way


def test_a_tie_explains_one_step_only() -> None:
    x, op = layer(1, 24, Quantizer(INT8))
    values = values_of(x, op, [(1 << 23) + 1])
    ties = explain(op, values, np.array([4]).reshape(1, 1, 1))
    assert not ties.ok and ties.worst == 2


@pytest.mark.parametrize("rounding", ["floor", "ceil", "half_up", "trunc"])
def test_boundaries_follow_the_rounding(rounding: str) -> None:
    x, op = layer(1, 24, Quantizer(INT8, rounding))  # type: ignore[arg-type]
    whole, half = 1 << 24, 1 << 23
    values = values_of(x, op, [3 * whole, 3 * whole + half])
    ours = values[op].ravel().tolist()
    ties = explain(op, values, np.array([ours[0] + 1, ours[1] - 1]).reshape(2, 1, 1))
    at_whole = rounding == "ceil"
    at_half = rounding == "half_up"
    assert ties.explained.tolist() == [at_whole, at_half]


def test_saturated_codes_are_no_ties() -> None:
    x, op = layer(1, 4, Quantizer(INT8))
    values = values_of(x, op, [100_000])
    assert values[op].item() == 127
    assert not explain(op, values, np.array([126]).reshape(1, 1, 1)).ok


def test_operands_of_a_sum_count_by_themselves() -> None:
    """Two large numbers that cancel leave the rounding error of both."""
    x = Input("x", type=TensorType(Integer(32), (1, 1)))
    y = Input("y", type=TensorType(Integer(32), (1, 1)))
    total = Add(x, y)
    op = Requantize(total, integers([1]), integers([10]), None, Quantizer(INT8))
    values: dict[Op, np.ndarray] = {x: np.array([[[1 << 28]]]), y: np.array([[[(1 << 9) + 8 - (1 << 28)]]])}
    values[total] = values[x] + values[y]
    values[op] = evaluate(op, [values[total], *(o.data[None] for o in op.operands[1:])])  # type: ignore[attr-defined]
    assert values[op].item() == 6
    theirs = np.array([[[5]]])
    assert explain(op, values, theirs).ok
    values[x], values[y] = values[total], np.zeros_like(values[y])
    assert not explain(op, values, theirs).ok


def test_other_ops_that_round() -> None:
    x = Input("x", type=TensorType(Fixed(8, 4), (1, 1, 2, 3)))
    pool = AvgPool(x, (2, 3), out=Quantizer(Fixed(8, 4)))
    values: dict[Op, np.ndarray] = {x: np.array([1, 0, 1, 0, 1, 0]).reshape(1, 1, 1, 2, 3)}
    values[pool] = evaluate(pool, [values[x]])
    assert values[pool].item() == 0 and explain(pool, values, values[pool] + 1).ok  # 3 / 6
    values[x][..., 0] = 0
    values[pool] = evaluate(pool, [values[x]])
    assert not explain(pool, values, values[pool] + 1).ok
    cast = Cast(x, Quantizer(Fixed(6, 4)))
    values[cast] = evaluate(cast, [values[x]])
    assert not explain(cast, values, values[cast] + 1).explained.any()
    relu = Relu(x)
    with pytest.raises(TypeError, match="does not round"):
        explain(relu, {**values, relu: values[x]}, values[x] + 1)


def test_an_absolute_error_can_be_stated() -> None:
    x, op = layer(1, 24, Quantizer(INT8))
    values = values_of(x, op, [(1 << 23) + (1 << 18)])
    theirs = np.array([[[5]]])
    assert not explain(op, values, theirs).ok
    assert explain(op, values, theirs, absolute=0.02).ok
