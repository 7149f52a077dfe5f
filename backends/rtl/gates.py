"""A circuit as cells on one-bit nets, as the netlist of cells has them: what estimators time and toggle.

Nets are numbers, net 0 is the constant 0. A *literal* is a net and a polarity, 2 * net + inverted: inversions cost
nothing here, as technology mapping hides most of them. Logic between adders is written the plain way; synthesis maps
it onto other gates of about the same number. Circuits inside a circuit stay apart, so that one neuron is expanded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgec.backend import AND, AO22, FULL_ADDER, HALF_ADDER, MAJORITY, MUX, TABLE, XOR, GateNetlist, Logic
from edgec.backends.rtl.circuit.arith import CARRY, SUM, Add, AtLeast, FullAdder, HalfAdder
from edgec.backends.rtl.circuit.circuit import Circuit
from edgec.backends.rtl.circuit.columns import Bit, ColumnSum
from edgec.backends.rtl.circuit.interval import Interval
from edgec.backends.rtl.circuit.logic import AndOr, Bitwise, Lut, Mux, Reduce
from edgec.backends.rtl.circuit.state import Instance, Register
from edgec.backends.rtl.circuit.wire import Cast, Concat, Const, Get, Input, Slice, Wire
from edgec.backends.rtl.lower import format_interval
from edgec.backends.rtl.modules import Module

Literals = NDArray[np.int64]
ZERO, ONE = 0, 1


def gate_netlist(circuit: Circuit) -> GateNetlist:
    """The cells of a combinational `circuit`; `ValueError` where it has registers."""
    return _Expansion({}).netlist(circuit)


class _Gates:
    """Gates that are being made; every method takes and gives arrays of literals, constants folded."""

    def __init__(self) -> None:
        self.nets = 1
        self.kinds: list[NDArray] = []
        self.inputs: list[NDArray] = []
        self.outputs: list[NDArray] = []

    def fresh(self, count: int) -> Literals:
        """Literals of new nets."""
        self.nets += count
        return 2 * np.arange(self.nets - count, self.nets, dtype=np.int64)

    def put(self, kind: int, inputs: Sequence[Literals], outputs: Sequence[Literals | None]) -> None:
        """Gates of one kind on nets that exist (None: nobody reads the output)."""
        count = len(inputs[0])
        if not count:
            return
        given, made = np.zeros((count, 4), np.int64), np.full((count, 2), -1, np.int64)
        for i, literals in enumerate(inputs):
            given[:, i] = literals
        for i, literals in enumerate(outputs):
            if literals is not None:
                made[:, i] = literals >> 1
        self.kinds.append(np.full(count, kind, np.int8))
        self.inputs.append(given)
        self.outputs.append(made)

    def make(self, kind: int, *inputs: Literals) -> Literals:
        result = self.fresh(len(inputs[0]))
        self.put(kind, inputs, [result])
        return result

    def conj(self, a: Literals, b: Literals) -> Literals:
        """a and b."""
        a, b = np.broadcast_arrays(a, b)
        out = np.full(a.shape, -1, np.int64)
        out[b == ONE] = a[b == ONE]
        out[a == b] = a[a == b]
        out[a == ONE] = b[a == ONE]
        out[(a == ZERO) | (b == ZERO) | (a == b ^ 1)] = ZERO
        live = np.flatnonzero(out < 0)
        out[live] = self.make(AND, a[live], b[live])
        return out

    def disj(self, a: Literals, b: Literals) -> Literals:
        """a or b."""
        return self.conj(a ^ 1, b ^ 1) ^ 1

    def xor(self, a: Literals, b: Literals) -> Literals:
        a, b = np.broadcast_arrays(a, b)
        inverted = (a ^ b) & 1
        x, y = a & ~1, b & ~1
        out = np.full(a.shape, -1, np.int64)
        out[x == ZERO] = y[x == ZERO]
        out[y == ZERO] = x[y == ZERO]
        out[x == y] = ZERO
        live = np.flatnonzero(out < 0)
        out[live] = self.make(XOR, x[live], y[live])
        return out ^ inverted

    def mux(self, select: Literals, high: Literals, low: Literals) -> Literals:
        """`high` where `select` is 1, else `low`."""
        select, high, low = np.broadcast_arrays(select, high, low)
        out = np.empty(select.shape, np.int64)
        rest = np.ones(select.shape, bool)
        for where, value in (
            (lambda: high == low, lambda s, h, lo: h),
            (lambda: select == ONE, lambda s, h, lo: h),
            (lambda: select == ZERO, lambda s, h, lo: lo),
            (lambda: high == ZERO, lambda s, h, lo: self.conj(s ^ 1, lo)),
            (lambda: high == ONE, lambda s, h, lo: self.disj(s, lo)),
            (lambda: low == ZERO, lambda s, h, lo: self.conj(s, h)),
            (lambda: low == ONE, lambda s, h, lo: self.disj(s ^ 1, h)),
            (lambda: high == low ^ 1, lambda s, h, lo: self.xor(s, lo)),
            (lambda: np.ones(rest.shape, bool), lambda s, h, lo: self.make(MUX, s, h, lo)),
        ):
            at = np.flatnonzero(rest & where())
            if len(at):
                out[at] = value(select[at], high[at], low[at])
                rest[at] = False
        return out

    def ao22(self, a: Literals, b: Literals, c: Literals, d: Literals) -> Literals:
        """(a and b) or (c and d)."""
        a, b, c, d = np.broadcast_arrays(a, b, c, d)
        simple = np.logical_or.reduce([x <= ONE for x in (a, b, c, d)])
        out = np.empty(a.shape, np.int64)
        at = np.flatnonzero(simple)
        out[at] = self.disj(self.conj(a[at], b[at]), self.conj(c[at], d[at]))
        at = np.flatnonzero(~simple)
        out[at] = self.make(AO22, a[at], b[at], c[at], d[at])
        return out

    def tree(self, literals: Literals, kind: str) -> Literals:
        """All of them joined by "and", "or" or "xor" in a balanced tree, [1]."""
        join = {"and": self.conj, "or": self.disj, "xor": self.xor}[kind]
        while len(literals) > 1:
            half = len(literals) // 2
            literals = np.concatenate(
                [join(literals[: 2 * half : 2], literals[1 : 2 * half : 2]), literals[2 * half :]]
            )
        return literals

    def add(self, a: Literals, b: Literals, c: Literals) -> tuple[Literals, Literals]:
        """Full adder cells: sums and carries. Cells stay cells whatever is known of their inputs."""
        total, carry = self.fresh(len(a)), self.fresh(len(a))
        self.put(FULL_ADDER, (a, b, c), (total, carry))
        return total, carry

    def half(self, a: Literals, b: Literals) -> tuple[Literals, Literals]:
        total, carry = self.fresh(len(a)), self.fresh(len(a))
        self.put(HALF_ADDER, (a, b), (total, carry))
        return total, carry


class _Expansion:
    """Expands circuits, each once."""

    def __init__(self, done: dict[int, tuple[Circuit, GateNetlist]]) -> None:
        self.done = done

    def netlist(self, circuit: Circuit) -> GateNetlist:
        if id(circuit) in self.done:
            return self.done[id(circuit)][1]
        g = _Gates()
        by_input = {(w.port, w.index): g.fresh(w.width) for w in circuit.inputs}
        inputs = joined(by_input.values()) >> 1
        children: list[tuple[GateNetlist, Literals, NDArray[np.int64]]] = []
        literals: list[Any] = []
        for at, (node, operands) in enumerate(zip(circuit.nodes, circuit.operands, strict=True)):
            given = [literals[o] for o in operands]
            if isinstance(node, Input):
                result = by_input[node.port, node.index]
            elif isinstance(node, Get):
                result = given[0][node.index]
            elif isinstance(node, Instance):
                inner = self.netlist(node.circuit)
                fitted = [resized(given[i], node.args[i], port.width) for i, port in enumerate(node.circuit.inputs)]
                result = [g.fresh(w.width) for w in node.circuit.outputs]
                children.append((inner, joined(fitted), joined(result) >> 1))
            else:
                result = expand(g, node, given, circuit.used.get(at, frozenset()))
            literals.append(result)
        outputs = [literals[circuit.index[id(w)]] for w in circuit.outputs]
        made = GateNetlist(
            nets=g.nets,
            inputs=inputs,
            outputs=joined(outputs),
            kinds=np.concatenate(g.kinds) if g.kinds else np.zeros(0, np.int8),
            operands=np.concatenate(g.inputs) if g.inputs else np.zeros((0, 4), np.int64),
            results=np.concatenate(g.outputs) if g.outputs else np.zeros((0, 2), np.int64),
            children=tuple(children),
        )
        self.done[id(circuit)] = (circuit, made)
        return made


def joined(parts: Iterable[Literals]) -> Literals:
    """All literals behind each other; there may be none."""
    return np.concatenate([np.zeros(0, np.int64), *parts])


def resized(literals: Literals, wire: Wire, width: int) -> Literals:
    """The bits of a wire sign- or zero-extended, or cut, to `width`."""
    more = width - len(literals)
    if more <= 0:
        return literals[:width]
    return np.concatenate([literals, np.full(more, literals[-1] if wire.signed else ZERO)])


def expand(g: _Gates, node: Wire, given: list[Any], used: frozenset[int]) -> Any:
    """The literals of a node's result, a list of them where it has several."""
    match node:
        case Const():
            return np.array([node.raw >> i & 1 for i in range(node.width)], np.int64)
        case Slice():
            return given[0][node.lsb : node.lsb + node.count]
        case Concat():
            return np.concatenate(given)
        case Cast():
            return given[0][: node.width]
        case FullAdder():
            return _full_adders(g, given, used)
        case HalfAdder():
            return _half_adders(g, given, used, node.one)
        case Add():
            return _chain(g, node, given)
        case AtLeast():
            return _at_least(g, node, given)
        case ColumnSum():
            return _columns(g, node, given)
        case Bitwise():
            result = {"and": g.conj, "or": g.disj, "xor": g.xor}[node.base](*given)
            return result if node.base == node.kind else result ^ 1
        case AndOr():
            return g.ao22(*given)
        case Reduce():
            return g.tree(given[0], node.kind)
        case Mux():
            select, high, low = given
            return g.mux(select, resized(high, node.high, node.width), resized(low, node.low, node.width))
        case Lut():
            return _table(g, node, given[0])
        case Register():
            raise ValueError("a circuit with registers has no combinational netlist")
    raise TypeError(type(node).__name__)


