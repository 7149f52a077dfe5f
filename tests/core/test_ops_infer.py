"""Type inference, and the refusal of operands that do not fit, with the names of the source layers."""

from __future__ import annotations

import numpy as np
import pytest
from core_support import inp

from edgec.diagnostics import EdgecError
from edgec.formats import F16, F32, Affine, Fixed, Format, Integer, Quantizer, TensorType
from edgec.formats_compressed import Binary
from edgec.ops import (
    BOOL,
    OPS,
    Add,
    BatchNorm,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    Input,
    MatMul,
    MaxPool,
    Mul,
    Normalize,
    Op,
    PRelu,
    Softmax,
    Unary,
    Where,
    constant,
    integers,
)
from edgec.ops import Binary as BinaryOp
from edgec.ops.mac import window_shape


def const(fmt: Format, *shape: int) -> Constant:
    return Constant(np.zeros(shape, fmt.dtype), type=TensorType(fmt, shape))


IMAGE = inp(Fixed(8, 1), 1, 4, 8, 8)
KERNEL = const(Fixed(6, 1), 8, 4, 3, 3)


def test_shapes_of_windows() -> None:
    assert window_shape((8, 8), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)) == (8, 8)
    assert window_shape((8,), (3,), (2,), (0, 1), (1,)) == (4,)
    assert window_shape((7,), (2,), (2,), (0, 0), (1,)) == (3,)
    assert window_shape((7,), (2,), (2,), (0, 0), (1,), ceil_mode=True) == (4,)
    assert window_shape((2,), (1,), (2,), (0, 1), (1,), ceil_mode=True) == (1,)  # a window may not start in the padding
    assert window_shape((9,), (3,), (1,), (0, 0), (3,)) == (3,)


def test_conv_and_dense_types() -> None:
    assert str(Conv(IMAGE, KERNEL).type) == "fixed<19, 7>[1, 8, 6, 6]"
    assert Conv(IMAGE, KERNEL, pads=(1, 1, 1, 1), strides=(2, 2)).shape == (1, 8, 4, 4)
    assert Conv(IMAGE, const(Fixed(6, 1), 8, 1, 3, 3), groups=4).terms == 9
    assert Conv(IMAGE, KERNEL).terms == 36
    rows = inp(Fixed(8, 1), 5, 7)
    assert Dense(rows, const(Fixed(6, 1), 3, 7)).shape == (5, 3)
    out = Quantizer(Fixed(9, 1, signed_=False), "floor")
    assert Dense(rows, const(Fixed(6, 1), 3, 7), out=out).format == out.format
    assert Dense(inp(F32, 7), const(F32, 3, 7)).type == TensorType(F32, (3,))


def test_per_channel_weights_give_per_channel_sums() -> None:
    w = Affine(Integer(8), (0.1, 0.2), (0,), 0)
    x = Affine(Integer(8, False), (0.5,), (128,))
    op = Conv(inp(x, 1, 3, 5), const(w, 2, 3, 3))
    assert op.format == Affine(Integer(32), (0.05, 0.1), (0,), 1)
    assert Dense(inp(x, 4, 6, 3), const(w, 2, 3)).format.axis == 2
    same = Affine(Integer(8), (0.5, 0.5), (1, 2), 0)  # one power of two: fixed point
    assert Dense(inp(Fixed(8, 4), 3), const(same, 2, 3)).format.frac == 5


