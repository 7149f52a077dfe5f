"""Global magnitude pruning with a floor a layer: the smallest weights of the whole network become zero.

Global MP (`manasgupta-1/GlobalMP`): one threshold over all layers, the k-th smallest magnitude with k = sparsity times
all weights; what is at least as large stays. Then the minimum threshold: a layer with fewer than `floor` of all weights
is left whole, no layer keeps fewer, and the shares of the others are scaled up until the target holds again; every
layer is then pruned by its own k-th smallest magnitude. Without it whole layers can die, and with them the network.

The zeros survive what follows: an integer format has a zero (weights are symmetric), so do pow2z and ternary; a
zero-free format refuses such a layer. Weights that are quantised already are pruned in their codes.
"""

from __future__ import annotations

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.ops import Constant, Op, constant
from edgec.passes._calibrate import calibration_frames
from edgec.passes._code import CALIBRATION
from edgec.passes._compensate import Compensate, compensated, corrected_bias, input_moments
from edgec.passes._compress import Layer, New, in_order, note_pruned, record, replaced, select
from edgec.passes._patterns import float_constant, quantized_constant
from edgec.pipeline import Context

TOLERANCE = 1e-9
"""Shares closer than this to the target count as there."""


def apply(
    graph: Graph,
    context: Context,
    *,
    sparsity: float = 0.5,
    floor: float = 0.0005,
    layers: str = "*",
    skip: str = "",
    keep_first: bool = False,
    keep_last: bool = False,
    compensate: Compensate = "none",
) -> Graph:
    """`graph` with the share `sparsity` of the weights of the selected layers set to zero.

    `floor`: share of all selected weights that stays in every layer at least (0: one global threshold and no floor).
    `layers`, `skip`, `keep_first`, `keep_last`, `compensate` as in `pow2`. Raises E0204, also when the floors leave too
    few weights to prune, and E0313 for a layer whose format has no zero.
    """
    if not 0 <= sparsity < 1:
        raise EdgecError("E0204", f"prune: sparsity={sparsity}", why="allowed are 0 up to, not including, 1")
    if not 0 <= floor < 1:
        raise EdgecError("E0204", f"prune: floor={floor}", why="allowed are 0 up to, not including, 1")
    chosen = select(graph, "prune", layers, skip, keep_first, keep_last)
    values = [prunable(op) for op in chosen]
    masks = global_masks([np.abs(v) for v in values], sparsity, floor)
    free = [op for op in chosen if float_constant(op.w) is not None]  # codes have nothing to give
    moments = {}
    if compensate != "none" and free:
        frames = calibration_frames(graph, context, "normal", 4)
        moments = input_moments(graph, free, {n: a[:CALIBRATION] for n, a in frames.items()})
    new: dict[Op, New] = {}
    for op, before, keep in zip(chosen, values, masks, strict=True):
        rows, live = before.reshape(len(before), -1), keep.reshape(len(keep), -1)
        after = rows * live
        if op not in moments:
            new[op] = New(written(op, keep))
        else:
            if compensate == "full":
                after = compensated(rows, moments[op], lambda v, columns, part, m=live: v * m[part][:, columns])
            weights = constant(after.reshape(before.shape), op.w.format, loc=op.w.loc)
            new[op] = New(weights, corrected_bias(op, rows, after, moments[op]))
        record(context, op, held(op).format, before, after.reshape(before.shape))
        if not keep.all():
            note_pruned(context, op)
    result = replaced(graph, new)
    in_order(context, result)
    pruned = sum(int(np.count_nonzero(~keep)) for keep in masks)
    total = sum(keep.size for keep in masks)
    context.reports["prune"] = [{"target": sparsity, "floor": floor, "weights": total, "pruned": pruned}]
    return result


def held(op: Layer) -> Constant:
    """The constant behind the weights of a layer."""
    found = float_constant(op.w) or quantized_constant(op.w)
    assert found is not None, "checked by select"
    return found


def prunable(op: Layer) -> np.ndarray:
    """Real values of the weights of `op`; E0313 when their format has no zero."""
    w = held(op)
    if not w.format.has_zero:
        raise EdgecError(
            "E0313",
            f"a layer with {w.format.bits}-bit {str(w.format).partition('<')[0]} weights cannot be pruned",
            layer=op.label,
            op=op.mnemonic,
            why="its format has no code for zero",
            remedy="leave the layer out with skip=..., or give it pow2z, ternary or an integer format",
        )
    return w.values


def written(op: Layer, keep: np.ndarray) -> Op:
    """The weights operand of `op` with everything outside of `keep` zero."""
    w = held(op)
    zero = w.format.encode(np.zeros(w.shape))
    constant = Constant(np.where(keep, w.data, zero).astype(w.data.dtype), type=w.type, loc=w.loc)
    return constant if op.w is w else op.w.replace(x=constant)


def global_masks(sizes: list[np.ndarray], sparsity: float, floor: float) -> list[np.ndarray]:
    """Which weights stay, from the magnitudes of every layer."""
    counts = np.array([s.size for s in sizes], np.int64)
    total = int(counts.sum())
    if not total or sparsity == 0:
        return [np.ones(s.shape, bool) for s in sizes]
    masks = [s >= threshold_of(np.concatenate([s.ravel() for s in sizes]), sparsity) for s in sizes]
    least = int(total * floor)
    if least == 0:
        return masks
    shares = np.array([np.count_nonzero(~m) / max(m.size, 1) for m in masks])
    shares = shares_with_floor(shares, counts, least, sparsity)
    return [s >= threshold_of(s.ravel(), share) for s, share in zip(sizes, shares, strict=True)]


def threshold_of(sizes: np.ndarray, share: float) -> float:
    """The k-th smallest of `sizes`, k = share of their number, at least 1."""
    k = max(int(share * sizes.size), 1)
    return float(np.partition(sizes, k - 1)[k - 1]) if sizes.size else 0.0


def shares_with_floor(shares: np.ndarray, counts: np.ndarray, least: int, target: float) -> np.ndarray:
    """Pruned shares a layer that together prune `target` and leave `least` weights in every layer that has them."""
    limit = np.where(counts > least, 1 - least / counts, 0.0)
    most = float(limit @ counts) / counts.sum()
    if most < target - TOLERANCE:
        raise EdgecError(
            "E0204",
            f"prune: sparsity={target} cannot be reached",
            why=f"{least} weights stay in every layer, so that at most {most:.4f} can be pruned",
            remedy="a smaller sparsity or floor",
        )
    shares = np.minimum(np.where(counts > least, shares, 0.0), limit)
    if not shares.any():
        shares = np.where(limit > 0, np.minimum(target, limit), 0.0)
    while (reached := float(shares @ counts) / counts.sum()) < target - TOLERANCE:
        shares = np.minimum(shares * (target / reached), limit)
        idle = (shares == 0) & (limit > 0)
        if idle.any() and not ((shares > 0) & (shares < limit)).any():  # what is still whole has to help
            missing = target * counts.sum() - float(shares @ counts)
            shares = np.where(idle, limit * missing / float((limit * counts)[idle].sum()), shares)
    return shares
