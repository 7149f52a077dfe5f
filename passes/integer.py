"""Weights to symmetric integers of few bits, before batch norms are folded, with the choices of the other formats.

`quantize` does the same at 8 bits for every layer that has float weights left. This pass is for layers that get other
widths, and for few bits, where `compensate=full` decides whether the network still works.
"""

from __future__ import annotations

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.formats import Integer
from edgec.graph import Graph
from edgec.ops import Constant
from edgec.passes._code import Coder, by_scale, encoded
from edgec.passes._compensate import Compensate
from edgec.passes._compress import Layer, Scale, in_order, replaced, rows_of, select, stored
from edgec.passes._ranges import Method, weight_scales
from edgec.pipeline import Context


def apply(
    graph: Graph,
    context: Context,
    *,
    bits: int = 8,
    layers: str = "*",
    skip: str = "",
    keep_first: bool = False,
    keep_last: bool = False,
    per_channel: bool = True,
    method: Method = "mse",
    scale: Scale = "float",
    compensate: Compensate = "none",
) -> Graph:
    """`graph` with float weights of the selected layers as `int<bits, narrow>` with zero point 0.

    `method`: the scale from the largest weight (`minmax`) or searched for the least squared error (`mse`). The others
    as in `pow2`; the first and the last layer are not left out by default. Raises E0204.
    """
    if not 2 <= bits <= 16:
        raise EdgecError("E0204", f"integer: bits={bits}", why="allowed are 2 to 16")
    base = Integer(bits, True, narrow=True)

    def coder(op: Layer, w: Constant) -> Coder:
        rows = rows_of(w, per_channel).astype(np.float32)
        scales = weight_scales(rows, base, "mse" if method == "mse" else "minmax")
        if scale == "pow2":  # upwards, so that the largest weight still fits
            scales = np.exp2(np.ceil(np.log2(scales)))
        return by_scale(base, stored(scales, scale))

    chosen = select(graph, "integer", layers, skip, keep_first, keep_last)
    new = encoded(graph, context, "integer", chosen, coder, scale=scale, compensate=compensate)
    result = replaced(graph, new)
    in_order(context, result)
    return result