REFUSED = [
    (lambda: Conv(IMAGE, const(Fixed(6, 1), 8, 3, 3, 3)), r"4 channels for weights \[8, 3, 3, 3\]"),
    (lambda: Conv(IMAGE, const(Fixed(6, 1), 8, 4, 3)), "with weights"),
    (lambda: Conv(IMAGE, const(Fixed(6, 1), 8, 4, 9, 9)), "does not fit 8 elements"),
    (lambda: Conv(IMAGE, KERNEL, const(Fixed(6, 1), 7)), r"bias \[7\] for 8 outputs"),
    (lambda: Conv(IMAGE, KERNEL, groups=3), "8 outputs in 3 groups"),
    (lambda: Conv(IMAGE, KERNEL, groups=0), "0 groups"),
    (lambda: Conv(IMAGE, KERNEL, strides=(0, 1)), "at least 1"),
    (lambda: Conv(IMAGE, KERNEL, strides=(1,)), "window attributes"),
    (lambda: Conv(IMAGE, KERNEL, pads=(1, 1)), "2 pads for 2 axes"),
    (lambda: Conv(IMAGE, KERNEL, pads=(-1, 0, 0, 0)), "negative pads"),
    (lambda: Conv(IMAGE, const(F32, 8, 4, 3, 3)), "float and integer operands mixed"),
    (lambda: Conv(IMAGE, const(Affine(Integer(8), (0.1,) * 4, (0,), 1), 8, 4, 3, 3)), "per output channel"),
    (lambda: Conv(IMAGE, KERNEL, out=Quantizer(Affine(Integer(8), (0.1,)))), "use requantize"),
    (lambda: Conv(IMAGE, KERNEL, out=Quantizer(Affine(Integer(8), (0.5,), (4,)))), "zero point 0"),
    (lambda: Conv(IMAGE, KERNEL, product=Quantizer(Binary())), "never zero"),
    (lambda: Conv(inp(Affine(Integer(8), (0.1, 0.2), (0,), 1), 1, 2, 4), KERNEL), "with weights"),
    (lambda: Dense(inp(Affine(Integer(8), (0.1, 0.2), (0,), 0), 2), const(Fixed(4, 1), 3, 2)), "per tensor"),
    (lambda: Dense(inp(Affine(Integer(8), (0.1,)), 2), const(Fixed(4, 1), 3, 2), const(F32, 3)), "units"),
    (
        lambda: Dense(inp(Affine(Integer(8), (0.1,)), 2), const(Fixed(4, 1), 3, 2), out=Quantizer(Fixed(4, 1))),
        "use requantize",
    ),
    (lambda: Dense(inp(Integer(40), 2), const(Integer(40), 3, 2)), "64"),
    (lambda: Dense(inp(Integer(31), 6), const(Integer(31), 3, 6)), "at most 63"),
    (lambda: Dense(inp(F32, 3), const(F32, 2, 4)), r"3 inputs for weights \[2, 4\]"),
    (lambda: Dense(inp(F32, 3), const(F32, 3)), "dense needs"),
    (lambda: Dense(inp(F32), const(F32, 3, 1)), "dense needs"),
    (lambda: Dense(inp(F32, 2), const(F32, 3, 2), out=Quantizer(Integer(8))), "quantizers need integer"),
    (lambda: Dense(inp(F32, 2), const(F16, 3, 2)), "mixed"),
    (lambda: ConvTranspose(inp(F32, 1, 3, 4), const(F32, 2, 3, 3)), "channels"),
    (lambda: ConvTranspose(inp(F32, 1, 3, 1), const(F32, 3, 3, 1), pads=(1, 1)), "empty result"),
    (lambda: MatMul(inp(F32, 2, 3), inp(F32, 2, 3)), "inner dimensions 3 and 2"),
    (lambda: MatMul(inp(F32, 3), inp(F32, 3, 3)), "two dimensions"),
    (lambda: MatMul(inp(Integer(8), 3, 3), inp(Integer(8), 3, 3)), "needs float operands"),
    (lambda: Add(inp(F32, 3), inp(F32, 4)), r"\[3\], \[4\] do not broadcast"),
    (lambda: Add(inp(F32, 3), inp(Integer(8), 3)), "different formats"),
    (lambda: Mul(inp(Affine(Integer(8), (0.1,)), 3), inp(Integer(8), 3)), "power-of-two units"),
    (lambda: Mul(inp(Integer(40), 3), inp(Integer(40), 3)), "64|63"),
    (lambda: Unary(inp(F32, 3), "arcsin"), "unknown function 'arcsin'"),
    (lambda: Unary(inp(Integer(8), 3), "exp"), "needs float"),
    (lambda: Unary(inp(F32, 3), "not"), "truth values"),
    (lambda: BinaryOp(inp(F32, 3), inp(F32, 3), "and"), "truth values"),
    (lambda: BinaryOp(inp(Fixed(8, 1), 3), inp(Fixed(8, 2), 3), "less"), "different formats"),
    (lambda: BinaryOp(inp(Fixed(8, 1), 3), inp(Fixed(8, 1), 3), "pow"), "needs float"),
    (lambda: BinaryOp(inp(Fixed(8, 1), 3), inp(Fixed(8, 1), 3), "div"), "div of fixed"),
    (lambda: Where(inp(F32, 3), inp(F32, 3), inp(F32, 3)), "truth values"),
    (lambda: Where(inp(BOOL, 3), inp(F32, 3), inp(F16, 3)), "branches of different formats"),
    (lambda: PRelu(inp(F32, 3), inp(F32, 2, 3)), "slope does not broadcast"),
    (lambda: Softmax(inp(F32, 3), 1), "axis 1 of a tensor with 1 dimensions"),
    (lambda: BatchNorm(inp(F32, 1, 3), *(const(F32, 2),) * 4), r"parameter \[2\] for 3 channels"),
    (lambda: Normalize(inp(F32, 1, 3), const(F32, 2), None), r"parameter \[2\] for axes \[3\]"),
    (lambda: MaxPool(inp(F32, 1, 1, 4), (2,), strides=(0,)), "at least 1"),
    (lambda: Concat((inp(F32, 3),), 1), "axis 1"),
    (lambda: Input("x"), "needs a type"),
    (lambda: Constant(np.zeros(3)), "needs a type"),
    (lambda: Constant(np.zeros(3), type=TensorType(F32, (4,))), r"shape \[3\]"),
    (lambda: Constant(np.zeros(3), type=TensorType(Integer(8), (3,))), "float64 for int<8>"),
    (lambda: Constant(np.zeros(3, int), type=TensorType(F32, (3,))), "int64 for f32"),
    (lambda: Constant(np.array([100]), type=TensorType(Integer(4), (1,))), "codes 100..100 outside -8..7"),
    (lambda: Constant(np.array([100], np.int8), type=TensorType(Integer(4), (1,))), "outside -8..7"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[f"{i}-{m[:20]}" for i, (_, m) in enumerate(REFUSED)])
def test_operands_that_do_not_fit(build: object, message: str) -> None:
    with pytest.raises(EdgecError, match=message) as caught:
        build()  # type: ignore[operator]
    assert caught.value.code == "E0102" and caught.value.exit == 1


def test_the_message_names_the_source_layers() -> None:
    x = Unary(inp(F32, 1, 3), "neg", loc=("/features/neg",))
    with pytest.raises(EdgecError) as caught:
        Dense(x, const(F32, 2, 4), loc=("/classifier/gemm", "/classifier/relu"))
    (first,) = caught.value.diagnostics
    assert first.layer == "/classifier/gemm, /classifier/relu" and first.op == "dense"
    assert first.why == "operands: f32[1, 3], f32[2, 4]"
    with pytest.raises(EdgecError) as caught:
        Dense(x, const(F32, 2, 4))
    assert caught.value.diagnostics[0].layer == "after /features/neg"


def test_constants_are_frozen_copies() -> None:
    data = np.ones(3)
    op = constant(data)
    data[0] = 5
    assert op.data.tolist() == [1, 1, 1] and not op.data.flags.writeable
    assert Constant(op.data, type=op.type).data is op.data
    with pytest.raises(ValueError, match="read-only"):
        op.data[0] = 2


def test_helpers_choose_the_narrowest_integers() -> None:
    assert [integers(v).format for v in ([0], [1], [-1], [-8, 7], [8], [-9])] == [
        Integer(b) for b in (1, 2, 1, 4, 5, 5)
    ]
    assert integers([3], bits=8).format == Integer(8) and integers(np.zeros((0,))).shape == (0,)
    assert constant([0.3, 9.0], Fixed(4, 2)).values.tolist() == [0.25, 1.75]
    assert constant([0.3, 9.0], Fixed(4, 2), rounding="ceil", overflow="wrap").data.tolist() == [2, 4]


def test_mnemonics() -> None:
    assert OPS["conv_transpose"] is ConvTranspose and OPS["prelu"] is PRelu and OPS["binary"] is BinaryOp
    assert all(issubclass(cls, Op) and cls.mnemonic == name for name, cls in OPS.items())
