"""Recurrent layers: one direction, time first, the state an operand and a result.

    x [T, N, I], w [G·H, I], r [G·H, H], b [G·H], h (and c) [N, H]  ->  y [T, N, H], the last h (and c) [N, H]

T steps, N sequences, I inputs, H units, G gates whose rows lie behind each other as in ONNX. `reverse` walks from the
last step to the first; y[t] is always the state after step t was read. A bidirectional layer is two ops and a
`Concat`. All operands are floats of one format. The initial state is always an operand, so that a caller can
keep the state between calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgec.formats import TensorType, TupleType
from edgec.ops.base import Op, require, same_float

RECURRENT_ACTIVATIONS = ("sigmoid", "tanh", "relu", "hard_sigmoid", "softsign")
"""`hard_sigmoid` is clip(0.2 x + 0.5, 0, 1)."""


@dataclass(frozen=True, eq=False)
class _Recurrent(Op):
    x: Op
    w: Op
    r: Op
    b: Op
    h: Op

    gates: ClassVar[int]

    def _result(self, states: int, activations: tuple[str, ...]) -> TupleType:
        fmt = same_float(*self.operands)
        x, rows = self.x.shape, self.w.shape[0] if self.w.shape else 0
        require(len(x) == 3 and x[0] >= 1, f"a recurrent layer needs [steps, sequences, inputs], not {list(x)}")
        require(rows % self.gates == 0 and rows > 0, f"{rows} rows of weights for {self.gates} gates")
        units = rows // self.gates
        for name, operand, shape in (
            ("weights", self.w, (rows, x[2])),
            ("recurrent weights", self.r, (rows, units)),
            ("bias", self.b, (rows,)),
            ("state", self.h, (x[1], units)),
        ):
            require(operand.shape == shape, f"{name} {list(operand.shape)}, needs {list(shape)}")
        for name in activations:
            require(name in RECURRENT_ACTIVATIONS, f"unknown activation {name!r}")
        state = TensorType(fmt, (x[1], units))
        return TupleType((TensorType(fmt, (x[0], *state.shape)), *(state,) * states))


@dataclass(frozen=True, eq=False)
class Rnn(_Recurrent):
    """h' = f(W x + R h + b). Results: y, the last h."""

    activations: tuple[str, ...] = ("tanh",)
    reverse: bool = False
    gates: ClassVar[int] = 1

    def infer(self) -> TupleType:
        require(len(self.activations) == 1, "one activation: f")
        return self._result(1, self.activations)


@dataclass(frozen=True, eq=False)
class Gru(_Recurrent):
    """Gated recurrent unit; rows of the gates z (update), r (reset), n (candidate). Results: y, the last h.

    z, r = f(W x + R h + b);  n = g(Wn x + Rn (r * h) + bn);  h' = (1 - z) * n + z * h.
    With `linear_before_reset`: n = g(Wn x + r * (Rn h + rb) + bn), where `rb` is [H].
    """

    rb: Op | None = None
    linear_before_reset: bool = False
    activations: tuple[str, ...] = ("sigmoid", "tanh")
    reverse: bool = False
    gates: ClassVar[int] = 3

    def infer(self) -> TupleType:
        require(len(self.activations) == 2, "two activations: f and g")
        result = self._result(1, self.activations)
        require((self.rb is not None) == self.linear_before_reset, "rb goes with linear_before_reset")
        if self.rb is not None:
            require(self.rb.shape == self.h.shape[1:], f"bias {list(self.rb.shape)} for {self.h.shape[1]} units")
        return result


@dataclass(frozen=True, eq=False)
class Lstm(_Recurrent):
    """Long short-term memory; rows of the gates i, o, f, g (cell). Results: y, the last h, the last c.

    i, o, f = f(W x + R h + b);  g = g(Wg x + Rg h + bg);  c' = f * c + i * g;  h' = o * h(c').
    """

    c: Op
    activations: tuple[str, ...] = ("sigmoid", "tanh", "tanh")
    reverse: bool = False
    gates: ClassVar[int] = 4

    def infer(self) -> TupleType:
        require(len(self.activations) == 3, "three activations: of gates, cell and output")
        result = self._result(2, self.activations)
        require(self.c.shape == self.h.shape, f"cell state {list(self.c.shape)}, needs {list(self.h.shape)}")
        return result
