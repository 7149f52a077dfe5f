"""A gate netlist in the order of evaluation, with the load of every net, for a library with or without adder cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgec.backend import AND, AO22, FULL_ADDER, HALF_ADDER, INVERTER, MAJORITY, MUX, TABLE, XOR, GateNetlist

OPERANDS = np.array([2, 2, 3, 4, 3, 2, 3, 1, 3])
"""How many operands a gate of each kind reads."""


@dataclass(frozen=True, eq=False)
class Levelled:
    """`netlist` as steps: gates of one kind that are ready together, or instances of one child, operands before users.

    `fanout` [nets, kinds]: how many inputs of gates of each kind a net drives, those inside children included, and in
    a child what its outputs drive outside, the mean of its instances;
    `driver`: the kind of gate that drives a net and the output, 2 * kind + output; -1 for inputs, -2 for children."""

    netlist: GateNetlist
    steps: tuple[tuple[int, NDArray[np.int64]], ...]
    children: tuple[Levelled, ...]
    fanout: NDArray[np.float64]
    driver: NDArray[np.int8]

    @cached_property
    def gates(self) -> int:
        """All gates, those inside children as often as these occur."""
        return len(self.netlist.kinds) + sum(child.gates for child in self.children)


CHILD = -1
"""The kind of a step whose numbers are positions in `children`."""


def levelled(
    netlist: GateNetlist, adder_cells: bool = True, known: dict[int, tuple[GateNetlist, Levelled]] | None = None
) -> Levelled:
    """`netlist` in order. Adder cells take their inputs as they are, so that inverted ones need inverters; without
    `adder_cells` full and half adders are made of gates, (a ^ b) ^ c and three NANDs, which hide inversions.

    `known` are netlists that are done, by their id; it grows."""
    known = {} if known is None else known
    if id(netlist) not in known:
        known[id(netlist)] = (netlist, _loaded_outside(_alone(netlist, adder_cells, {})))
    return known[id(netlist)][1]


def _alone(netlist: GateNetlist, adder_cells: bool, known: dict[int, Levelled]) -> Levelled:
    """`netlist` in order, without what the outputs of its children drive."""
    if id(netlist) not in known:
        flat = with_inverters(netlist) if adder_cells else without_adders(netlist)
        children = tuple(_alone(inner, adder_cells, known) for inner, _, _ in flat.children)
        known[id(netlist)] = Levelled(flat, _steps(flat), children, _fanout(flat, children), _drivers(flat))
    return known[id(netlist)]


def _loaded_outside(levels: Levelled) -> Levelled:
    """`levels` with the loads of the outputs of children inside these; instances of one netlist stay one object."""
    loads: dict[int, list[NDArray[np.float64]]] = {}
    for child, (_, _, driven) in zip(levels.children, levels.netlist.children, strict=True):
        outside = np.zeros_like(child.fanout)
        np.add.at(outside, child.netlist.outputs >> 1, levels.fanout[driven])
        loads.setdefault(id(child), []).append(outside)
    made = {
        id(child): _loaded_outside(replace(child, fanout=child.fanout + np.mean(loads[id(child)], axis=0)))
        for child in {id(c): c for c in levels.children}.values()
    }
    return replace(levels, children=tuple(made[id(child)] for child in levels.children))


def without_adders(n: GateNetlist) -> GateNetlist:
    """The same function with gates in the place of adder cells."""
    full, half = np.flatnonzero(n.kinds == FULL_ADDER), np.flatnonzero(n.kinds == HALF_ADDER)
    rest = np.flatnonzero((n.kinds != FULL_ADDER) & (n.kinds != HALF_ADDER))
    kinds, operands, results = [n.kinds[rest]], [n.operands[rest]], [n.results[rest]]

    def put(kind: int, a: NDArray, b: NDArray, out: NDArray) -> None:
        kinds.append(np.full(len(a), kind, np.int8))
        operands.append(np.stack([a, b, np.zeros_like(a), np.zeros_like(a)], axis=1))
        results.append(np.stack([out, np.full_like(out, -1)], axis=1))

    a, b, c, _ = n.operands[full].T
    first = n.nets + np.arange(3 * len(full)).reshape(3, -1)
    either, both, through = first
    put(XOR, a, b, either)
    put(XOR, 2 * either, c, n.results[full, 0])
    put(AND, a, b, both)
    put(AND, 2 * either, c, through)
    # carry = both or through; its literal is true, so the AND of the inverted ones is inverted once more below
    carry = n.nets + 3 * len(full) + np.arange(len(full))
    put(AND, 2 * both ^ 1, 2 * through ^ 1, carry)
    a, b = n.operands[half, 0], n.operands[half, 1]
    put(XOR, a, b, n.results[half, 0])
    put(AND, a, b, n.results[half, 1])
    polarity = np.arange(n.nets + 4 * len(full), dtype=np.int64) * 2
    used = n.results[full, 1] >= 0
    polarity[n.results[full, 1][used]] = 2 * carry[used] ^ 1

    def renamed(literals: NDArray) -> NDArray:
        return polarity[literals >> 1] ^ (literals & 1)

    joined = np.concatenate(operands)
    children = tuple((inner, renamed(read), driven) for inner, read, driven in n.children)
    return GateNetlist(
        n.nets + 4 * len(full),
        n.inputs,
        renamed(n.outputs),
        np.concatenate(kinds),
        renamed(joined),
        np.concatenate(results),
        children,
    )


def with_inverters(n: GateNetlist) -> GateNetlist:
    """`n` with an inverter for every net that an adder, a child or an output wants inverted, unless a gate drives it
    that can give it so."""
    adders = np.flatnonzero((n.kinds == FULL_ADDER) | (n.kinds == HALF_ADDER))
    gates = np.isin(n.kinds, (AND, XOR, AO22, MUX, MAJORITY, TABLE))
    wanted = np.zeros(n.nets, bool)
    true = np.zeros(n.nets, bool)
    groups = [n.operands[adders].ravel(), n.outputs, *(read for _, read, _ in n.children)]
    for literals in groups:
        wanted[literals[(literals & 1).astype(bool)] >> 1] = True
        true[literals[~(literals & 1).astype(bool)] >> 1] = True
    wanted[0] = False
    flexible = np.zeros(n.nets, bool)
    flexible[n.results[gates, 0]] = True
    nets = np.flatnonzero(wanted & ~(flexible & ~true))
    replaced = np.arange(2 * n.nets, dtype=np.int64)
    replaced[2 * nets + 1] = 2 * (n.nets + np.arange(len(nets)))
    operands = n.operands.copy()
    operands[adders] = replaced[operands[adders]]
    zeros = np.zeros((len(nets), 3), np.int64)
    return GateNetlist(
        n.nets + len(nets),
        n.inputs,
        replaced[n.outputs],
        np.concatenate([n.kinds, np.full(len(nets), INVERTER, np.int8)]),
        np.concatenate([operands, np.concatenate([2 * nets[:, None], zeros], axis=1)]),
        np.concatenate([n.results, np.stack([n.nets + np.arange(len(nets)), np.full(len(nets), -1)], axis=1)]),
        tuple((inner, replaced[read], driven) for inner, read, driven in n.children),
    )


def _edges(n: GateNetlist) -> tuple[NDArray, NDArray, NDArray]:
    """(reader, net) of every pin that reads, and the node that drives each net (-1: none); children behind gates."""
    count = len(n.kinds)
    reads = OPERANDS[n.kinds]
    mask = np.arange(4)[None, :] < reads[:, None]
    readers = [np.repeat(np.arange(count), reads)]
    nets = [(n.operands >> 1)[mask]]
    driver = np.full(n.nets, -1, np.int64)
    gate, output = np.nonzero(n.results >= 0)
    driver[n.results[gate, output]] = gate
    for k, (_, read, driven) in enumerate(n.children):
        readers.append(np.full(len(read), count + k))
        nets.append(read >> 1)
        driver[driven] = count + k
    return np.concatenate(readers), np.concatenate(nets), driver


def _steps(n: GateNetlist) -> tuple[tuple[int, NDArray[np.int64]], ...]:
    reader, net, driver = _edges(n)
    nodes = len(n.kinds) + len(n.children)
    inner = driver[net] >= 0
    reader, source = reader[inner], driver[net[inner]]
    waiting = np.bincount(reader, minlength=nodes)
    order = np.argsort(source, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=nodes))])
    sinks = reader[order]
    kinds = np.concatenate([n.kinds.astype(np.int64), 100 + _child_groups(n)])
    steps: list[tuple[int, NDArray[np.int64]]] = []
    frontier = np.flatnonzero(waiting == 0)
    placed = 0
    while len(frontier):
        placed += len(frontier)
        for kind in np.unique(kinds[frontier]):
            chosen = frontier[kinds[frontier] == kind]
            steps.append((int(kind), chosen) if kind < 100 else (CHILD, chosen - len(n.kinds)))
        lengths = start[frontier + 1] - start[frontier]
        at = np.repeat(start[frontier] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        reached = sinks[at + np.arange(len(at))]
        waiting -= np.bincount(reached, minlength=nodes)
        reached = np.unique(reached)
        frontier = reached[waiting[reached] == 0]
    if placed != nodes:
        raise ValueError(f"a combinational loop through {nodes - placed} cells")
    return tuple(steps)


def _child_groups(n: GateNetlist) -> NDArray[np.int64]:
    """A number for each child, the same for instances of one netlist."""
    known: dict[int, int] = {}
    return np.array([known.setdefault(id(inner), len(known)) for inner, _, _ in n.children], np.int64)


def _fanout(n: GateNetlist, children: tuple[Levelled, ...]) -> NDArray[np.float64]:
    fanout = np.zeros((n.nets, len(OPERANDS)))
    reads = OPERANDS[n.kinds]
    mask = np.arange(4)[None, :] < reads[:, None]
    np.add.at(fanout, ((n.operands >> 1)[mask], np.repeat(n.kinds.astype(np.int64), reads)), 1)
    for child, (_, read, _) in zip(children, n.children, strict=True):
        np.add.at(fanout, read >> 1, child.fanout[child.netlist.inputs])
    return fanout


def _drivers(n: GateNetlist) -> NDArray[np.int8]:
    driver = np.full(n.nets, -1, np.int8)
    for output in range(2):
        made = n.results[:, output] >= 0
        driver[n.results[made, output]] = 2 * n.kinds[made] + output
    for _, _, driven in n.children:
        driver[driven] = -2
    return driver
