"""Which sums of products of bytes fit into 16 bits, whatever the activations are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fits(w: NDArray[np.int8], axis: int) -> bool:
    """Whether sums along `axis` of these weights times any bytes stay within 16 bits."""
    # 127 times those above zero, 128 times those below give the largest sum; the other way round the smallest
    size, total = sizes(w, axis), w.sum(axis=axis, dtype=np.int32)
    most, least = 255 * size - total, 255 * size + total  # twice the sums
    return bool(most.max(initial=0) <= 2 * 32767 and least.max(initial=0) <= 2 * 32768)


def sizes(w: NDArray[np.int8], axis: int) -> NDArray[np.int32]:
    """Sums of the weights' sizes along `axis`."""
    return np.abs(w, dtype=np.int16).sum(axis=axis, dtype=np.int32)
