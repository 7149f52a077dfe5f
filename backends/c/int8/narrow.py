"""Which sums of products of bytes fit into 16 bits, whatever the activations are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fits(w: NDArray[np.int8], axis: int) -> bool:
    """Whether sums along `axis` of these weights times any bytes stay within 16 bits."""
    wide = w.astype(np.int64)
    up, down = np.maximum(wide, 0), np.maximum(-wide, 0)
    most = (127 * up + 128 * down).sum(axis=axis)
    least = (128 * up + 127 * down).sum(axis=axis)
    return bool(most.max(initial=0) <= 32767 and least.max(initial=0) <= 32768)
