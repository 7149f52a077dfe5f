"""Cell counts of multiply-accumulate layers from the graph alone, as a spatial compressor-tree backend would need them.

A tree of full adders turns the partial-product bits of a sum into its result bits; each full adder removes one bit:

    full adders = partial-product bits + bias bits - result bits

Loaded weights: a product of an a-bit and a b-bit number has a*b partial-product bits, one AND each, or recoded (Booth
radix 4) (a + 1) * b/2 selected bits and b/2 corrections. Fixed weights: one shifted copy of the input per nonzero
digit of the weight in canonical signed-digit form, a bits each, no AND, less what the outputs share. Padded taps cost
nothing. A product that is rounded before summing must be finished by itself first.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from edgec.formats import Affine, Fixed, Format
from edgec.formats_compressed import Pow2, Ternary
from edgec.ops import Constant, Conv, Dense, MatMul, centered_range


@dataclass(frozen=True)
class MacCost:
    """Cells, products (padded taps left out), nominal products and the longest path of a layer."""

    cells: Counter[str]
    macs: int
    macs_nominal: int
    path: Counter[str]
    weight_bits: int


def csd_digits(levels: np.ndarray) -> np.ndarray:
    """Nonzero digits of integers in canonical signed-digit form, elementwise (at most 61 bits)."""
    n = np.abs(np.asarray(levels, np.int64))
    differing = (n ^ (3 * n)).view(np.uint64)
    bits = np.zeros(n.shape, np.int64)
    for shift in range(0, 64, 8):
        bits += _POPCOUNT[((differing >> np.uint64(shift)) & np.uint64(255)).astype(np.int64)]
    return bits


_POPCOUNT = np.array([i.bit_count() for i in range(256)], np.int64)


def tap_uses(op: Conv) -> np.ndarray:
    """How often each kernel position meets an element inside the input, per output channel; shape of the kernel."""
    rank = len(op.x.shape) - 2
    uses = np.ones((1,) * rank, np.int64)
    for i in range(rank):
        k, stride, dilation = op.w.shape[2 + i], op.strides[i], op.dilations[i]
        at = np.arange(op.shape[2 + i])[:, None] * stride - op.pads[i] + np.arange(k)[None, :] * dilation
        inside = ((at >= 0) & (at < op.x.shape[2 + i])).sum(axis=0)
        uses = uses * inside.reshape([-1 if j == i else 1 for j in range(rank)])
    return uses * op.shape[0]


def mac_cost(op: Conv | Dense | MatMul, *, fixed: bool, booth: bool = False) -> MacCost:
    """Cells of `op` on integers, with weights as constants (`fixed`) or in registers, `booth`: recoded if it pays."""
    weights = op.w if isinstance(op, Conv | Dense) else op.y
    outputs = op.tensor.size
    if isinstance(op, Conv):
        uses = tap_uses(op)
        macs = int(uses.sum()) * math.prod(op.w.shape[:2])
        terms = op.terms
    else:
        terms = op.x.shape[-1]
        macs, uses = outputs * terms, np.ones((), np.int64)
    x_bits, w_bits = _level_bits(op.x.format), _level_bits(weights.format)
    constant = weights if fixed and isinstance(weights, Constant) else None
    cells: Counter[str] = Counter()
    if constant is not None:
        digits = _total_digits(op, constant, uses)
        bits, live = digits * x_bits, _live_products(op, constant, uses)
        cells["inv"] = bits // 2  # negative digits
    else:
        bits, live = macs * x_bits * w_bits, macs
        cells["and2"] = bits
    per_product = max(1, x_bits + w_bits - (x_bits == 1 or w_bits == 1))
    product = op.product if isinstance(op, Conv | Dense) else None
    plain = isinstance(op, Conv | Dense) and isinstance(op.w.format, Fixed | Affine)
    recoded = booth and constant is None and plain and w_bits >= 3
    if recoded:
        digits = -(-w_bits // 2)
        rows = digits * (x_bits + 1)
        bits = macs * (rows + digits)
        del cells["and2"]
        cells.update(aoi22=macs * digits * (x_bits - 1), nand2=2 * macs * digits, nor2=macs * digits)
        cells["xor2"] += macs * (rows + 2 * (digits - 1))
    chosen = _selected(weights.format, x_bits) if constant is None else None
    if chosen is not None:
        bits = macs * (chosen["xor2"] + 1)
        del cells["and2"]
        cells.update({kind: macs * count for kind, count in chosen.items()})
    ripple, row = 0, max(x_bits, w_bits)
    if product is not None:
        # Each product is added up by itself, then loses its low bits.
        finished = live * min(per_product, bits // max(live, 1) if live else 0)
        cells["full_adder"] += max(bits - finished, 0)
        kept = min(product.format.bits, per_product)
        bits, ripple, row = live * kept, per_product, kept
        per_product = kept
    width = per_product + math.ceil(math.log2(max(terms, 1)))
    bias = getattr(op, "b", None)
    bias_bits = outputs * bias.format.bits if bias is not None and constant is None else 0
    shared = 1.0 if constant is None or product is not None else _shared(op, constant)
    cells["full_adder"] += round(max(bits + bias_bits - outputs * width, 0) * shared)
    # sums that are reduced by columns need fewer than those with a final adder
    cells["half_adder"] += (1 + (constant is None or product is not None)) * width * outputs if bits else 0
    # The longest column: rows of a bits each, b of them a product (or one a signed digit), overlap there.
    height = math.ceil(bits / max(outputs * row, 1))
    path = Counter({"full_adder": ripple + tree_stages(height) + width // 2})
    if recoded:
        path.update(xor2=2, aoi22=1)
    path["and2"] += constant is None and not recoded
    nominal = outputs * terms
    stored = weights.tensor.bits + (bias.tensor.bits if bias is not None else 0)
    return MacCost(+cells, live, nominal, +path, stored)


def _shared(op: Conv | Dense | MatMul, w: Constant) -> float:
    """What is left of the adders of separate trees when the outputs of a layer (of a group) share terms."""
    from edgec.backends.rtl.constants.choose import sharing_factor

    levels = w.levels.T if isinstance(op, MatMul) else w.levels
    matrix = levels.reshape(levels.shape[0], -1)
    if isinstance(op, Conv):
        matrix = matrix[: len(matrix) // op.groups]
    lo, hi = op.x.format.level_range
    return sharing_factor(matrix, [hi - lo] * matrix.shape[1])


def _selected(fmt: Format, x_bits: int) -> Counter[str] | None:
    """Cells of a product by a weight without a multiplier: gates for 0, a shifter for powers of two, a sign; None for
    other formats. Its partial-product bits are those behind the sign, and the 1 of a negative one."""
    inner = fmt.base if isinstance(fmt, Affine) else fmt
    if isinstance(inner, Ternary):
        return Counter(and2=x_bits, xor2=x_bits)
    if not isinstance(inner, Pow2):
        return None
    width, selects = x_bits, 0
    for b in range(inner.bits - 1):
        width += 1 << b
        selects += width
    return Counter(and2=x_bits * inner.zero, aoi22=selects, xor2=width)


def tree_stages(height: int) -> int:
    """Stages of a Dadda tree that reduces `height` rows to two."""
    stages, rows = 0, 2
    while rows < height:
        stages, rows = stages + 1, rows * 3 // 2
    return stages


def _level_bits(fmt: Format) -> int:
    """Wires of one number: two's complement width of its levels, zero point subtracted."""
    lo, hi = centered_range(fmt)
    if (lo, hi) == (-1, 1) and fmt.bits == 1:
        return 1  # a sign: products are exclusive nors
    return max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length()) + (lo < 0)


def _total_digits(op: Conv | Dense | MatMul, w: Constant, uses: np.ndarray) -> int:
    """Signed digits over all products that exist."""
    return _weighted(op, csd_digits(w.levels), uses)


def _live_products(op: Conv | Dense | MatMul, w: Constant, uses: np.ndarray) -> int:
    return _weighted(op, (w.levels != 0).astype(np.int64), uses)


def _weighted(op: Conv | Dense | MatMul, per_weight: np.ndarray, uses: np.ndarray) -> int:
    if isinstance(op, Conv):
        return int((per_weight * uses).sum())
    rows = op.tensor.size // (op.w.shape[0] if isinstance(op, Dense) else op.shape[-1])
    return int(per_weight.sum()) * rows
