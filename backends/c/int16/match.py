"""Which steps the vector code for 16-bit integers can do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgec.backends.c.int8 import match
from edgec.backends.c.int8.match import ByteLayer
from edgec.ops import Op


@dataclass(frozen=True, eq=False)
class WordLayer(ByteLayer):
    """As of bytes, with activations and results of 16 bits; `weights` are int16, whatever the model has."""

    LANES = 8

    @property
    def clamp(self) -> str:
        """int16 saturation does it where lo..hi are all codes."""
        return "clamp" if (self.lo, self.hi) != (-32768, 32767) else ""

    @property
    def common_shift(self) -> int:  # type: ignore[override]
        """None: the zero point is added before results are narrowed."""
        return 0


def matched(ops: tuple[Op, ...]) -> ByteLayer | None:
    """The layer of a step's ops, None where the vector code cannot do it."""
    return match.matched(ops, np.dtype(np.int16), WordLayer)
