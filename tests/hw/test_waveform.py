"""The timed simulation of estimates: pulses, glitches, loads, and netlists with and without adder cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.backend import AND, FULL_ADDER, XOR, GateNetlist
from edgec.hw.estimate.levelled import levelled
from edgec.hw.estimate.waveform import late, toggle


def netlist(
    inputs: int, gates: list[tuple[int, list[int], list[int]]], outputs: list[int], children: tuple = ()
) -> GateNetlist:
    """Gates as (kind, operand literals, result nets); inputs are the nets 1 .. inputs."""
    operands, results = np.zeros((len(gates), 4), np.int64), np.full((len(gates), 2), -1, np.int64)
    for i, (_, read, made) in enumerate(gates):
        operands[i, : len(read)], results[i, : len(made)] = read, made
    nets = 1 + max([inputs, *(n for _, _, made in gates for n in made)])
    kinds = np.array([kind for kind, _, _ in gates], np.int8)
    return GateNetlist(nets, np.arange(1, inputs + 1), np.array(outputs), kinds, operands, results, children)


def simulate(
    n: GateNetlist, before: list[int], after: list[int], delays: dict[int, int], times: int = 12, cells: bool = True
):
    """Toggles and outputs for one pair of input values, the same in all lanes."""
    full = np.uint64(0xFFFFFFFFFFFFFFFF)
    values = np.zeros((len(before), times, 1), np.uint64)
    values[:, 0, 0] = [full * np.uint64(b) for b in before]
    values[:, 1:, 0] = np.array([full * np.uint64(b) for b in after])[:, None]

    def delay(levels: object) -> np.ndarray:
        nets = levels.netlist.nets  # type: ignore[attr-defined]
        return np.array([delays.get(i, 1) for i in range(nets)])

    return toggle(levelled(n, cells), delay, values)


def test_a_late_inverted_input_makes_a_glitch() -> None:
    """a and (not a, three quanta late): a pulse of three quanta, unless the gate needs as long as that."""
    late_copy = (XOR, [2 * 1, 2 * 2], [3])  # input 2 holds a 0
    n = netlist(2, [late_copy, (AND, [2 * 1, 2 * 3 ^ 1], [4])], [2 * 4])
    toggles, outputs = simulate(n, [0, 0], [1, 0], {3: 3, 4: 1})
    assert toggles.transitions[4] == 2 * 64 and toggles.useful[4] == 0
    assert [int(v) & 1 for v in outputs[0, :, 0]] == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    toggles, _ = simulate(n, [0, 0], [1, 0], {3: 3, 4: 3})
    assert toggles.transitions[4] == 0


def naive(values: list[int], width: int) -> list[int]:
    """Ones not longer than `width` vanish, then zeros, then all comes later."""
    kept = list(values)
    for level in (1, 0):
        start = 0
        while start < len(kept):
            end = start
            while end < len(kept) and kept[end] == kept[start]:
                end += 1
            inside = start > 0 and end < len(kept)
            if kept[start] == level and inside and end - start <= width:
                kept[start:end] = [1 - level] * (end - start)
                start = max(start - 1, 0)
                while start > 0 and kept[start - 1] == kept[start]:
                    start -= 1
            else:
                start = end
    return [values[0]] * width + kept[: len(kept) - width]


@given(st.lists(st.integers(0, 1), min_size=12, max_size=40), st.integers(1, 6))
def test_pulses_not_longer_than_the_delay_vanish(values: list[int], width: int) -> None:
    padded = [values[0]] * 8 + values + [values[-1]] * 8
    words = np.array(padded, np.uint64).reshape(1, -1, 1) * np.uint64(0xFFFFFFFFFFFFFFFF)
    found = late(words, width)[0, :, 0] & np.uint64(1)
    assert found.tolist() == naive(padded, width)


@pytest.mark.parametrize("values", [(a, b, c, d) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1)])
def test_adders_of_gates_add_the_same(values: tuple[int, int, int, int]) -> None:
    """Two full adders in a row, one operand inverted, with cells and with gates."""
    first = (FULL_ADDER, [2 * 1, 2 * 2 ^ 1, 2 * 3], [5, 6])
    second = (FULL_ADDER, [2 * 5, 2 * 6 ^ 1, 2 * 4], [7, 8])
    n = netlist(4, [second, first], [2 * 7, 2 * 8, 2 * 6 ^ 1])  # the order does not matter
    a, b, c, d = values
    s, carry = (a + (1 - b) + c) & 1, (a + (1 - b) + c) >> 1
    total = s + (1 - carry) + d
    for cells in (True, False):
        _, outputs = simulate(n, [0, 0, 0, 0], list(values), {}, cells=cells)
        assert [int(v) & 1 for v in outputs[:, -1, 0]] == [total & 1, total >> 1, 1 - carry]


def test_children_side_by_side_are_counted_together() -> None:
    inner = netlist(2, [(XOR, [2, 4], [3])], [6])
    made = ((inner, np.array([2, 4]), np.array([3])), (inner, np.array([4, 6]), np.array([4])))
    nothing = netlist(2, [], [])
    outer = replace(nothing, nets=5, outputs=np.array([8]), children=made)
    toggles, outputs = simulate(outer, [0, 0], [1, 0], {})
    assert int(outputs[0, -1, 0]) & 1 == 1  # 0 ^ (1 ^ 0)
    (child,) = toggles.children
    assert child.instances == 2 and child.transitions[3] == 2 * 64
    fanout = levelled(outer).fanout
    assert fanout[2, XOR] == 2 and fanout[3, XOR] == 1


def test_a_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="loop"):
        levelled(netlist(1, [(AND, [2, 6], [2]), (AND, [4, 2], [3])], [4]))
