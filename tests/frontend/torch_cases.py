"""One drawn call of every operator that the importer of PyTorch programs knows.

`CASES` maps an operator to `case(draw) -> (function, inputs)`; tensors that are not among the inputs are constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed
from torch import Tensor

aten = torch.ops.aten
quantized = torch.ops.quantized_decomposed


class Draw:
    """Seeded shapes, choices and tensors."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def int(self, lo: int, hi: int) -> int:
        return int(self.generator.integers(lo, hi + 1))

    def pick(self, *choices):
        return choices[self.int(0, len(choices) - 1)]

    def real(self, lo: float, hi: float) -> float:
        return float(self.generator.uniform(lo, hi))

    def normal(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.generator.standard_normal(shape).astype(np.float32))

    def positive(self, *shape: int) -> Tensor:
        return self.normal(*shape).abs() + 0.1

    def flags(self, *shape: int) -> Tensor:
        return self.normal(*shape) > 0

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        return tuple(self.int(1, 5) for _ in range(self.int(1, 4) if rank is None else rank))


Case = tuple[Callable[..., object], tuple[Tensor, ...]]
CASES: dict[str, Callable[[Draw], Case]] = {}


def case(*operators: str):
    """Register `function(draw, operator)` for operators of aten."""

    def register(function):
        for operator in operators:
            full = operator if operator.startswith(("quantized_decomposed.", "_operator.")) else f"aten.{operator}"
            assert full not in CASES, full
            CASES[full] = lambda draw, o=operator: function(draw, o)
        return function  # so that one function can be registered twice

    return register


def overload(operator: str):
    name, kind = operator.split(".")
    return getattr(getattr(aten, name), kind)


# --- functions of one tensor ----------------------------------------------------------------------------------


