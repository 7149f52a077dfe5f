"""Normalisation at inference: batch, layer, group, instance, root mean square."""

from __future__ import annotations

import math

import numpy as np

from edgec.formats import Format
from edgec.frontend.onnx.fold import moved
from edgec.frontend.torch.node import Missing, Node
from edgec.frontend.torch.registry import imports
from edgec.ops import Add, BatchNorm, Mul, Normalize, Op, Reduce, Reshape, Unary


def _ones(node: Node, shape: tuple[int, ...], fmt: Format) -> Op:
    return node.constant(np.ones(shape), fmt)


def _statistics(node: Node) -> tuple[Op, Op]:
    mean, var = node.optional("running_mean"), node.optional("running_var")
    if mean is None or var is None:
        node.unsupported(
            "batch normalisation without running statistics",
            why="it would use those of the batch",
            remedy="train it with track_running_stats=True, or use another normalisation",
        )
    return mean, var


def _batch_norm(node: Node, x: Op, epsilon: float) -> Op:
    mean, var = _statistics(node)
    scale = node.optional("weight") or _ones(node, mean.shape, x.format)
    bias = node.optional("bias") or node.constant(np.zeros(mean.shape), x.format)
    return BatchNorm(x, scale, bias, mean, var, epsilon, loc=node.loc)


@imports("batch_norm.default")
def batch_norm(node: Node) -> Op:
    node.not_training(node.flag("training"))
    node.ignore("momentum")  # it matters in training only
    return _batch_norm(node, node.floating("input"), node.finite("eps"))


@imports("_native_batch_norm_legit_no_training.default")
def native_batch_norm(node: Node) -> tuple[Op, Missing, Missing]:
    node.ignore("momentum")
    y = _batch_norm(node, node.floating("input"), node.finite("eps"))
    return y, Missing("the mean of the batch"), Missing("the variance of the batch")


@imports("_native_batch_norm_legit.no_stats")
def normalised_by_itself(node: Node) -> tuple[Op, Missing, Missing]:
    """What instance normalisation is taken apart into: a batch of one whose channels are standardised."""
    x = node.floating("input")
    node.ignore("momentum", "training")
    if x.shape[0] != 1 or len(x.shape) < 3:
        node.in_training()
    y = _grouped(node, x, x.shape[1], node.finite("eps"))
    return y, Missing("the mean of the batch"), Missing("the deviation of the batch")


@imports("_native_batch_norm_legit.default", "_native_batch_norm_legit_functional.default", "native_batch_norm.default")
def training_batch_norm(node: Node) -> Op:
    node.in_training()


def _layer_norm(node: Node, epsilon: float) -> Op:
    x, shape = node.floating("input"), node.ints("normalized_shape")
    scale, bias = node.optional("weight"), node.optional("bias")
    axis = len(x.shape) - len(shape)
    if axis < 0 or x.shape[axis:] != shape:
        node.malformed(f"normalized_shape {list(shape)} for {list(x.shape)}")
    return Normalize(x, scale or _ones(node, shape, x.format), bias, axis, epsilon, loc=node.loc)


@imports("layer_norm.default")
def layer_norm(node: Node) -> Op:
    node.ignore("cudnn_enable")
    return _layer_norm(node, node.finite("eps", 1e-5))


@imports("native_layer_norm.default")
def native_layer_norm(node: Node) -> tuple[Op, Missing, Missing]:
    y = _layer_norm(node, node.finite("eps"))
    return y, Missing("the mean of a normalised layer"), Missing("the deviation of a normalised layer")


@imports("rms_norm.default")
def rms_norm(node: Node) -> Op:
    """x / sqrt(mean of squares + eps), times the weights."""
    x, shape, scale = node.floating("input"), node.ints("normalized_shape"), node.optional("weight")
    epsilon = node.finite("eps", float(np.finfo(x.format.dtype).eps))
    axis = len(x.shape) - len(shape)
    if axis < 0 or x.shape[axis:] != shape:
        node.malformed(f"normalized_shape {list(shape)} for {list(x.shape)}")
    mean = Reduce(Mul(x, x, loc=node.loc), "mean", tuple(range(axis, len(x.shape))), loc=node.loc)
    root = Unary(Add(mean, node.constant(epsilon, x.format), loc=node.loc), "sqrt", loc=node.loc)
    y = Mul(x, Unary(root, "reciprocal", loc=node.loc), loc=node.loc)
    return y if scale is None else Mul(y, scale, loc=node.loc)


def _along_channels(op: Op, rank: int) -> Op:
    return moved(Reshape(op, (1, op.tensor.size, *(1,) * (rank - 2)), loc=op.loc))


def _grouped(node: Node, x: Op, groups: int, epsilon: float) -> Op:
    """Every group of channels normalised by itself, then scaled and shifted channel by channel."""
    rank = len(x.shape)
    if rank < 2 or groups < 1 or x.shape[1] % groups:
        node.malformed(f"{groups} groups of {list(x.shape)}")
    apart = Reshape(x, (x.shape[0], groups, math.prod(x.shape[1:]) // groups), loc=node.loc)
    y: Op = Normalize(apart, _ones(node, apart.shape[2:], x.format), None, 2, epsilon, loc=node.loc)
    y = Reshape(y, x.shape, loc=node.loc)
    scale, bias = node.optional("weight"), node.optional("bias")
    y = y if scale is None else Mul(y, _along_channels(scale, rank), loc=node.loc)
    return y if bias is None else Add(y, _along_channels(bias, rank), loc=node.loc)


@imports("group_norm.default")
def group_norm(node: Node) -> Op:
    return _grouped(node, node.floating("input"), node.integer("num_groups"), node.finite("eps", 1e-5))


@imports("native_group_norm.default")
def native_group_norm(node: Node) -> tuple[Op, Missing, Missing]:
    node.ignore("N", "C", "HxW")  # the sizes of the input once more
    y = _grouped(node, node.floating("input"), node.integer("group"), node.finite("eps"))
    return y, Missing("the mean of a normalised group"), Missing("the deviation of a normalised group")


@imports("instance_norm.default")
def instance_norm(node: Node) -> Op:
    """Every channel by itself, or by the running statistics where they are tracked."""
    x, epsilon = node.floating("input"), node.finite("eps")
    node.ignore("momentum")  # it matters in training only
    if not node.flag("use_input_stats"):
        return _batch_norm(node, x, epsilon)
    node.not_training(node.has("running_mean"))
    node.ignore("running_var")
    if len(x.shape) < 3:
        node.malformed(f"instance normalisation of {list(x.shape)}")
    return _grouped(node, x, x.shape[1], epsilon)
