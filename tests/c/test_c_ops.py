"""Every op in C against the interpreter, alone and in drawn chains."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from c_support import HOST, check, const, drawn, graph_of, inp
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.backends.c import plan
from edgec.backends.c.design import unsupported
from edgec.formats import F16, F32, F64, Affine, Fixed, Integer, Quantizer, TensorType, TupleType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.graph import Graph
from edgec.hw.arm.toolchain import compile_c
from edgec.hw.sim.c_batch import batch_source
from edgec.hw.sim.c_program import FLAGS, WARNINGS
from edgec.ops import (
    Add,
    AvgPool,
    Cast,
    Clip,
    Concat,
    Conv,
    Dense,
    Dequantize,
    Get,
    MatMul,
    MaxPool,
    Mul,
    Op,
    Quantize,
    Relu,
    Requantize,
    Reshape,
    Slice,
    Softmax,
    Sub,
    Transpose,
    Unary,
    integers,
)
from edgec.ops.elementwise import UNARY_FUNCTIONS
from edgec.rounding import OVERFLOWS, ROUNDINGS

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from artefact_support import need
from every_op import every_op


def tolerance(op: Op) -> float:
    """binary16 rounds to 11 bits, after sums in another order."""
    return 2e-3 if any(o.format == F16 for o in (op, *op.operands) if isinstance(o.type, TensorType)) else 1e-5


OPS = every_op()


def whole(op: Op) -> Graph:
    """A graph with all results of `op`."""
    if isinstance(op.type, TupleType):
        return graph_of(*(Get(op, i) for i in range(len(op.type.elements))))
    return graph_of(op)


@pytest.mark.parametrize("op", OPS, ids=[f"{i}-{o.mnemonic}" for i, o in enumerate(OPS)])
def test_every_op(op: Op) -> None:
    graph = whole(op)
    assert not unsupported(graph)
    check(graph, tolerance=tolerance(op))


def test_clang_has_no_remark_about_any_op(tmp_path: Path) -> None:
    need("zig")
    plans = [plan(whole(op), HOST, {"name": f"m{k}"}) for k, op in enumerate(OPS)]
    operands = (inp(F16, 64, name="h"), inp(F32, 64), inp(F64, 64, name="d"))
    functions = graph_of(*(Unary(x, n, 0.3, 0.7) for x in operands for n in UNARY_FUNCTIONS if n != "not"))
    plans.append(plan(functions, HOST, {"name": "functions"}))
    plans.append(plan(graph_of(Dequantize(inp(Integer(8), 4), F16)), HOST, {"name": "only_to_half"}))
    (tmp_path / "all.c").write_text(batch_source(plans), encoding="utf-8")
    flags = (*FLAGS, *WARNINGS, "-O0")
    compile_c([tmp_path / "all.c"], tmp_path / "all.o", core="cortex-a53", compiler="zig", flags=flags, link=False)


def test_all_mnemonics_are_covered() -> None:
    from edgec.ops import OPS as KNOWN

    tested = {o.mnemonic for o in OPS} | {"input", "constant"}
    assert set(KNOWN) <= tested


def test_rounding_and_overflow_in_every_mode() -> None:
    """A shift, a quotient and a quantiser of floats, in all modes, on all codes of a byte."""
    x, f = inp(Fixed(8, 8), 256), inp(F32, 256, name="f")
    outputs: list[Op] = []
    for rounding in ROUNDINGS:
        for overflow in OVERFLOWS:
            outputs.append(Cast(x, Quantizer(Fixed(4, 6), rounding, overflow)))
            outputs.append(Cast(x, Quantizer(Fixed(5, 7, False), rounding, overflow)))
        outputs.append(Quantize(f, Quantizer(Fixed(4, 3), rounding, "saturate")))
        pooled = Reshape(x, (1, 1, 16, 16))
        outputs.append(AvgPool(pooled, (3, 1), (2, 2), out=Quantizer(Fixed(8, 8), rounding, "saturate")))
    check(graph_of(*outputs), frames=8)


@pytest.mark.parametrize("dtype", [F32, F64, F16], ids=str)
def test_every_unary_function(dtype: object) -> None:
    x = inp(dtype, 64)  # type: ignore[arg-type]
    outputs = [Unary(x, name, 0.3, 0.7) for name in UNARY_FUNCTIONS if name != "not"]
    check(graph_of(*outputs), tolerance=2e-3 if dtype is F16 else 1e-6)


@st.composite
def integer_chains(draw: st.DrawFn) -> Op:
    """A few integer ops in a row, of drawn formats, shapes and layouts."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    fmt = draw(
        st.sampled_from(
            [Fixed(8, 3), Fixed(5, 1, False), Integer(8), Affine(Integer(8), (0.25,), (3,)), Ternary(), Fixed(12, 4)]
        )
    )
    channels, size = draw(st.integers(1, 5)), draw(st.integers(3, 7))
    y: Op = inp(fmt, 1, channels, size, draw(st.integers(3, 6)))
    for _ in range(draw(st.integers(1, 5))):
        y = _step(draw, rng, y)
    return y