def _full_adders(g: _Gates, given: list[Literals], used: frozenset[int]) -> list[Literals]:
    a, b, c = given
    if used == {SUM}:
        return [g.xor(g.xor(a, b), c)] * 2
    if used == {CARRY}:
        return [g.make(MAJORITY, a, b, c)] * 2
    return list(g.add(a, b, c))


def _half_adders(g: _Gates, given: list[Literals], used: frozenset[int], one: bool) -> list[Literals]:
    a, b = given
    if used == {SUM} or one:
        total = g.xor(a, b) ^ one
        return [total, g.disj(a, b) if one else total] if used != {CARRY} else [g.disj(a, b)] * 2
    if used == {CARRY}:
        return [g.conj(a, b)] * 2
    return list(g.half(a, b))


def _chain(g: _Gates, node: Add, given: list[Literals]) -> Literals:
    """The ripple chain, as `Add` writes it."""
    x = resized(given[0], node.x, node.width)
    y = resized(given[1], node.y, node.width) ^ int(node.subtract)
    carry = np.array([int(node.subtract)], np.int64)
    sums = []
    for i, kinds in enumerate(node.chain()):
        bits = [
            x[i : i + 1] if kinds[0] == "x" else np.array([int(kinds[0])], np.int64),
            y[i : i + 1] if kinds[1] == "x" else np.array([int(kinds[1])], np.int64),
            carry if kinds[2] == "x" else np.array([int(kinds[2])], np.int64),
        ]
        live = [b for b, k in zip(bits, kinds, strict=True) if k == "x"]
        one = kinds.count("1") % 2
        if i == node.width - 1 or len(live) < 2:
            sums.append(g.tree(np.concatenate(live), "xor") ^ one if live else np.array([one], np.int64))
            carry = live[0] if live else np.zeros(1, np.int64)
        elif len(live) == 3:
            total, carry = g.add(*live)
            sums.append(total)
        else:
            total, carry = _half_adders(g, live, frozenset({SUM, CARRY}), bool(one))
            sums.append(total)
    return np.concatenate(sums)


