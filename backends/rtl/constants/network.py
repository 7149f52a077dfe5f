"""A linear network: sums of shifted inputs and of other sums, which together multiply by a constant integer matrix.

Every way of sharing work between the outputs of a constant matrix has this form: separate trees (one sum an output),
shared terms (sums that several others use), reuse along a spanning tree (a sum is another one plus a difference).
`coefficients` gives back the matrix that a network computes, and every optimiser is held to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, slots=True)
class Term:
    """+-2**shift times value `source`: input `source`, or sum `source - inputs` of the network."""

    source: int
    shift: int = 0
    negative: bool = False


@dataclass(frozen=True)
class LinearNetwork:
    """`inputs` input values, `sums` of terms (each of earlier values only), and for each output the sum or input it is.

    `outputs[o]` is the term that output o is, or None where it is the constant 0.
    """

    inputs: int
    sums: tuple[tuple[Term, ...], ...]
    outputs: tuple[Term | None, ...]

    def __post_init__(self) -> None:
        for number, terms in enumerate(self.sums):
            if not terms or not all(0 <= t.source < self.inputs + number and t.shift >= 0 for t in terms):
                raise ValueError(f"sum {number} is empty, or uses a value that is not before it")
        if not all(t is None or 0 <= t.source < self.inputs + len(self.sums) for t in self.outputs):
            raise ValueError("an output is no value of the network")

    @cached_property
    def rows(self) -> np.ndarray:
        """What every value is of the inputs: int64 [inputs + sums, inputs]."""
        rows = np.zeros((self.inputs + len(self.sums), self.inputs), np.int64)
        rows[: self.inputs] = np.eye(self.inputs, dtype=np.int64)
        for number, terms in enumerate(self.sums):
            rows[self.inputs + number] = self._combine(terms, rows)
        return rows

    @property
    def coefficients(self) -> np.ndarray:
        """The matrix that the network computes: int64 [outputs, inputs]."""
        zero = np.zeros(self.inputs, np.int64)
        made = [zero if t is None else self._combine((t,), self.rows) for t in self.outputs]
        return np.array(made, np.int64).reshape(len(self.outputs), self.inputs)

    @staticmethod
    def _combine(terms: Sequence[Term], rows: np.ndarray) -> np.ndarray:
        factors = np.array([(-1 if t.negative else 1) << t.shift for t in terms], np.int64)
        return factors @ rows[[t.source for t in terms]]

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """How many sums a value stands behind, for every value; inputs are at 0."""
        depth = [0] * self.inputs
        for terms in self.sums:
            depth.append(1 + max(depth[t.source] for t in terms))
        return tuple(depth)

    @property
    def depth(self) -> int:
        """Sums that stand one behind another on the longest way to an output."""
        return max((self.levels[t.source] for t in self.outputs if t is not None), default=0)
