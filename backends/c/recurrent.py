"""Recurrent layers in plain C: the state lies in the results for the last state, and is rounded to the format there."""

from __future__ import annotations

from collections.abc import Sequence

from edgec.backends.c.loops import affine
from edgec.backends.c.scalar import FLOATS, NUMBERS, Kind
from edgec.backends.c.writer import Writer
from edgec.formats import F16, Format
from edgec.ops import Gru, Lstm, Op, Rnn

Layer = Rnn | Gru | Lstm


def _load(fmt: Format, element: str) -> str:
    return f"@from_half({element})" if fmt == F16 else element


def _store(fmt: Format, value: str) -> str:
    return f"@to_half({value})" if fmt == F16 else value


class _Code:
    """What the three layers have in common: loops over steps `t`, sequences `n` and units `u`."""

    def __init__(self, w: Writer, op: Layer) -> None:
        self.w, self.op, self.fmt = w, op, op.h.format
        kind: Kind = FLOATS[self.fmt.dtype.name]  # type: ignore[assignment]
        self.type = NUMBERS[kind]
        self.suffix = "" if kind == "double" else "f"
        self.units = op.h.shape[1]
        self.y, self.h = w.views[w.step.results[0]], w.views[w.step.results[1]]

    def element(self, op: Op, *at: str) -> str:
        """The number of an operand at these indices."""
        name, strides, offset = self.w.source(op)
        return _load(self.fmt, f"{name}[{affine(list(zip(at, strides, strict=True)), offset)}]")

    def state(self, unit: str, which: int = 1) -> str:
        view = self.w.views[self.w.step.results[which]]
        return f"{self.w.results[which]}[{affine([('n', view.strides[0]), (unit, view.strides[1])], view.offset)}]"

    def old(self, unit: str, which: int = 1) -> str:
        return _load(self.fmt, self.state(unit, which))

    def made(self, unit: str) -> str:
        """The element of the first result."""
        terms = zip(("t", "n", unit), self.y.strides, strict=True)
        return f"y[{affine(list(terms), self.y.offset)}]"

    def begin(self, which: int, initial: Op) -> list[str]:
        """The initial state brought where the state lies."""
        name, strides, offset = self.w.source(initial)
        at = affine([("n", strides[0]), ("u", strides[1])], offset)
        inner = [f"for (int32_t u = 0; u < {self.units}; u++) {{ {self.state('u', which)} = {name}[{at}]; }}"]
        return [f"for (int32_t n = 0; n < {self.op.x.shape[1]}; n++) {{", *_deeper(inner), "}"]

    def row(self, gate: int) -> str:
        return f"u + {gate * self.units}" if gate else "u"

    def inputs(self, gates: Sequence[int]) -> list[str]:
        """Bias and weighted inputs of some gates, as g0, g1, ..."""
        op = self.op
        lines = [f"{self.type} g{g} = {self.element(op.b, f'({self.row(g)})')};" for g in gates]
        sums = [f"g{g} += v * {self.element(op.w, f'({self.row(g)})', 'k')};" for g in gates]
        value = f"const {self.type} v = {self.element(op.x, 't', 'n', 'k')};"
        return [*lines, *_over("k", op.x.shape[2], [value, *sums])]

    def states(self, gates: Sequence[int], value: str = "") -> list[str]:
        """The weighted states (or `value` of unit k) added to some gates."""
        sums = [f"g{g} += v * {self.element(self.op.r, f'({self.row(g)})', 'k')};" for g in gates]
        return _over("k", self.units, [f"const {self.type} v = {value or self.old('k')};", *sums])

    def activation(self, name: str, target: str, x: str) -> list[str]:
        """Statements that compute `target`, in double precision but for relu."""
        t = self.type
        if name == "relu":
            return [f"const {t} {target} = {x} > 0 ? {x} : 0;"]
        wide = f"{target}_wide"
        lines = [f"const double {wide} = (double)({x});"]
        if name == "sigmoid":
            lines.append(f"const double {target}_e = exp(-fabs({wide}));")
            value = f"{wide} >= 0 ? 1 / (1 + {target}_e) : {target}_e / (1 + {target}_e)"
        elif name == "hard_sigmoid":
            lines.append(f"const double {target}_l = 0.2 * {wide} + 0.5;")
            value = f"{target}_l < 0 ? 0 : {target}_l > 1 ? 1 : {target}_l"
        elif name == "tanh":
            value = f"tanh({wide})"
        else:
            value = f"{wide} / (1 + fabs({wide}))"
        return [*lines, f"const {t} {target} = ({t})({value});"]

    def loops(self, sequence: list[str]) -> list[str]:
        """All steps in order; `sequence` handles one sequence and leaves its states in y."""
        steps, sequences, _ = self.op.x.shape
        first = "s" if not self.op.reverse else f"{steps - 1} - s"
        keep = f"for (int32_t u = 0; u < {self.units}; u++) {{ {self.state('u')} = {self.made('u')}; }}"
        unused = [] if self.y.strides[0] else ["(void)t;"]
        inner = _over("n", sequences, [*sequence, keep])
        body = _over("s", steps, [f"const int32_t t = {first};", *unused, *inner])
        return ["  " + line for line in [*self.begin(1, self.op.h), *body]]


