"""Attention: softmax(scale * Q K^T + mask) V."""

from __future__ import annotations

import math

import numpy as np

from edgec.frontend.torch.node import Node
from edgec.frontend.torch.registry import imports
from edgec.ops import Add, MatMul, Mul, Op, Softmax, Transpose, Where


@imports("scaled_dot_product_attention.default")
def attention(node: Node) -> Op:
    """q [..., L, E], k [..., S, E], v [..., S, D] -> [..., L, D]."""
    q, k, v = node.floating("query"), node.floating("key"), node.floating("value")
    node.not_training(node.number("dropout_p", 0.0) != 0.0)
    node.require(not node.flag("enable_gqa"), "grouped query attention", remedy="repeat the keys and values")
    if min(len(q.shape), len(k.shape), len(v.shape)) < 2:
        node.malformed("attention of vectors")
    scale = node.finite("scale", 1 / math.sqrt(max(q.shape[-1], 1)))
    rank = len(k.shape)
    turned = Transpose(k, (*range(rank - 2), rank - 1, rank - 2), loc=node.loc)
    scaled = Mul(q, node.constant(scale, q.format), loc=node.loc)
    scores = _masked(node, MatMul(scaled, turned, loc=node.loc))
    return MatMul(Softmax(scores, -1, loc=node.loc), v, loc=node.loc)


def _masked(node: Node, scores: Op) -> Op:
    """A mask of truth values leaves a score out, a float one is added."""
    if node.flag("is_causal"):
        node.require(not node.has("attn_mask"), "a mask together with is_causal")
        return _left_out(node, scores, np.tril(np.ones(scores.shape[-2:], bool)))
    if not node.has("attn_mask"):
        return scores
    mask = node.value("attn_mask")
    if isinstance(mask, Op):
        node.require(mask.format.is_float, "a computed mask of truth values", why="a row could be left out entirely")
        return Add(scores, mask, loc=node.loc)
    if mask.dtype == np.bool_:
        return _left_out(node, scores, mask)
    return Add(scores, node.op("attn_mask"), loc=node.loc)


def _left_out(node: Node, scores: Op, keep: np.ndarray) -> Op:
    """Scores that are not kept become the most negative number, whose exponential is 0."""
    node.require(bool(keep.any(axis=-1).all()), "a mask that leaves out a whole row", why="its softmax has no value")
    lowest = float(np.finfo(scores.format.dtype).min)
    return Where(node.lifted(keep), scores, node.constant(lowest, scores.format), loc=node.loc)