def _at_least(g: _Gates, node: AtLeast, given: list[Literals]) -> Literals:
    """x >= y: generate and propagate bit by bit, joined in a balanced tree, highest bits last; against a constant a
    chain of one gate a bit above its lowest 1, as synthesis makes it."""
    width = Interval.hull([node.x.interval, node.y.interval]).width
    x, y = resized(given[0], node.x, width), resized(given[1], node.y, width)
    if node.x.signed or node.y.signed:  # the sign counts the other way
        x, y = np.append(x[:-1], x[-1] ^ 1), np.append(y[:-1], y[-1] ^ 1)
    if (y < 2).all() or (x < 2).all():
        reached = np.array([ONE], np.int64)
        for a, b in zip(x, y, strict=True):
            generate = g.conj(np.array([a]), np.array([b]) ^ 1)
            reached = g.disj(generate, g.conj(reached, g.disj(np.array([a]), np.array([b]) ^ 1)))
        return reached
    generate, propagate = g.conj(x, y ^ 1), g.disj(x, y ^ 1)
    propagate[0], generate[0] = generate[0], propagate[0]  # equal numbers count: a carry comes in at the bottom
    propagate[0] = ZERO
    while len(generate) > 1:
        half = len(generate) // 2
        low, high = slice(0, 2 * half, 2), slice(1, 2 * half, 2)
        joined = g.disj(generate[high], g.conj(propagate[high], generate[low]))
        spread = g.conj(propagate[high], propagate[low])
        generate = np.concatenate([joined, generate[2 * half :]])
        propagate = np.concatenate([spread, propagate[2 * half :]])
    return generate