def _step(draw: st.DrawFn, rng: np.random.Generator, y: Op) -> Op:
    out = Quantizer(Fixed(8, 4), draw(st.sampled_from(ROUNDINGS)), draw(st.sampled_from(OVERFLOWS)))  # type: ignore[arg-type]
    dyadic = y.format.frac is not None and not y.format.zero_point_array.any()
    kinds = ["relu", "clip", "transpose", "reshape", "slice", "requantize", "concat"]
    kinds += ["add", "sub", "mul", "cast"] * dyadic + ["conv", "depthwise", "pool", "dense"]
    kind = draw(st.sampled_from(kinds))
    rank = len(y.shape)
    if kind in ("conv", "depthwise", "pool") and (rank != 4 or min(y.shape[2:]) < 2):
        kind = "requantize"
    match kind:
        case "relu":
            return Relu(y) if y.format.has_zero else y
        case "clip":
            return Clip(y, -1.5, 2.25)
        case "transpose":
            return Transpose(y, tuple(draw(st.permutations(range(rank)))))
        case "reshape":
            return Reshape(
                y, (1, y.tensor.size) if draw(st.booleans()) else (1, y.shape[-1], -(-y.tensor.size // y.shape[-1]))
            )
        case "slice":
            stops = tuple(n if n < 3 else n - 1 for n in y.shape)
            return Slice(y, (0,) * rank, stops, (1,) * (rank - 1) + (draw(st.sampled_from([1, 2])),))
        case "concat":
            return Concat((y, y), draw(st.integers(0, rank - 1)))
        case "requantize":
            per = draw(st.booleans()) and rank > 1
            n = y.shape[1] if per else 1
            multiplier, shift = rng.integers(1, 1 << 20, n), rng.integers(8, 22, n)
            to = Quantizer(Affine(Integer(8), (0.5,), (-3,)), out.rounding, "saturate")
            return Requantize(y, integers(multiplier), integers(shift), None, to, 1 if rank > 1 else 0)
        case "add" | "sub" | "mul":
            other = drawn(rng, Fixed(6, 2), *(n if draw(st.booleans()) else 1 for n in y.shape))
            op = {"add": Add, "sub": Sub, "mul": Mul}[kind]
            return op(y, other, out)
        case "cast":
            return Cast(y, out)
        case "conv" | "depthwise":
            groups = y.shape[1] if kind == "depthwise" else 1
            outputs = y.shape[1] * 2 if kind == "depthwise" else draw(st.integers(1, 4))
            w = drawn(
                rng,
                draw(st.sampled_from([Fixed(6, 1), Ternary(), Pow2(4), Binary()])),
                outputs,
                y.shape[1] // groups,
                2,
                2,
            )
            pads = draw(st.sampled_from([(0, 0, 0, 0), (1, 0, 1, 1)]))
            product = Quantizer(Fixed(8, 4), "floor") if dyadic and draw(st.booleans()) else None
            b = drawn(rng, Fixed(6, 2), outputs) if dyadic and draw(st.booleans()) else None
            return Conv(y, w, b, (draw(st.sampled_from([1, 2])), 1), pads, groups=groups, product=product,
                        out=out if dyadic else None)  # fmt: skip
        case "pool":
            return MaxPool(y, (2, 2), (1, 2), (0, 1, 1, 0))
    w = drawn(rng, Fixed(5, 1), draw(st.integers(1, 6)), y.shape[-1])
    return Dense(y, w, out=out if dyadic else None)


@settings(max_examples=25)
@given(integer_chains())
def test_drawn_integer_chains(op: Op) -> None:
    check(graph_of(op))


def test_a_quantised_tail_in_floats_gives_the_same_codes() -> None:
    """Dequantize, softmax, Quantize: the codes of the interpreter, for many frames."""
    x = inp(Affine(Integer(8), (0.17185351252555847,), (24,)), 1, 10)
    soft = Softmax(Dequantize(x), 1)
    check(graph_of(Quantize(soft, Quantizer(Affine(Integer(8), (1 / 256,), (-128,))))), frames=2000)


def test_float_matrix_products_with_broadcast_batches() -> None:
    x, y = inp(F32, 2, 1, 3, 4), inp(F32, 5, 4, 6, name="y")
    check(graph_of(MatMul(x, y), MatMul(Transpose(x, (0, 1, 3, 2)), const(F32, np.ones((3, 2))))))


def test_wide_sums_take_64_bits() -> None:
    rng = np.random.default_rng(0)
    x = inp(Integer(16), 1, 40)
    check(graph_of(Dense(x, drawn(rng, Integer(16), 3, 40)), Dense(x, drawn(rng, Integer(24), 2, 40))))
