"""Timed simulation of a gate netlist, many pairs of frames at once: how often every net toggles, glitches included.

All inputs change at time 0 from the values of one frame to those of the next. A net is the list of its values at every
quantum of time, a bit of a word for each pair; a gate is a few word operations on whole levels of gates at once, then a
shift by its delay. Pulses not longer than the delay vanish in the gate, as in the gate-level simulator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.backend import AND, AO22, FULL_ADDER, HALF_ADDER, INVERTER, MAJORITY, MUX, TABLE, XOR, GateNetlist
from edgec.hw.estimate.levelled import CHILD, OPERANDS, Levelled

Words = NDArray[np.unsignedinteger]
CHUNK = 1 << 22
"""Words of a step that are worked on at once."""


@dataclass(frozen=True, eq=False)
class Toggles:
    """By net of a netlist: transitions and those that remain (`useful`), summed over all pairs and all instances.

    `children` has those inside each kind of child, all its instances together."""

    levelled: Levelled
    transitions: NDArray[np.int64]
    useful: NDArray[np.int64]
    instances: int
    children: tuple[Toggles, ...]

    def walk(self) -> list[Toggles]:
        return [self, *(t for child in self.children for t in child.walk())]


Delays = Callable[[Levelled], NDArray[np.int64]]
"""The delay of the gate that drives each net, in quanta, at least 1."""


def toggle(levels: Levelled, delays: Delays, given: Words, margin: int = 1) -> tuple[Toggles, Words]:
    """Simulate the values `given` [inputs, times, K], a bit for each pair of frames; before time 0 they are settled.

    A pulse must be longer than a gate's delay by `margin` quanta, or it vanishes. Gives the toggles and the values of
    the outputs [outputs, times, K]."""
    return _run(levels, delays, given, margin, 1)


def _run(levels: Levelled, delays: Delays, given: Words, margin: int, instances: int) -> tuple[Toggles, Words]:
    n = levels.netlist
    _, times, words = given.shape
    waves = np.zeros((n.nets, times, words), given.dtype)
    waves[n.inputs] = given
    delay = delays(levels)
    inner: dict[int, list[Toggles]] = {}
    for kind, chosen in levels.steps:
        if kind == CHILD:
            _children(levels, delays, waves, chosen, margin, instances, inner)
            continue
        per = max(CHUNK // (times * words * OPERANDS[kind]), 1)
        for start in range(0, len(chosen), per):
            _gates(n, waves, kind, chosen[start : start + per], delay, margin)
    changes = waves[:, 1:] ^ waves[:, :-1]
    transitions = count(changes)
    useful = count(waves[:, :1] ^ waves[:, -1:])
    merged = tuple(_merge(parts) for parts in inner.values())
    return Toggles(levels, transitions, useful, instances, merged), _read(waves, n.outputs)


def _children(
    levels: Levelled,
    delays: Delays,
    waves: Words,
    chosen: NDArray[np.int64],
    margin: int,
    instances: int,
    inner: dict[int, list[Toggles]],
) -> None:
    """Instances of one child side by side, as further words."""
    n = levels.netlist
    child = levels.children[chosen[0]]
    _, times, words = waves.shape
    per = max(4 * CHUNK // (times * words * child.netlist.nets), 1)
    for start in range(0, len(chosen), per):
        some = chosen[start : start + per]
        read = np.stack([n.children[k][1] for k in some])
        given = _read(waves, read.ravel()).reshape(*read.shape, times, words)
        given = np.ascontiguousarray(given.transpose(1, 2, 0, 3)).reshape(read.shape[1], times, len(some) * words)
        toggles, results = _run(child, delays, given, margin, instances * len(some))
        results = results.reshape(len(results), times, len(some), words)
        for i, k in enumerate(some):
            waves[n.children[k][2]] = results[:, :, i]
        inner.setdefault(id(child), []).append(toggles)


def _merge(parts: list[Toggles]) -> Toggles:
    if len(parts) == 1:
        return parts[0]
    return Toggles(
        parts[0].levelled,
        np.sum([p.transitions for p in parts], axis=0),
        np.sum([p.useful for p in parts], axis=0),
        sum(p.instances for p in parts),
        tuple(_merge(list(group)) for group in zip(*(p.children for p in parts), strict=True)),
    )


def _read(waves: Words, literals: NDArray[np.int64]) -> Words:
    values = waves[literals >> 1]
    inverted = (literals & 1).astype(bool)
    values[inverted] = ~values[inverted]
    return values


def _gates(
    n: GateNetlist, waves: Words, kind: int, chosen: NDArray[np.int64], delay: NDArray[np.int64], margin: int
) -> None:
    given = [_read(waves, n.operands[chosen, i]) for i in range(OPERANDS[kind])]
    for output, values in enumerate(_values(kind, given)):
        nets = n.results[chosen, output]
        for quanta in np.unique(delay[nets[nets >= 0]]):
            at = np.flatnonzero((nets >= 0) & (delay[nets] == quanta))
            waves[nets[at]] = late(values[at] if len(at) < len(nets) else values, int(quanta), margin)


def _values(kind: int, given: list[Words]) -> list[Words]:
    match kind:
        case k if k == AND:
            return [given[0] & given[1]]
        case k if k == INVERTER:
            return [~given[0]]
        case k if k == XOR:
            return [given[0] ^ given[1]]
        case k if k == HALF_ADDER:
            return [given[0] ^ given[1], given[0] & given[1]]
        case k if k in (MUX, TABLE):
            return [(given[0] & (given[1] ^ given[2])) ^ given[2]]
        case k if k == AO22:
            return [given[0] & given[1] | given[2] & given[3]]
        case k if k in (MAJORITY, FULL_ADDER):
            a, b, c = given
            half = a ^ b
            carry = (half & c) | (a & b)
            return [carry] if kind == MAJORITY else [half ^ c, carry]
    raise AssertionError(kind)


def late(values: Words, quanta: int, margin: int = 1) -> Words:
    """`values` [gates, times, words] after a gate with a delay: pulses of less than `quanta` + `margin` vanish, all
    comes later.

    One as long as the delay is too short: the delays of both edges differ, which makes every other pulse shorter."""
    times, width = values.shape[1], quanta + margin
    # before the first value it has always been so
    kept = values = np.concatenate([np.repeat(values[:, :1], width - 1, axis=1), values], axis=1)
    for pulses in (np.bitwise_and, np.bitwise_or):  # pulses of ones, then of zeros
        other = np.bitwise_or if pulses is np.bitwise_and else np.bitwise_and
        shrunk = _window(kept, width, pulses, forward=True)
        kept = _window(shrunk, width, other, forward=False)
    kept = kept[:, width - 1 :]
    result = np.empty_like(kept)
    quanta = min(quanta, times)
    result[:, :quanta] = values[:, :1]
    result[:, quanta:] = kept[:, : times - quanta]
    return result


def _window(values: Words, width: int, join: np.ufunc, forward: bool) -> Words:
    """Each value joined with the `width` - 1 next ones (or the last ones); values go on beyond both ends."""
    result = values
    done = 1
    while done < width:
        step = min(done, width - done)
        moved = np.empty_like(result)
        if forward:
            moved[:, :-step] = result[:, step:]
            moved[:, -step:] = result[:, -1:]
        else:
            moved[:, step:] = result[:, :-step]
            moved[:, :step] = result[:, :1]
        result = join(result, moved)
        done += step
    return result


if hasattr(np, "bitwise_count"):

    def count(words: Words) -> NDArray[np.int64]:
        """Ones by row."""
        return np.bitwise_count(words).sum(axis=tuple(range(1, words.ndim)), dtype=np.int64)

else:  # numpy 1.26

    def count(words: Words) -> NDArray[np.int64]:
        """Ones by row."""
        flat = np.ascontiguousarray(words).reshape(len(words), -1).view(np.uint8)
        return _ONES[flat].sum(axis=1, dtype=np.int64)

    _ONES = np.array([i.bit_count() for i in range(256)], np.int64)
