"""Which steps the vector code for 16-bit integers can do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgec.backends.c.int8 import match
from edgec.backends.c.int8.match import ByteLayer
from edgec.ops import Op


@dataclass(frozen=True, eq=False)
class WordLayer(ByteLayer):
    """As of bytes, with activations and results of 16 bits; `weights` are int16, whatever the model has."""

    LANES = 8
    MOST = 1 << 46
    MOST_SHIFT = 48

    @cached_property
    def wide(self) -> bool:
        """Whether sums may pass 32 bits."""
        reach = np.abs(self.weights.astype(np.int64)).reshape(len(self.weights), -1).sum(axis=1) << 15
        return bool((reach + np.abs(self.bias)).max(initial=0) >= match.WORD)

    @property
    def clamp(self) -> str:
        """int16 saturation does it where lo..hi are all codes."""
        return "clamp" if (self.lo, self.hi) != (-32768, 32767) else ""

    @property
    def common_shift(self) -> int:  # type: ignore[override]
        """None: the zero point is added before results are narrowed."""
        return 0


def matched(ops: tuple[Op, ...]) -> WordLayer | None:
    """The layer of a step's ops, None where the vector code cannot do it."""
    layer = match.matched(ops, dtype=np.dtype(np.int16), kind=WordLayer)
    assert layer is None or isinstance(layer, WordLayer)
    return None if layer is None or (layer.depthwise and layer.wide) else layer