def _columns(g: _Gates, node: ColumnSum, given: list[Literals]) -> Literals:
    r = node.reduction
    nets = {"fs": g.fresh(len(r.full)), "fc": g.fresh(len(r.full))}
    nets |= {"hs": g.fresh(len(r.half)), "hc": g.fresh(len(r.half))}
    # a + b + 1: an exclusive nor, and an OR, which is an AND of inverted literals with an inverted result
    nets |= {"os": g.fresh(len(r.plus_one)), "oc": g.fresh(len(r.plus_one)) ^ 1}
    inverted: list[int] = []
    top = np.zeros(1, np.int64)

    def literal(bit: Bit) -> int:
        kind, index, place = bit
        if kind == "row":
            return int(given[index][place])
        if kind in ("one", "zero"):
            return int(kind == "one")
        if kind == "n":
            return inverted[index]
        return int(top[0]) if kind == "x" else int(nets[kind][index])

    # an inverter may read an adder and an adder an inverter: an inverted bit never reads a later inverter
    for bit in r.inverted:
        inverted.append(literal(bit) ^ 1)

    def column(bits: Sequence[tuple[Bit, ...]], at: int) -> Literals:
        return np.fromiter((literal(b[at]) for b in bits), np.int64, len(bits))

    g.put(FULL_ADDER, [column(r.full, i) for i in range(3)], [nets["fs"], nets["fc"]])
    g.put(HALF_ADDER, [column(r.half, i) for i in range(2)], [nets["hs"], nets["hc"]])
    if r.plus_one:
        a, b = column(r.plus_one, 0), column(r.plus_one, 1)
        g.put(XOR, [a, b ^ 1], [nets["os"]])
        g.put(AND, [a ^ 1, b ^ 1], [nets["oc"]])
    if r.top:
        top = g.tree(np.array([literal(b) for b in r.top], np.int64), "xor") ^ int(r.top_inverted)
    return np.array([literal(b) for b in r.result], np.int64)


def _table(g: _Gates, node: Lut, x: Literals) -> Literals:
    nodes, roots = node.diagram
    literals = [ZERO]

    def of(literal: int) -> Literals:
        return np.array([literals[literal >> 1] ^ (literal & 1)], np.int64)

    for variable, high, low in nodes:
        select = x[variable : variable + 1]
        literals.append(int((select if (high, low) == (1, 0) else g.make(TABLE, select, of(high), of(low)))[0]))
    return np.array([literals[r >> 1] ^ (r & 1) for r in roots], np.int64)


def module_logic(module: Module) -> Logic:
    """The netlist of a layer module, made when an estimator asks for it, and the tensors at its ports."""
    reads = [(signal.op, signal.interval.width) for signal in module.reads.values()]
    reads += [(constant, format_interval(constant.format).width) for constant in module.parameters.values()]
    writes = [(signal.op, signal.interval.width) for signal in module.drives.values()]
    return Logic(cache(lambda: gate_netlist(module.circuit)), tuple(reads), tuple(writes))