@case(
    *(
        f"{n}.default"
        for n in [
            "abs",
            "neg",
            "exp",
            "sigmoid",
            "tanh",
            "erf",
            "floor",
            "ceil",
            "round",
            "sign",
            "sin",
            "cos",
            "mish",
            "relu",
            "relu6",
            "hardsigmoid",
            "hardswish",
            "selu",
            "silu",
            "log_sigmoid",
            "square",
            "alias",
            "clone",
            "contiguous",
            "detach",
            "lift_fresh_copy",
            "expm1",
        ]
    )
)
def plain(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x: op(x * 1.0) + 0.0, (d.normal(*d.shape()) * 3,)


@case(
    "log.default",
    "log2.default",
    "log10.default",
    "exp2.default",
    "log1p.default",
    "sqrt.default",
    "rsqrt.default",
    "reciprocal.default",
)
def of_positive(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x: op(x), (d.positive(*d.shape()),)


@case("hardtanh.default", "clamp.default")
def clamped(d: Draw, o: str) -> Case:
    op, lo, hi = overload(o), d.real(-1, 0), d.real(-0.5, 1)
    lo = None if o == "clamp.default" and d.int(0, 2) == 0 else lo
    return lambda x: op(x, lo, hi), (d.normal(*d.shape()),)


@case(
    "clamp_min.default",
    "clamp_max.default",
    "leaky_relu.default",
    "celu.default",
    "hardshrink.default",
    "softshrink.default",
)
def with_one_number(d: Draw, o: str) -> Case:
    op, a = overload(o), d.real(0.1, 0.9)
    return lambda x: op(x, a), (d.normal(*d.shape()),)


@case("clamp.Tensor")
def clamp_tensor(d: Draw, o: str) -> Case:
    shape = d.shape()
    lo = d.normal(*shape[-1:])
    return lambda x, hi: aten.clamp.Tensor(x, lo, hi), (d.normal(*shape), d.normal(*shape) + 1)


@case("rrelu.default")
def rrelu(d: Draw, o: str) -> Case:
    return lambda x: aten.rrelu(x, 0.1, 0.5, False), (d.normal(3, 4),)


@case("rrelu_with_noise_functional.default")
@case("empty.memory_format", "empty_like.default", "empty_permuted.default")
def decomposed_rrelu(d: Draw, o: str) -> Case:
    def function(x: Tensor) -> Tensor:
        made = {
            "empty_like.default": lambda: aten.empty_like(x),
            "empty_permuted.default": lambda: aten.empty_permuted([3, 4], [0, 1]),
        }
        noise = made.get(o, lambda: aten.empty([3, 4]))()
        return aten.rrelu_with_noise_functional(x, noise, 0.1, 0.5, False)[0]

    return function, (d.normal(3, 4),)


@case("elu.default")
def elu(d: Draw, o: str) -> Case:
    a, scale = d.real(0.5, 2), d.pick(1.0, 1.3)
    return lambda x: aten.elu(x, a, scale), (d.normal(*d.shape()),)


@case("gelu.default")
def gelu(d: Draw, o: str) -> Case:
    how = d.pick("none", "tanh")
    return lambda x: aten.gelu(x, approximate=how), (d.normal(*d.shape()) * 2,)


@case("softplus.default")
def softplus(d: Draw, o: str) -> Case:
    beta, threshold = d.pick((1.0, 20.0), (2.0, 20.0), (1.0, 1.5))
    return lambda x: aten.softplus(x, beta, threshold), (d.normal(*d.shape()) * 4,)


@case("threshold.default")
def threshold(d: Draw, o: str) -> Case:
    return lambda x: aten.threshold(x, 0.2, -0.7), (d.normal(*d.shape()),)


@case("prelu.default")
def prelu(d: Draw, o: str) -> Case:
    shape = d.shape(d.int(2, 4))
    slope = d.normal(d.pick(1, shape[1]))
    return lambda x: aten.prelu(x, slope), (d.normal(*shape),)


@case("_prelu_kernel.default")
def prelu_kernel(d: Draw, o: str) -> Case:
    slope = d.normal(1, 3, 1)
    return lambda x: aten._prelu_kernel(x, slope), (d.normal(2, 3, 4),)


@case("softmax.int", "log_softmax.int")
def softmax(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape()
    axis = d.int(-len(shape), len(shape) - 1)
    return lambda x: op(x, axis), (d.normal(*shape) * 3,)


@case("_softmax.default", "_log_softmax.default")
def core_softmax(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape()
    return lambda x: op(x, len(shape) - 1, False), (d.normal(*shape) * 3,)


@case("pow.Tensor_Scalar")
def power(d: Draw, o: str) -> Case:
    exponent = d.pick(2, 3, 0.5, -1, 1.7)
    return lambda x: aten.pow(x, exponent), (d.positive(*d.shape()),)


@case(*(f"{n}.default" for n in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")))
def dropout(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x: op(x, 0.5, False) * 2, (d.normal(2, 3, 4),)


@case("native_dropout.default")
def native_dropout(d: Draw, o: str) -> Case:
    return lambda x: aten.native_dropout(x, 0.5, False)[0] * 2, (d.normal(2, 3),)


# --- arithmetic -----------------------------------------------------------------------------------------------


@case("add.Tensor", "sub.Tensor")
def sums(d: Draw, o: str) -> Case:
    op, shape, alpha = overload(o), d.shape(), d.pick(1, 0.5)
    other = d.pick(shape, shape[-1:], (1,) * len(shape))
    known = d.normal(*other)
    return lambda x, y: op(op(x, y, alpha=alpha), known), (d.normal(*shape), d.normal(*other))


@case("mul.Tensor", "div.Tensor", "maximum.default", "minimum.default", "max.other", "min.other", "pow.Tensor_Tensor")
def pairs(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape()
    known = d.positive(*shape[-1:])
    return lambda x, y: op(op(x, y), known), (d.positive(*shape), d.positive(*shape))


@case("add.Scalar", "sub.Scalar", "mul.Scalar", "div.Scalar", "rsub.Scalar", "pow.Scalar", "fmod.Scalar")
def with_scalar(d: Draw, o: str) -> Case:
    op, a = overload(o), d.real(0.5, 2)
    swapped = o == "pow.Scalar"
    return lambda x: op(a, x) if swapped else op(x, a), (d.normal(*d.shape()) * 4,)


@case("rsub.Tensor", "fmod.Tensor")
def rsub(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x, y: op(x, y), (d.normal(3, 4), d.positive(3, 4))


@case("div.Tensor_mode", "div.Scalar_mode", "floor_divide.default")
def floor_division(d: Draw, o: str) -> Case:
    op, y = overload(o), d.positive(3, 1) if "Scalar" not in o else 0.7
    if "floor" in o:
        return lambda x: op(x, y), (d.normal(3, 4) * 5,)
    return lambda x: op(x, y, rounding_mode="floor"), (d.normal(3, 4) * 5,)


@case(*(f"{n}.{k}" for n in ("eq", "ne", "lt", "le", "gt", "ge") for k in ("Tensor", "Scalar")))
def comparison(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape()
    if o.endswith("Scalar"):
        return lambda x: op(x, 1).float(), (torch.round(d.normal(*shape) * 2),)
    return lambda x, y: op(x, y), (torch.round(d.normal(*shape)), torch.round(d.normal(*shape)))


@case(*(f"logical_{n}.default" for n in ("and", "or", "xor")), *(f"bitwise_{n}.Tensor" for n in ("and", "or", "xor")))
def logic(d: Draw, o: str) -> Case:
    op, known = overload(o), d.flags(4)
    if "bitwise" in o:
        return lambda x, y: op(op(x > 0, y > 0), known), (d.normal(3, 4), d.normal(3, 4))
    return lambda x, y: op(op(x, y > 0), known), (torch.round(d.normal(3, 4)), d.normal(3, 4))


@case("logical_not.default", "bitwise_not.default")
def inverse(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x: op(x > 0), (d.normal(3, 4),)


@case("where.self")
def where(d: Draw, o: str) -> Case:
    known = d.flags(4)
    return lambda x, y: torch.where(known, torch.where(x > 0, x, y), y), (d.normal(3, 4), d.normal(3, 4))


@case("where.Scalar", "where.ScalarOther", "where.ScalarSelf")
def where_scalar(d: Draw, o: str) -> Case:
    op = overload(o)
    values = {"Scalar": lambda x: (0.5, -1.0), "ScalarOther": lambda x: (x, -1.0), "ScalarSelf": lambda x: (0.5, x)}
    chosen = values[o.split(".")[1]]
    return lambda x: op(x > 0, *chosen(x)), (d.normal(3, 4),)


@case(*(f"{n}.{k}" for n in ("any", "all") for k in ("default", "dim", "dims")))
def some(d: Draw, o: str) -> Case:
    op, axes = overload(o), _axes(d, 3)
    arguments = {"default": (), "dim": (axes[0], True), "dims": (axes,)}[o.split(".")[1]]
    limit = d.real(-1, 1)
    return lambda x: op(x > limit, *arguments), (d.normal(3, 1, 2),)


@case("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(d: Draw, o: str) -> Case:
    op, value = overload(o), torch.tensor(-2.0) if o.endswith("Tensor") else -2.0
    return lambda x: op(x, x > 0.5, value), (d.normal(3, 4),)


@case("to.dtype", "to.dtype_layout", "to.device", "to.other", "type_as.default", "_to_copy.default")
def conversion(d: Draw, o: str) -> Case:
    calls = {
        "to.dtype": lambda x: (x > 0).to(torch.float32) + x.to(torch.float64),
        "to.dtype_layout": lambda x: aten.to.dtype_layout(x > 0, dtype=torch.float32),
        "to.device": lambda x: aten.to.device(x > 0, torch.device("cpu"), torch.float32),
        "to.other": lambda x: aten.to.other(x > 0, x),
        "type_as.default": lambda x: aten.type_as(x > 0, x),
        "_to_copy.default": lambda x: aten._to_copy(aten._to_copy(x, dtype=torch.float16), dtype=torch.float32),
    }
    return calls[o], (d.normal(3, 4),)


# --- layers ---------------------------------------------------------------------------------------------------


def _convolution(d: Draw, rank: int, transposed: bool = False):
    groups = d.int(1, 2)
    c, o = groups * d.int(1, 3), groups * d.int(1, 3)
    kernel = tuple(d.int(1, 3) for _ in range(rank))
    size = tuple(d.int(5, 8) for _ in range(rank))
    w = d.normal(c, o // groups, *kernel) if transposed else d.normal(o, c // groups, *kernel)
    x = d.normal(d.int(1, 2), c, *size)
    return x, w, d.pick(None, d.normal(o)), groups


@case("conv1d.default", "conv2d.default", "conv3d.default")
def conv(d: Draw, o: str) -> Case:
    rank = int(o[4])
    x, w, b, groups = _convolution(d, rank)
    stride, pad, dilation = ([d.int(1, 2) for _ in range(rank)] for _ in range(3))
    op, single = overload(o), d.int(0, 1)
    x = x[0] if single else x
    return lambda x: op(x, w, b, stride, pad, dilation, groups), (x,)


@case("conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv_padding(d: Draw, o: str) -> Case:
    rank, op, how = int(o[4]), overload(o), d.pick("same", "valid")
    x, w, b, groups = _convolution(d, rank)
    stride = [1] * rank if how == "same" else [d.int(1, 2) for _ in range(rank)]
    dilation = [d.int(1, 2) for _ in range(rank)]
    return lambda x: op(x, w, b, stride, how, dilation, groups), (x,)


@case("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(d: Draw, o: str) -> Case:
    rank, op = int(o[14]), overload(o)
    x, w, b, groups = _convolution(d, rank, transposed=True)
    stride = [2] * rank
    extra, dilation = ([d.int(0, 1) for _ in range(rank)], [d.int(1, 2) for _ in range(rank)])
    pad = [d.int(0, 1) if k > 1 else 0 for k in w.shape[2:]]
    return lambda x: op(x, w, b, stride, pad, extra, groups, dilation), (x,)


@case("convolution.default")
def convolution(d: Draw, o: str) -> Case:
    x, w, b, groups = _convolution(d, 2)
    _, turned, _, _ = _convolution(Draw(0), 2, transposed=True)
    turned = turned[:1].repeat(w.shape[0], 1, 1, 1)
    return lambda x: aten.convolution(
        aten.convolution(x, w, b, [1, 2], [1, 1], [1, 1], False, [0, 0], groups),
        turned, None, [2, 2], [0, 0], [1, 1], True, [1, 1], 1,
    ), (x,)  # fmt: skip


@case("linear.default")
def linear(d: Draw, o: str) -> Case:
    shape, n = d.shape(), d.int(1, 4)
    w, b = d.normal(n, shape[-1]), d.pick(None, d.normal(n))
    return lambda x, y: (aten.linear(x, w, b), aten.linear(x, y)), (d.normal(*shape), d.normal(3, shape[-1]))


@case("matmul.default")
def matmul(d: Draw, o: str) -> Case:
    k = d.int(1, 4)
    a, b = d.pick(((k,), (k,)), ((2, k), (k, 3)), ((k,), (2, k, 3)), ((2, 3, k), (k,)), ((2, 1, 3, k), (4, k, 2)))
    w = d.normal(k, 3)
    return lambda x, y: (aten.matmul(x, y), aten.matmul(x, w)), (d.normal(*a), d.normal(*b))


@case("mm.default", "bmm.default")
def mm(d: Draw, o: str) -> Case:
    op, lead = overload(o), (2,) if o.startswith("b") else ()
    w = d.normal(*lead, 4, 5)
    return lambda x, y: op(op(x, y), w), (d.normal(*lead, 3, 2), d.normal(*lead, 2, 4))


@case("addmm.default")
def addmm(d: Draw, o: str) -> Case:
    w, b = d.normal(4, 5), d.pick(d.normal(5), d.normal(1, 5), d.normal(3, 5))
    alpha, beta = d.pick((1, 1), (0.5, 2), (1, 0))
    return lambda x, y: (aten.addmm(b, x, w, beta=beta, alpha=alpha), aten.addmm(b, x, y)), (
        d.normal(3, 4),
        d.normal(4, 5),
    )


@case("baddbmm.default")
def baddbmm(d: Draw, o: str) -> Case:
    return lambda c, x, y: aten.baddbmm(c, x, y, beta=0.5), (d.normal(2, 3, 5), d.normal(2, 3, 4), d.normal(2, 4, 5))


@case("batch_norm.default")
def batch_norm(d: Draw, o: str) -> Case:
    shape = d.shape(d.int(2, 4))
    c = shape[1]
    w, b = d.pick((None, None), (d.normal(c), d.normal(c)))
    mean, var = d.normal(c), d.positive(c)
    return lambda x: aten.batch_norm(x, w, b, mean, var, False, 0.1, 1e-3, False), (d.normal(*shape),)


@case("_native_batch_norm_legit_no_training.default")
def native_batch_norm(d: Draw, o: str) -> Case:
    c = 3
    w, b, mean, var = d.normal(c), d.normal(c), d.normal(c), d.positive(c)
    op = aten._native_batch_norm_legit_no_training
    return lambda x: op(x, w, b, mean, var, 0.1, 1e-5)[0], (d.normal(2, c, 4),)


@case("layer_norm.default", "native_layer_norm.default", "rms_norm.default")
def layer_norm(d: Draw, o: str) -> Case:
    shape = (*d.shape(2), 6)
    axes = d.int(1, 2)
    w, b = d.pick((None, None), (d.normal(*shape[-axes:]), d.normal(*shape[-axes:])))
    inner = list(shape[-axes:])
    if o.startswith("rms"):
        return lambda x: aten.rms_norm(x, inner, w, 1e-5), (d.normal(*shape),)
    if o.startswith("native"):
        return lambda x: aten.native_layer_norm(x, inner, w, b, 1e-5)[0], (d.normal(*shape),)
    return lambda x: aten.layer_norm(x, inner, w, b, 1e-4), (d.normal(*shape),)


@case("_native_batch_norm_legit.no_stats")
def no_stats(d: Draw, o: str) -> Case:
    w, b = d.pick((None, None), (d.normal(3), d.normal(3)))
    return lambda x: aten._native_batch_norm_legit.no_stats(x, w, b, True, 0.1, 1e-5)[0], (d.normal(1, 3, 5),)


@case("group_norm.default", "native_group_norm.default", "instance_norm.default")
def group_norm(d: Draw, o: str) -> Case:
    n, c, size = 2, 4, d.int(2, 5)
    w, b = d.pick((None, None), (d.normal(c), d.normal(c)))
    mean, var = d.normal(c), d.positive(c)
    if o.startswith("native"):
        return lambda x: aten.native_group_norm(x, w, b, n, c, size, 2, 1e-5)[0], (d.normal(n, c, size),)
    if o.startswith("group"):
        return lambda x: aten.group_norm(x, 2, w, b, 1e-5), (d.normal(n, c, size),)
    if d.int(0, 1):
        return lambda x: aten.instance_norm(x, w, b, None, None, True, 0.1, 1e-5, False), (d.normal(n, c, size),)
    return lambda x: aten.instance_norm(x, w, b, mean, var, False, 0.1, 1e-5, False), (d.normal(n, c, size),)


@case("scaled_dot_product_attention.default")
def attention(d: Draw, o: str) -> Case:
    n, length, keys, e = d.int(1, 3), d.int(2, 5), d.int(2, 5), d.int(1, 6)
    q, k, v = d.normal(2, n, length, e), d.normal(2, n, keys, e), d.normal(2, n, keys, 3)
    keep = d.flags(length, keys)
    keep[:, 0] = True
    added, scale, op = d.normal(length, keys), d.pick(None, 0.3), torch.nn.functional.scaled_dot_product_attention
    kind = d.int(0, 3)
    if kind == 0:
        return lambda q, k, v: op(q, k, v, scale=scale), (q, k, v)
    if kind == 1:
        return lambda q, k, v: op(q, k, v, is_causal=True), (q, k, v)
    return lambda q, k, v: op(q, k, v, attn_mask=keep if kind == 2 else added), (q, k, v)


@case("lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input")
def recurrent(d: Draw, o: str) -> Case:
    layers, hidden, inputs, both = d.int(1, 2), d.int(1, 4), d.int(1, 4), bool(d.int(0, 1))
    bias, first, steps = bool(d.int(0, 1)), bool(d.int(0, 1)), d.int(1, 4)
    name = o.split(".")[0]
    gates = {"lstm": 4, "gru": 3}.get(name, 1)
    out, params = hidden, []
    for layer in range(layers):
        for _ in range(1 + both):
            wide = inputs if layer == 0 else out * (1 + both)
            params += [d.normal(gates * hidden, wide), d.normal(gates * hidden, out)]
            params += [d.normal(gates * hidden), d.normal(gates * hidden)] if bias else []
    h, c = d.normal(layers * (1 + both), 2, out), d.normal(layers * (1 + both), 2, hidden)
    x = d.normal(2, steps, inputs) if first else d.normal(steps, 2, inputs)
    op = overload(o)
    if name == "lstm":
        return lambda x, h, c: op(x, [h, c], params, bias, layers, 0.0, False, both, first), (x, h, c)
    return lambda x, h: op(x, h, params, bias, layers, 0.0, False, both, first), (x, h)


# --- pooling and reductions -----------------------------------------------------------------------------------


def _window(d: Draw, rank: int):
    kernel = [d.int(1, 3) for _ in range(rank)]
    return kernel, [d.int(1, 3) for _ in range(rank)], [d.int(0, k // 2) for k in kernel]


@case(*(f"max_pool{r}d.default" for r in (1, 2, 3)), *(f"max_pool{r}d_with_indices.default" for r in (2, 3)))
def max_pool(d: Draw, o: str) -> Case:
    rank, op = int(o[8]), overload(o)
    kernel, stride, pad = _window(d, rank)
    stride, ceil = d.pick(stride, []), bool(d.int(0, 1))
    x = d.normal(2, 3, *(d.int(6, 9) for _ in range(rank)))
    first = "indices" in o
    return lambda x: op(x, kernel, stride, pad, 1, ceil)[0] if first else op(x, kernel, stride, pad, 1, ceil), (x,)


@case(*(f"avg_pool{r}d.default" for r in (1, 2, 3)))
def avg_pool(d: Draw, o: str) -> Case:
    rank, op = int(o[8]), overload(o)
    kernel, stride, pad = _window(d, rank)
    ceil, include = bool(d.int(0, 1)), bool(d.int(0, 1))
    x = d.normal(2, 3, *(d.int(6, 9) for _ in range(rank)))
    if rank > 1 and d.int(0, 2) == 0:
        return lambda x: op(x, kernel, stride, 0, False, include, 5), (x,)
    return lambda x: op(x, kernel, stride, pad, ceil, include), (x,)


@case(*(f"{k}adaptive_avg_pool{r}d.default" for k, r in (("", 1), ("", 2), ("", 3), ("_", 2), ("_", 3))))
def adaptive_avg_pool(d: Draw, o: str) -> Case:
    rank, op = int(o.removesuffix("d.default")[-1]), overload(o)
    size = [d.int(1, 4) for _ in range(rank)]
    x = d.normal(2, 3, *(d.pick(n * 2, n + 1, n + 3) for n in size))
    return lambda x: op(x, size), (x,)


@case(*(f"adaptive_max_pool{r}d.default" for r in (1, 2, 3)))
def adaptive_max_pool(d: Draw, o: str) -> Case:
    rank, op = int(o[17]), overload(o)
    size = [d.int(1, 4) for _ in range(rank)]
    x = d.normal(2, 3, *(d.pick(n * 2, n + 1, n + 3) for n in size))
    return lambda x: op(x, size)[0], (x,)


def _axes(d: Draw, rank: int) -> list[int]:
    return sorted(int(a) for a in d.generator.permutation(rank)[: d.int(1, rank)])


@case("mean.dim", "sum.dim_IntList", "amax.default", "amin.default", "logsumexp.default")
def reduction(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape()
    axes, keep = _axes(d, len(shape)), bool(d.int(0, 1))
    return lambda x: op(x, axes, keep), (d.normal(*shape),)


@case(*(f"{n}.default" for n in ("mean", "sum", "max", "min", "prod")))
def whole_reduction(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x: op(x), (d.normal(*d.shape(2)),)


@case("prod.dim_int", "max.dim", "min.dim", "argmax.default", "argmin.default")
def along_one_axis(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape()
    axis, keep = d.int(-len(shape), len(shape) - 1), bool(d.int(0, 1))
    if o.startswith("arg") and d.int(0, 3) == 0:
        return lambda x: op(x, None, keep), (d.normal(*shape),)
    return lambda x: op(x, axis, keep), (d.normal(*shape),)


@case(
    "var.correction",
    "std.correction",
    "var.dim",
    "std.dim",
    "var.default",
    "std.default",
    "var_mean.correction",
    "std_mean.correction",
)
def variance(d: Draw, o: str) -> Case:
    op, shape = overload(o), (*d.shape(2), 4)
    axes, correction = [2, *_axes(d, 2)], d.pick(0, 1)
    if o.endswith("default"):
        return lambda x: op(x), (d.normal(*shape),)
    if o.endswith("dim"):
        return lambda x: op(x, axes, False, True), (d.normal(*shape),)
    return lambda x: op(x, axes, correction=correction, keepdim=True), (d.normal(*shape),)


@case("linalg_vector_norm.default", "norm.ScalarOpt_dim")
def norm(d: Draw, o: str) -> Case:
    op, order, keep = overload(o), d.pick(1, 2, math.inf), bool(d.int(0, 1))
    return lambda x: op(x, order, [1], keep), (d.normal(3, 4, 2),)


# --- shapes ---------------------------------------------------------------------------------------------------


@case("view.default", "reshape.default", "_unsafe_view.default")
def reshape(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape(3)
    to = d.pick([-1], [shape[0], -1], [math.prod(shape[:2]), shape[2]])
    return lambda x: op(x * 2, to) + 1, (d.normal(*shape),)


@case("flatten.using_ints")
def flatten(d: Draw, o: str) -> Case:
    first, last = d.pick((0, -1), (1, -1), (1, 2), (-2, -1))
    return lambda x: aten.flatten(x, first, last) + 1, (d.normal(2, 3, 4, 2),)


@case("unflatten.int")
def unflatten(d: Draw, o: str) -> Case:
    sizes = d.pick([2, 3], [-1, 2], [3, 1, -1])
    return lambda x: aten.unflatten(x, 1, sizes) + 1, (d.normal(2, 6, 3),)


@case("squeeze.default", "squeeze.dim", "squeeze.dims", "unsqueeze.default")
def squeeze(d: Draw, o: str) -> Case:
    op = overload(o)
    shape = tuple(d.pick(1, 3) for _ in range(3))
    arguments = {"default": (), "dim": (d.int(-3, 2),), "dims": ([0, 2],)}[o.split(".")[1]]
    arguments = (d.int(-4, 3),) if o.startswith("uns") else arguments
    return lambda x: op(x, *arguments) + 1, (d.normal(*shape),)


@case("permute.default", "transpose.int", "swapaxes.default", "swapdims.default", "movedim.int", "movedim.intlist")
def permute(d: Draw, o: str) -> Case:
    op, shape = overload(o), d.shape(4)
    order = [int(a) for a in d.generator.permutation(4)]
    known = d.normal(*shape)
    arguments = {"permute.default": (order,), "movedim.intlist": (order[:2], order[1:3])}
    given = arguments.get(o, (order[0], order[1] - 4))
    return lambda x: op(x, *given) + op(known, *given), (d.normal(*shape),)


@case("t.default", "numpy_T.default")
def turned(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x: op(x) + 1, (d.normal(3, 4),)


@case("expand.default", "broadcast_to.default", "expand_as.default")
def expand(d: Draw, o: str) -> Case:
    op, like = overload(o), d.normal(2, 3, 4)
    given = like if o.startswith("expand_as") else [2, -1, 4]
    return lambda x: op(x, given) * 2, (d.normal(3, 1),)


@case("repeat.default", "tile.default", "repeat_interleave.self_int")
def repeat(d: Draw, o: str) -> Case:
    op = overload(o)
    if "interleave" in o:
        times, axis = d.int(1, 3), d.pick(None, 0, 1)
        return lambda x: op(x, times, axis), (d.normal(2, 3),)
    times = d.pick([2, 3], [1, 2], [2, 1, 3])
    return lambda x: op(x, times), (d.normal(2, 3),)


@case("cat.default", "concat.default", "concatenate.default", "stack.default")
def concat(d: Draw, o: str) -> Case:
    op, axis, known = overload(o), d.int(-2, 1), d.normal(2, 3)
    return lambda x, y: op([x, known, y], axis), (d.normal(2, 3), d.normal(2, 3))


@case("split.Tensor", "chunk.default", "split.sizes", "split_with_sizes.default", "unbind.int")
def split(d: Draw, o: str) -> Case:
    op, axis = overload(o), d.int(-2, 1)
    n = (7, 6)[axis]
    given = {"split.Tensor": (3, axis), "chunk.default": (4, axis), "unbind.int": (axis,)}
    arguments = given.get(o, ([1, n - 3, 2], axis))
    return lambda x: [y * 2 for y in op(x, *arguments)], (d.normal(7, 6),)


@case("narrow.default", "select.int", "slice.Tensor")
def cut(d: Draw, o: str) -> Case:
    axis, index, start, stop, step = d.int(-2, 1), d.pick(0, 2, -1), d.pick(0, 1, -4), d.pick(5, -1, 9999), d.int(1, 3)
    calls = {
        "narrow.default": lambda x: x.narrow(axis, 1, 3),
        "select.int": lambda x: x.select(axis, index),
        "slice.Tensor": lambda x: aten.slice(x, axis, start, stop, step),
    }
    return lambda x: calls[o](x) * 2, (d.normal(6, 5),)


@case("index_select.default", "index.Tensor", "_unsafe_index.Tensor", "embedding.default")
def pick_rows(d: Draw, o: str) -> Case:
    chosen = torch.tensor([d.int(0, 4) for _ in range(4)])
    if o.startswith("embedding"):
        return lambda w: aten.embedding(w, chosen.reshape(2, 2)), (d.normal(5, 3),)
    if o.startswith("index_select"):
        return lambda x: aten.index_select(x, 1, chosen), (d.normal(2, 5, 3),)
    if o.startswith("_unsafe") or d.int(0, 1):
        rows, other = d.pick((chosen[:, None], torch.tensor([1, 0, 2])), (chosen, chosen % 3))
        return lambda x: overload(o)(x, [None, rows, other]), (d.normal(2, 5, 3, 2),)
    return lambda x: x[:, chosen.reshape(2, 2) - 3], (d.normal(2, 5, 3),)


@case("copy.default")
def copied(d: Draw, o: str) -> Case:
    return lambda x, y: aten.copy(x, y) + 1, (d.normal(2, 3), d.normal(d.pick(1, 2), 3))


@case("slice_scatter.default", "select_scatter.default")
def written(d: Draw, o: str) -> Case:
    if o.startswith("select"):
        index = d.int(-5, 4)
        return lambda x, y: aten.select_scatter(x, y, 1, index), (d.normal(2, 5, 3), d.normal(2, 3))
    start = d.int(0, 3)
    return lambda x, y: aten.slice_scatter(x, y, 1, start, start + 2), (d.normal(2, 5, 3), d.normal(2, 2, 3))


@case("flip.default", "roll.default")
def turn_round(d: Draw, o: str) -> Case:
    axes = _axes(d, 3)
    shifts = [d.int(-5, 5) for _ in axes]
    if o.startswith("flip"):
        return lambda x: aten.flip(x, axes), (d.normal(2, 3, 4),)
    return lambda x: aten.roll(x, shifts, axes), (d.normal(2, 3, 4),)


# --- padding and resampling -----------------------------------------------------------------------------------


@case("constant_pad_nd.default", "pad.default")
def pad(d: Draw, o: str) -> Case:
    pads = [d.int(-1, 2) for _ in range(2 * d.int(1, 2))]
    if o.startswith("constant"):
        return lambda x: aten.constant_pad_nd(x, pads, 0.5), (d.normal(2, 3, 4, 5),)
    mode = d.pick("constant", "reflect", "replicate", "circular")
    value = 0.25 if mode == "constant" else None
    full = [abs(p) for p in pads] if mode != "constant" else pads
    return lambda x: aten.pad(x, full, mode, value), (d.normal(2, 3, 4, 5) if len(full) == 4 else d.normal(2, 3, 4),)


@case(*(f"{k}_pad{r}d.default" for k in ("reflection", "replication") for r in (1, 2, 3)))
def mirrored(d: Draw, o: str) -> Case:
    rank, op = int(o.removesuffix("d.default")[-1]), overload(o)
    pads = [d.int(0, 2) for _ in range(2 * rank)]
    return lambda x: op(x, pads), (d.normal(1, 2, *(d.int(3, 5) for _ in range(rank))),)


_SAMPLERS = (
    *(f"{n}{r}d" for n in ("upsample_nearest", "_upsample_nearest_exact") for r in (1, 2, 3)),
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_trilinear3d",
)


@case(*(f"{n}.{k}" for n in _SAMPLERS for k in ("vec", "default")))
def resample(d: Draw, o: str) -> Case:
    name, kind = o.split(".")
    rank, op = int(name[-2]), overload(o)
    x = d.normal(1, 2, *(d.int(2, 6) for _ in range(rank)))
    scales = [d.pick(2.0, 3.0, 1.5, 0.5) for _ in range(rank)]
    sizes = [d.int(1, 9) for _ in range(rank)]
    corners = () if "nearest" in name else (bool(d.int(0, 1)),)
    if kind == "vec":
        given = d.pick((None, *corners, scales), (sizes, *corners, None))
        return lambda x: op(x, *given), (x,)
    by_scale = [math.floor(n * s) for n, s in zip(x.shape[2:], scales, strict=True)]
    given = d.pick((sizes, *corners), (by_scale, *corners, *scales))
    return lambda x: op(x, *given), (x,)


@case("pixel_shuffle.default", "pixel_unshuffle.default", "channel_shuffle.default", "native_channel_shuffle.default")
def shuffle(d: Draw, o: str) -> Case:
    op = overload(o)
    return lambda x: op(x, 2), (d.normal(2, 4, 4, 6),)


# --- constants and sizes --------------------------------------------------------------------------------------


@case("zeros.default", "ones.default", "full.default", "scalar_tensor.default", "eye.default", "eye.m")
def filled(d: Draw, o: str) -> Case:
    op = overload(o)
    given = {"full.default": ([4, 4], 1.5), "scalar_tensor.default": (2.5,), "eye.default": (4,), "eye.m": (4, 4)}
    arguments = given.get(o, ([4, 4],))
    return lambda x: x + op(*arguments), (d.normal(4, 4),)


@case(
    "new_zeros.default",
    "new_ones.default",
    "new_full.default",
    "zeros_like.default",
    "ones_like.default",
    "full_like.default",
)
def filled_like(d: Draw, o: str) -> Case:
    op = overload(o)
    arguments = () if "like" in o else ([3, 4],)
    arguments += (0.5,) if "full" in o else ()
    return lambda x: x + op(x, *arguments), (d.normal(3, 4),)


@case("arange.default", "arange.start", "arange.start_step")
def arange(d: Draw, o: str) -> Case:
    op = overload(o)
    arguments = {"default": (5,), "start": (2, 7), "start_step": (10, 0, -2)}[o.split(".")[1]]
    kind = d.pick(torch.int64, torch.float32)
    return lambda x: x * op(*arguments, dtype=kind), (d.normal(3, 5),)


@case("tril.default", "triu.default")
def triangle(d: Draw, o: str) -> Case:
    op, k = overload(o), d.int(-1, 1)
    return lambda x: x * op(torch.ones(4, 4), k), (d.normal(4, 4),)


@case("_assert_tensor_metadata.default")
def metadata(d: Draw, o: str) -> Case:
    def function(x: Tensor) -> Tensor:
        aten._assert_tensor_metadata(x, None, None, torch.float32)
        return x + 1

    return function, (d.normal(2),)


@case("_assert_async.msg")
def asserted(d: Draw, o: str) -> Case:
    def function(x: Tensor) -> Tensor:
        aten._assert_async.msg(x.sum() < 1e9, "too large")
        return x + 1

    return function, (d.normal(2),)


# --- quantised ------------------------------------------------------------------------------------------------


def _parameters(d: Draw) -> tuple[float, int, int, int, torch.dtype]:
    lo, hi, kind = d.pick(
        (-128, 127, torch.int8),
        (-127, 127, torch.int8),
        (0, 255, torch.uint8),
        (0, 127, torch.uint8),
        (-8, 7, torch.int8),
    )
    return d.pick(0.0371, 0.25, 0.9), d.int(max(lo // 2, lo), hi // 2), lo, hi, kind


@case("quantized_decomposed.quantize_per_tensor.default", "quantized_decomposed.dequantize_per_tensor.default")
def per_tensor(d: Draw, o: str) -> Case:
    p = _parameters(d)

    def function(x: Tensor) -> Tensor:
        return quantized.dequantize_per_tensor(quantized.quantize_per_tensor(x, *p), *p)

    return function, (d.normal(3, 4, 5) * 10,)


@case("quantized_decomposed.quantize_per_tensor.tensor", "quantized_decomposed.dequantize_per_tensor.tensor")
def per_tensor_of_tensors(d: Draw, o: str) -> Case:
    scale, zero, lo, hi, kind = _parameters(d)
    s, z = torch.tensor(scale), torch.tensor(zero)

    def function(x: Tensor) -> Tensor:
        codes = quantized.quantize_per_tensor.tensor(x, s, z, lo, hi, kind)
        return quantized.dequantize_per_tensor.tensor(codes, s, z, lo, hi, kind)

    return function, (d.normal(3, 4) * 10,)


@case("quantized_decomposed.quantize_per_channel.default", "quantized_decomposed.dequantize_per_channel.default")
def per_channel(d: Draw, o: str) -> Case:
    scales, axis = d.positive(3), d.int(0, 1)
    zeros = torch.tensor([d.int(-5, 5) for _ in range(3)])
    codes = torch.from_numpy(d.generator.integers(-128, 128, (3, 3))).to(torch.int8)

    def function(x: Tensor) -> Tensor:
        y = quantized.quantize_per_channel(x, scales, zeros, axis, -128, 127, torch.int8)
        w = quantized.dequantize_per_channel(codes, scales, zeros, 0, -128, 127, torch.int8)
        return torch.nn.functional.linear(
            quantized.dequantize_per_channel(y, scales, zeros, axis, -128, 127, torch.int8), w
        )

    return function, (d.normal(3, 3) * 10,)