def _deeper(lines: Sequence[str]) -> list[str]:
    return ["  " + line for line in lines]


def _over(name: str, count: int, body: Sequence[str]) -> list[str]:
    return [f"for (int32_t {name} = 0; {name} < {count}; {name}++) {{", *_deeper(body), "}"]


def rnn(w: Writer, op: Rnn) -> list[str]:
    c = _Code(w, op)
    unit = [*c.inputs([0]), *c.states([0]), *c.activation(op.activations[0], "h", "g0")]
    return c.loops(_over("u", c.units, [*unit, f"{c.made('u')} = {_store(c.fmt, 'h')};"]))


def lstm(w: Writer, op: Lstm) -> list[str]:
    c = _Code(w, op)
    gates, cell, output = op.activations
    unit = [*c.inputs(range(4)), *c.states(range(4))]
    for name, gate in (("enter", 0), ("leave", 1), ("forget", 2)):
        unit += c.activation(gates, name, f"g{gate}")
    unit += c.activation(cell, "candidate", "g3")
    kept, added = f"const {c.type} kept = forget * {c.old('u', 2)};", f"const {c.type} added = enter * candidate;"
    unit += [kept, added, f"{c.state('u', 2)} = {_store(c.fmt, 'kept + added')};"]
    unit += c.activation(output, "h", c.old("u", 2))
    unit.append(f"{c.made('u')} = {_store(c.fmt, 'leave * h')};")
    return ["  " + line for line in c.begin(2, op.c)] + c.loops(_over("u", c.units, unit))


def gru(w: Writer, op: Gru) -> list[str]:
    c = _Code(w, op)
    gates, candidate = op.activations
    mixed = f"const {c.type} mixed = (1 - update) * n_ + update * {c.old('u')};"
    last = [mixed, f"{c.made('u')} = {_store(c.fmt, 'mixed')};"]
    if op.rb is not None:
        unit = [*c.inputs(range(3)), *c.states([0, 1])]
        unit += [*c.activation(gates, "update", "g0"), *c.activation(gates, "reset", "g1")]
        unit += [f"const {c.type} given = g2;", f"g2 = {c.element(op.rb, 'u')};", *c.states([2])]
        unit += [*c.activation(candidate, "n_", "given + reset * g2"), *last]
        return c.loops(_over("u", c.units, unit))
    first = [*c.inputs([0, 1]), *c.states([0, 1])]
    first += [*c.activation(gates, "update", "g0"), *c.activation(gates, "reset", "g1")]
    first += ["scratch[u] = update;", f"scratch[u + {c.units}] = reset * {c.old('u')};"]
    second = [*c.inputs([2]), *c.states([2], f"scratch[k + {c.units}]"), f"const {c.type} update = scratch[u];"]
    second += [*c.activation(candidate, "n_", "g2"), *last]
    return c.loops([*_over("u", c.units, first), *_over("u", c.units, second)])
