"""Recurrent layers in binary32: the weighted inputs and states of a step by the tiles of dense layers.

Scratch memory holds the sums of all gates, then x and the state side by side, as the tiles read them; what follows the
sums is plain C, unit by unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgec.backends.c.fp32.match import FloatLayer
from edgec.backends.c.fp32.tile import FloatTile
from edgec.backends.c.recurrent import Layer, RecurrentCode, deeper, over
from edgec.backends.c.vector.dense import dense
from edgec.backends.c.view import SLACK, Buffer, View
from edgec.backends.c.writer import Writer
from edgec.formats import F32, TensorType
from edgec.ops import Constant, Dense, Gru, Input, Lstm, Op, Rnn

GATES = {Rnn: 1, Gru: 3, Lstm: 4}


def can(ops: Sequence[Op]) -> bool:
    """Whether everything is binary32 and no weight is computed."""
    (op,) = ops
    assert isinstance(op, Layer)
    weights = [op.w, op.r, op.b, *([op.rb] if isinstance(op, Gru) and op.rb is not None else [])]
    return all(o.format == F32 for o in op.operands) and all(isinstance(o, Constant) for o in weights)


def products(op: Layer) -> list[tuple[int, int]]:
    """(rows, columns) of the matrices by which vectors are multiplied in a step."""
    units, inputs, gates = op.h.shape[1], op.x.shape[2], GATES[type(op)]
    if isinstance(op, Gru):
        return [(3 * units, inputs), (2 * units, units), (units, units)]
    return [(gates * units, inputs), (gates * units, units)]


def room(ops: Sequence[Op], views: Mapping[Op, View]) -> int:
    """Elements of scratch memory."""
    (op,) = ops
    assert isinstance(op, Layer)
    return _Vectors.of(op)[-1]


class _Vectors(RecurrentCode):
    """`sums`, `x`, `h`, `kept`: where these begin in scratch memory."""

    @staticmethod
    def of(op: Layer) -> tuple[int, int, int, int, int]:
        units, sums = op.h.shape[1], 4 * op.h.shape[1]
        x = sums + SLACK
        h = x + op.x.shape[2] + SLACK
        kept = h + units + SLACK
        return 0, x, h, kept, kept + units

    def __init__(self, w: Writer, op: Layer) -> None:
        super().__init__(w, op)
        self.at_x, self.at_h, self.kept = self.of(op)[1:4]

    def product(self, source: int, matrix: NDArray, bias: NDArray | None, target: int) -> list[str]:
        """scratch[target + i] = sum of matrix[i] times scratch[source ...], and the bias or what is there."""
        outputs, inputs = matrix.shape
        op = Dense(Input("v", type=TensorType(F32, (1, inputs))), Constant(matrix, type=TensorType(F32, matrix.shape)))
        numbers = np.zeros(outputs, np.float32) if bias is None else bias
        layer = FloatLayer(op, matrix[:, None, None, :], numbers, -np.inf, np.inf, 0)
        buffer = Buffer("scratch", "arena", F32, inputs + outputs)
        x, y = (View(buffer, (1, n, 1, 1), (0, 1, 0, 0), at) for n, at in ((inputs, source), (outputs, target)))
        start = f"scratch + {target}" if bias is None else ""
        lines = dense(layer, x, y, self.w.constants, "scratch", FloatTile, to="scratch", numbers=start)
        return ["{", *deeper(lines), "}"]

    def weighted(self, gates: int) -> list[str]:
        """The sums of all gates of weighted inputs, and of `gates` of them of weighted states."""
        op = self.op
        assert isinstance(op.w, Constant) and isinstance(op.r, Constant) and isinstance(op.b, Constant)
        x, h = self.element(op.x, "t", "n", "k"), self.old("k")
        return [
            *over("k", op.x.shape[2], [f"scratch[k + {self.at_x}] = {x};"]),
            *over("k", self.units, [f"scratch[k + {self.at_h}] = {h};"]),
            *self.product(self.at_x, op.w.data, op.b.data.ravel(), 0),
            *self.product(self.at_h, op.r.data[: gates * self.units], None, 0),
        ]

    def sums(self, gates: Sequence[int]) -> list[str]:
        """The sums of a unit, as g0, g1, ..."""
        return [f"const float g{g} = scratch[{self.row(g)}];" for g in gates]


def body(w: Writer) -> list[str]:
    """Statements of a step with the operands of `w` and `scratch`."""
    (op,) = w.step.ops
    assert isinstance(op, Layer)
    c = _Vectors(w, op)
    if isinstance(op, Lstm):
        return c.lstm([*c.weighted(4)], c.sums(range(4)))
    if isinstance(op, Rnn):
        return c.rnn([*c.weighted(1)], c.sums([0]))
    assert isinstance(op.r, Constant)
    units, candidate = c.units, op.r.data[2 * c.units :]
    if op.rb is not None:
        assert isinstance(op.rb, Constant)
        states = c.product(c.at_h, candidate, op.rb.data.ravel(), 3 * units)
        given = [*c.sums([0, 1]), *(f"const float {n} = scratch[{c.row(g)}];" for n, g in (("given", 2), ("g2", 3)))]
        return c.gru_of_states([*c.weighted(2), *states], given)
    between = c.product(c.at_h, candidate, None, 2 * units)
    return c.gru_of_reset(c.weighted(2), c.sums([0, 1]), between, c.sums([2]), c.kept, c.at_h)
