"""What the RTL backend can build; everything it cannot is listed at once."""

from __future__ import annotations

import numpy as np

from edgec.backends.rtl.lower import LOWERINGS, is_data
from edgec.backends.rtl.lower.registry import base_of, is_binary
from edgec.backends.rtl.schedule import HEAVY, LIGHT, MOVES
from edgec.diagnostics import Diagnostic
from edgec.formats import Fixed, Format, Integer, TensorType
from edgec.formats_compressed import Binary, Pow2, Ternary
from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, Gather, Input, Op, Pad, Relu, centered_range
from edgec.ops.mac import product_range
from edgec.rounding import shift_round

ACTIVATIONS = (Integer, Fixed, Binary, Ternary)
"""Formats that wires carry; affine ones over these bases too."""


def unsupported(graph: Graph, loaded: bool = False) -> list[Diagnostic]:
    """One diagnostic for every op of `graph` that this backend cannot build."""
    problems = []
    for name, op in graph.outputs:
        if isinstance(op, Constant):
            what, remedy = f"output {name!r} is a constant", "leave it out of the model"
            problems.append(Diagnostic("E0310", what, op.label, op.mnemonic, None, remedy))
        elif not isinstance(op.type, TensorType):
            what, remedy = f"output {name!r} has several results", "take one with get"
            problems.append(Diagnostic("E0310", what, op.label, op.mnemonic, None, remedy))
    for op in graph.ops:
        if isinstance(op, Constant):
            continue
        problem = _problem(op, loaded)
        if problem is not None:
            code, what, why, remedy = problem
            problems.append(Diagnostic(code, what, op.label, op.mnemonic, why, remedy))
    return problems


def _problem(op: Op, loaded: bool) -> tuple[str, str, str | None, str | None] | None:
    formats = [op.format] if hasattr(op.type, "format") else []
    formats += [
        o.format
        for i, o in enumerate(op.operands)
        if hasattr(o.type, "format") and (not isinstance(o, Constant) or is_data(op, i))
    ]
    if any(f.is_float for f in formats):
        what = f"{op.mnemonic} computes with floats" if not isinstance(op, Input) else "the input is a float"
        remedy = "quantise the model (--quantize bits=8), or leave a floating-point end to the host (--cut-float-tail)"
        return "E0311", what, "the RTL backend computes in integers", remedy
    for o in (op, *(o for i, o in enumerate(op.operands) if is_data(op, i))):
        if isinstance(o.type, TensorType) and o.tensor.size == 0:
            return "E0310", f"{op.mnemonic} of a tensor without elements", f"a shape is {list(o.shape)}", None
    if isinstance(op, Input):
        return _format_problem(op.format, op)
    if not isinstance(op, HEAVY + LIGHT + MOVES) or type(op) not in LOWERINGS:
        return "E0310", f"{op.mnemonic} has no implementation in RTL", None, None
    for fmt in formats:
        problem = _format_problem(fmt, op)
        if problem:
            return problem
    if isinstance(op, Relu) and is_binary(op.format):
        return "E0313", "a ReLU of binary values has no binary result", "binary is -1 or +1", None
    if isinstance(op, Conv | Dense):
        return _mac_problem(op, loaded)
    if isinstance(op, Pad | Gather) and op.format.axis is not None:
        return "E0310", f"{op.mnemonic} of channels with different scales", None, None
    dynamic = [o for o in op.operands[1:] if not isinstance(o, Constant)]
    if isinstance(op, LIGHT) and dynamic:
        return "E0310", f"{op.mnemonic} with parameters that are computed", None, "make them constants"
    return None


def _format_problem(fmt: Format, op: Op) -> tuple[str, str, str | None, str | None] | None:
    if not _on_wires(fmt):
        return "E0310", f"activations in {fmt}", "wires carry int, fixed, affine, binary or ternary", "requantise"
    if fmt.bits > 62:
        return "E0310", f"{op.mnemonic} gives {fmt.bits} bits", "at most 62", "requantise to fewer"
    return None


def _on_wires(fmt: Format) -> bool:
    """Whether wires carry `fmt`: its codes are its levels, or it is binary."""
    return isinstance(base_of(fmt), ACTIVATIONS) and not (is_binary(fmt) and fmt.zero_point_array.any())


def _mac_problem(op: Conv | Dense, loaded: bool) -> tuple[str, str, str | None, str | None] | None:
    if not isinstance(op.w, Constant) or (op.b is not None and not isinstance(op.b, Constant)):
        return "E0310", f"{op.mnemonic} with weights that are computed", None, None
    if loaded:
        held = [("weights", op.w.format)] + ([("bias", op.b.format)] if op.b is not None else [])
        for role, fmt in held:
            shifts = role == "weights" and isinstance(base_of(fmt), Pow2)
            if not (_on_wires(fmt) or shifts) or fmt.zero_point_array.any():
                why = "a register bank holds int, fixed, ternary, binary and pow2 without zero point"
                return "E0310", f"loaded {role} in {fmt}", why, None
    for quantizer in (op.product, op.acc, op.out):
        if quantizer is not None and not _on_wires(quantizer.format):
            why = "sums are brought into int, fixed, affine, binary or ternary"
            return "E0310", f"{op.mnemonic} through {quantizer.format}", why, None
    if op.product is not None:
        ends = np.array(product_range(centered_range(op.x.format), centered_range(op.w.format)), object)
        drop = (op.x.format.frac or 0) + (op.w.format.frac or 0) - (op.product.format.frac or 0)
        lo, hi = shift_round(ends, drop, op.product.rounding).tolist()
        low, high = op.product.format.level_range
        if lo < low or hi > high:
            why = f"products reach {lo}..{hi}, the format holds {low}..{high}"
            return "E0310", f"products overflow {op.product.format}", why, "give the product more integer bits"
    return None
