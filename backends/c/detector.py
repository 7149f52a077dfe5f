"""Ops of detector front ends in plain C (see `edgec.ops.detector`)."""

from __future__ import annotations

import numpy as np

from edgec.backends.c import codes
from edgec.backends.c import scalar as c
from edgec.backends.c.loops import affine
from edgec.backends.c.rows import over_rows
from edgec.backends.c.scalar import Body, integer_type
from edgec.backends.c.writer import Writer
from edgec.ops import NormalizePow2, PackBits


def normalize_pow2(w: Writer, op: NormalizePow2) -> list[str]:
    rank = len(op.shape)
    view, hi = w.views[op.x], op.format.code_range[1]
    strides = [(f"i{a}", s) for a, s in enumerate(view.strides)]
    inside = affine([*strides[:-1], ("k", view.strides[-1])], view.offset)
    first = ["int64_t total = 0;", f"for (int32_t k = 0; k < {op.shape[-1]}; k++) {{"]
    first += [f"  total += (int64_t){w.element_of(op.x, inside)};", "}", "int32_t down = 0;"]
    first.append("while ((total >> (down + 1)) != 0) { down++; }")
    body = Body()
    value = codes.load(body, op.x.format, w.element_of(op.x, affine(strides, view.offset)), w.constants)
    most = op.x.format.code_range[1] << op.frac_bits
    wide = body.let(f"({integer_type(0, most)})(((int64_t){value.code} << {op.frac_bits}) >> down)", 0, most)
    level = c.minimum(body, wide, hi)
    return over_rows(w, list(range(rank - 1)), (rank - 1,), first, w.epilogue(body, level))


def pack_bits(w: Writer, op: PackBits) -> list[str]:
    width, n = op.x.format.bits, op.x.shape[-1]
    bits = np.arange(n * width).reshape(n, width)
    chosen = np.flatnonzero(op.mask) if op.mask else bits[:, width - op.keep :].ravel()
    view, last = w.views[op.x], len(op.shape) - 1
    element, bit = w.constants.array(chosen // width), w.constants.array(chosen % width)
    body = Body()
    strides = [(f"i{a}", s) for a, s in enumerate(view.strides[:-1])]
    index = affine([*strides, (f"{element}[i{last}]", view.strides[-1])], view.offset)
    code = f"((int64_t){w.element_of(op.x, index)} >> {bit}[i{last}]) & 1"
    return w.over_axes(w.epilogue(body, body.let(f"(int32_t)({code})", 0, 1)))
