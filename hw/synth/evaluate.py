"""A mapped netlist evaluated cycle by cycle, 64 independent lanes in every machine word, without delays.

All cells of one type and level are one vector operation, so that a cycle of 300,000 cells takes some ten milliseconds.
It says what a netlist computes; when and with how many glitches is the affair of the toggle simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgec.diagnostics import EdgecError
from edgec.hw.netlist import FlatNetlist
from edgec.hw.netlist.clocks import clock_network
from edgec.hw.netlist.levels import levels
from edgec.hw.synth.functions import monomials

Words = NDArray[np.uint64]
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class _Step:
    """One output of all cells of a type in a level: `out` = the polynomial of the nets `ins` (one row an input)."""

    out: NDArray[np.int32]
    ins: NDArray[np.int32]
    terms: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class _State:
    """All flip-flops of a type: the hidden nets of their state, input nets (one row a pin; the state is the row behind
    them), and data, clear and preset as polynomials (() where there is none)."""

    state: NDArray[np.int32]
    ins: NDArray[np.int32]
    data: tuple[tuple[int, ...], ...]
    clear: tuple[tuple[int, ...], ...]
    preset: tuple[tuple[int, ...], ...]

    @property
    def rows(self) -> NDArray[np.int32]:
        return np.concatenate([self.ins, self.state[None]])


class NetlistSimulator:
    """The state of a netlist: `values[net, word]`. All flip-flops start at 0, and have one clock.

    Raises E0215 for latches and several clocks, which this simulator does not have.
    """

    def __init__(self, netlist: FlatNetlist, words: int = 1) -> None:
        self.netlist, self.words = netlist, words
        clock_network(netlist)  # one clock, or an error
        self.values: Words = np.zeros((netlist.net_count, words), np.uint64)
        self.values[1] = ALL
        self._steps = self._combinational()
        self._states: list[_State] = []
        self._outputs: list[_Step] = []
        self._sequential()

    def set_input(self, port: str, values: Words) -> None:
        """`values[bit, word]`, or [bit] for the same in every lane (0 or all ones)."""
        nets = self.netlist.ports[port].nets
        rows = values if values.ndim == 2 else np.broadcast_to(values[:, None], (len(nets), self.words))
        self.values[nets] = rows
        self.values[0], self.values[1] = 0, ALL

    def output(self, port: str) -> Words:
        """The values of a port, [bit, word]."""
        return self.values[self.netlist.ports[port].nets]

    def settle(self) -> None:
        """Let all combinational logic follow inputs and state."""
        v = self.values
        for step in self._steps:
            v[step.out] = _polynomial(v, step.ins, step.terms)

    def clock(self) -> None:
        """One rising edge of the clock, and settle again."""
        v = self.values
        following = [_polynomial(v, f.rows, f.data) for f in self._states]
        for flops, new in zip(self._states, following, strict=True):
            v[flops.state] = new
        self.asynchronous()
        self.settle()

    def asynchronous(self) -> None:
        """What clear and preset do to the state, and the outputs of the flip-flops."""
        v = self.values
        for flops in self._states:
            if flops.preset:
                v[flops.state] |= _polynomial(v, flops.rows, flops.preset)
            if flops.clear:
                v[flops.state] &= ~_polynomial(v, flops.rows, flops.clear)
        for step in self._outputs:
            v[step.out] = _polynomial(v, step.ins, step.terms)

    def _pins(self, kind: int, cells: NDArray, names: tuple[str, ...]) -> NDArray[np.int32]:
        """Nets of the named pins of cells of one type, one row a pin."""
        at = [self.netlist.pins[kind].index(name) for name in names]
        starts = self.netlist.pin_start[cells]
        return np.array([self.netlist.pin_net[starts + a] for a in at], np.int32).reshape(len(at), len(cells))

    def _combinational(self) -> list[_Step]:
        order = levels(self.netlist)
        steps = []
        keys = order.astype(np.int64) * len(self.netlist.types) + self.netlist.cell_type
        by_key = np.argsort(keys, kind="stable")
        found, starts = np.unique(keys[by_key], return_index=True)
        for key, cells in zip(found, np.split(by_key, starts[1:]), strict=True):
            kind = int(key) % len(self.netlist.types)
            cell = self.netlist.types[kind]
            if cell.sequential is not None:
                continue
            for output in cell.outputs.values():
                out = self._pins(kind, cells, (output.pin,))[0]
                used = out >= 0
                ins = self._pins(kind, cells[used], output.inputs)
                steps.append(_Step(out[used], ins, monomials(output.table, len(output.inputs))))
        return steps

    def _sequential(self) -> None:
        for kind, cell in enumerate(self.netlist.types):
            cells = np.flatnonzero(self.netlist.cell_type == kind)
            state = cell.sequential
            if state is None or not len(cells):
                continue
            if state.kind != "ff" or state.is_clock_gate:
                raise EdgecError("E0215", f"the netlist has latches or clock gates ({cell.name})", op=cell.name)
            hidden = len(self.values) + np.arange(len(cells), dtype=np.int32)
            self.values = np.concatenate([self.values, np.zeros((len(cells), self.words), np.uint64)])
            names = tuple(n for n in state.inputs if n in cell.pins and cell.pins[n].direction == "input")
            position = {n: i for i, n in enumerate(names)}
            number = [position.get(n, len(names)) for n in state.inputs]
            ins = self._pins(kind, cells, names)
            count = len(state.inputs)
            data, clear, preset = (
                () if table is None else _renumbered(monomials(table, count), number)
                for table in (state.data, state.clear, state.preset)
            )
            self._states.append(_State(hidden, ins, data, clear, preset))
            for output in cell.outputs.values():
                out = self._pins(kind, cells, (output.pin,))[0]
                used = out >= 0
                rows = np.array(
                    [hidden[used] if n not in position else ins[position[n]][used] for n in output.inputs], np.int32
                )
                self._outputs.append(_Step(out[used], rows, monomials(output.table, len(output.inputs))))


def _renumbered(terms: tuple[tuple[int, ...], ...], number: list[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(number[k] for k in term) for term in terms)


def _polynomial(values: Words, ins: NDArray, terms: tuple[tuple[int, ...], ...]) -> Words:
    """The exclusive or of products of rows of nets."""
    columns: dict[int, Words] = {}

    def column(k: int) -> Words:
        if k not in columns:
            columns[k] = values[ins[k]]
        return columns[k]

    shape = (ins.shape[1] if ins.ndim == 2 else 0, values.shape[1])
    total: Words | None = None
    for term in terms:
        if not term:
            product = np.full(shape, ALL)
        else:
            product = column(term[0])
            for k in term[1:]:
                product = product & column(k)
        total = product if total is None else total ^ product
    return np.zeros(shape, np.uint64) if total is None else total
