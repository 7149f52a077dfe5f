"""Recurrent layers in plain C: the state lies in the results for the last state, and is rounded to the format there."""

from __future__ import annotations

from collections.abc import Sequence

from edgec.backends.c.loops import affine
from edgec.backends.c.scalar import FLOATS, NUMBERS, Kind
from edgec.backends.c.single import CALLS
from edgec.backends.c.writer import Writer
from edgec.formats import F16, F32, Format
from edgec.ops import Gru, Lstm, Op, Rnn

Layer = Rnn | Gru | Lstm


def _load(fmt: Format, element: str) -> str:
    return f"@from_half({element})" if fmt == F16 else element


def _store(fmt: Format, value: str) -> str:
    return f"@to_half({value})" if fmt == F16 else value


class RecurrentCode:
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
        return [f"for (int32_t n = 0; n < {self.op.x.shape[1]}; n++) {{", *deeper(inner), "}"]

    def row(self, gate: int) -> str:
        return f"u + {gate * self.units}" if gate else "u"

    def inputs(self, gates: Sequence[int]) -> list[str]:
        """Bias and weighted inputs of some gates, as g0, g1, ..."""
        op = self.op
        lines = [f"{self.type} g{g} = {self.element(op.b, f'({self.row(g)})')};" for g in gates]
        sums = [f"g{g} += v * {self.element(op.w, f'({self.row(g)})', 'k')};" for g in gates]
        value = f"const {self.type} v = {self.element(op.x, 't', 'n', 'k')};"
        return [*lines, *over("k", op.x.shape[2], [value, *sums])]

    def states(self, gates: Sequence[int], value: str = "") -> list[str]:
        """The weighted states (or `value` of unit k) added to some gates."""
        sums = [f"g{g} += v * {self.element(self.op.r, f'({self.row(g)})', 'k')};" for g in gates]
        return over("k", self.units, [f"const {self.type} v = {value or self.old('k')};", *sums])

    def activation(self, name: str, target: str, x: str) -> list[str]:
        """Statements that compute `target`, in double precision but for relu and where single precision does."""
        t = self.type
        if self.fmt == F32 and name in CALLS and self.op in self.w.single:
            return [f"const float {target} = {CALLS[name].format(x=f'({x})')};"]
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
        inner = over("n", sequences, [*sequence, keep])
        body = over("s", steps, [f"const int32_t t = {first};", *unused, *inner])
        return ["  " + line for line in [*self.begin(1, self.op.h), *body]]

    def rnn(self, ahead: list[str], unit: list[str]) -> list[str]:
        """A layer of one gate: statements in front of the units of a sequence, and those that make g0 of a unit."""
        unit = [
            *unit,
            *self.activation(self.op.activations[0], "h", "g0"),
            f"{self.made('u')} = {_store(self.fmt, 'h')};",
        ]
        return self.loops([*ahead, *over("u", self.units, unit)])

    def lstm(self, ahead: list[str], unit: list[str]) -> list[str]:
        """The same of a layer of four gates, g0 .. g3."""
        op = self.op
        assert isinstance(op, Lstm)
        gates, cell, output = op.activations
        unit = list(unit)
        for name, gate in (("enter", 0), ("leave", 1), ("forget", 2)):
            unit += self.activation(gates, name, f"g{gate}")
        unit += self.activation(cell, "candidate", "g3")
        unit.append(f"const {self.type} kept = forget * {self.old('u', 2)};")
        unit.append(f"const {self.type} added = enter * candidate;")
        unit.append(f"{self.state('u', 2)} = {_store(self.fmt, 'kept + added')};")
        unit += self.activation(output, "h", self.old("u", 2))
        unit.append(f"{self.made('u')} = {_store(self.fmt, 'leave * h')};")
        begin = ["  " + line for line in self.begin(2, op.c)]
        return begin + self.loops([*ahead, *over("u", self.units, unit)])

    def gru_of_states(self, ahead: list[str], unit: list[str]) -> list[str]:
        """A layer whose reset gate multiplies weighted states: `unit` makes g0, g1, the candidate's weighted inputs
        `given` and its weighted states g2."""
        gates, candidate = self.op.activations
        unit = [*unit, *self.activation(gates, "update", "g0"), *self.activation(gates, "reset", "g1")]
        unit += [*self.activation(candidate, "n_", "given + reset * g2"), *self._mixed()]
        return self.loops([*ahead, *over("u", self.units, unit)])

    def gru_of_reset(
        self, ahead: list[str], first: list[str], between: list[str], second: list[str], kept: int, reset: int
    ) -> list[str]:
        """A layer whose reset gate multiplies states: `first` makes g0 and g1, `second` g2. Update gates lie in scratch
        memory from `kept` on, reset states from `reset` on."""
        gates, candidate = self.op.activations
        first = [*first, *self.activation(gates, "update", "g0"), *self.activation(gates, "reset", "g1")]
        first += [f"scratch[u + {kept}] = update;", f"scratch[u + {reset}] = reset * {self.old('u')};"]
        second = [*second, f"const {self.type} update = scratch[u + {kept}];"]
        second += [*self.activation(candidate, "n_", "g2"), *self._mixed()]
        return self.loops([*ahead, *over("u", self.units, first), *between, *over("u", self.units, second)])

    def _mixed(self) -> list[str]:
        mixed = f"const {self.type} mixed = (1 - update) * n_ + update * {self.old('u')};"
        return [mixed, f"{self.made('u')} = {_store(self.fmt, 'mixed')};"]


def deeper(lines: Sequence[str]) -> list[str]:
    return ["  " + line for line in lines]


def over(name: str, count: int, body: Sequence[str]) -> list[str]:
    return [f"for (int32_t {name} = 0; {name} < {count}; {name}++) {{", *deeper(body), "}"]


def rnn(w: Writer, op: Rnn) -> list[str]:
    c = RecurrentCode(w, op)
    return c.rnn([], [*c.inputs([0]), *c.states([0])])


def lstm(w: Writer, op: Lstm) -> list[str]:
    c = RecurrentCode(w, op)
    return c.lstm([], [*c.inputs(range(4)), *c.states(range(4))])


def gru(w: Writer, op: Gru) -> list[str]:
    c = RecurrentCode(w, op)
    if op.rb is not None:
        unit = [*c.inputs(range(3)), *c.states([0, 1]), f"const {c.type} given = g2;", f"g2 = {c.element(op.rb, 'u')};"]
        return c.gru_of_states([], [*unit, *c.states([2])])
    first, second = [*c.inputs([0, 1]), *c.states([0, 1])], [*c.inputs([2]), *c.states([2], f"scratch[k + {c.units}]")]
    return c.gru_of_reset([], first, [], second, 0, c.units)
