"""Evaluation at import: trees of constants by the interpreter, integer arithmetic by ONNX's reference evaluator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto

from edgec.diagnostics import EdgecError
from edgec.formats import FormatError, TupleType
from edgec.formats_compressed import Minifloat
from edgec.frontend.onnx.budget import effort, spend
from edgec.frontend.onnx.node import Node
from edgec.frontend.onnx.read import MAX_ELEMENTS
from edgec.frontend.onnx.types import FORMATS, constant_op
from edgec.graph import topological
from edgec.interp import evaluate
from edgec.ops import Concat, Constant, Dequantize, Op

_NUMPY = {fmt: name for name, fmt in FORMATS.items()}

ELEMENTWISE = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Mod",
        "Pow",
        "Min",
        "Max",
        "Sum",
        "Neg",
        "Abs",
        "Sign",
        "Cast",
        "CastLike",
        "Equal",
        "Less",
        "LessOrEqual",
        "Greater",
        "GreaterOrEqual",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "BitwiseNot",
        "Clip",
        "Where",
    ]
)
"""Of integers: evaluated by the reference evaluator, the result no larger than the broadcast operands."""
SHRINKING = frozenset(
    [
        "ReduceSum",
        "ReduceProd",
        "ReduceMax",
        "ReduceMin",
        "ReduceMean",
        "ArgMax",
        "ArgMin",
        "NonZero",
        "Unique",
    ]
)
"""Results bounded by the operands (times their rank); everything else is evaluated by the interpreter."""
_REFERENCE_LIMIT = 1 << 24


def evaluate_tree(op: Op) -> np.ndarray:
    """The codes of an op above constants only, shape of the op. E0302 when the numbers do not work out."""
    values: dict[Op, Any] = {}
    result: Any = None
    for each in topological(op):
        types = each.type.elements if isinstance(each.type, TupleType) else (each.type,)
        shapes = [t.shape for t in types]
        if any(math.prod(s) > MAX_ELEMENTS for s in shapes):
            raise FormatError(f"a constant of shape {list(shapes[0])} is too large")
        if not isinstance(each, Constant):
            spend(*effort(each))
        result = values[each] = evaluate(each, [values[o] for o in each.operands])
    return np.broadcast_to(result[0], op.shape)


def to_numpy(op: Constant) -> np.ndarray:
    """The array of a plain constant in its ONNX element type."""
    name = _NUMPY[op.format]
    if op.data.dtype.name == name:
        return op.data
    if isinstance(op.format, Minifloat):
        return op.data.view(onnx.helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT4E2M1))
    return op.data.astype(onnx.helper.tensor_dtype_to_np_dtype(getattr(TensorProto, name.upper())))


def settle(op: Op) -> Op | np.ndarray:
    """A tree of constants evaluated: an array for plain types, codes (below a Dequantize) for quantised ones."""
    if isinstance(op, Dequantize):
        inner = settle(op.x)
        if isinstance(inner, np.ndarray):
            return to_numpy(constant_op(evaluate_tree(op), op.loc, op.format))
        return op if inner is op.x else op.replace(x=inner)
    if isinstance(op, Constant):
        return to_numpy(op) if op.format in _NUMPY else op
    if any(isinstance(o, Dequantize) for o in topological(op)):
        return op
    constant = constant_op(evaluate_tree(op), op.loc, op.format)
    return to_numpy(constant) if op.format in _NUMPY else constant


def moved(op: Op) -> Op:
    """An op that only moves values, done at once where its operand is a constant or a dequantised constant."""
    loc = op.operands[0].loc if len(op.operands) == 1 else op.loc
    if all(isinstance(o, Constant) for o in op.operands):
        return constant_op(evaluate_tree(op), loc, op.format)
    inner = [o.x if isinstance(o, Dequantize) and isinstance(o.x, Constant) else None for o in op.operands]
    if not isinstance(op, Concat) and len(inner) == 1 and inner[0] is not None:
        try:
            codes = op.with_operands(inner)  # type: ignore[arg-type]
        except EdgecError:  # the channels of a per-channel format do not survive: the values are moved instead
            return op
        constant = constant_op(evaluate_tree(codes), inner[0].loc, codes.format)
        return Dequantize(constant, op.format, loc=loc)
    return op


def by_reference(node: Node) -> tuple[np.ndarray, ...] | None:
    """Results of a node with known operands from `onnx.reference`; None when it is not one to give to it."""
    arrays = [v for v in node.values if isinstance(v, np.ndarray)]
    op_type = node.op_type
    if node.item.domain or len(arrays) < sum(v is not None for v in node.values):
        return None
    if op_type in ELEMENTWISE:
        if not any(a.dtype.kind in "iub" for a in arrays) and op_type != "Cast":
            return None
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays)) if op_type != "CastLike" else arrays[0].shape
        except ValueError as error:
            node.malformed(str(error))
        node.limit(*shape)
    elif op_type in SHRINKING:
        if op_type.startswith(("Reduce", "Arg")) and arrays[0].dtype.kind == "f":
            return None
        node.limit(sum(a.size * max(a.ndim, 1) for a in arrays), _REFERENCE_LIMIT >> 20)
    else:
        return None
    return _run_reference(node)


def _run_reference(node: Node) -> tuple[np.ndarray, ...]:
    from onnx.reference import ReferenceEvaluator

    proto = NodeProto()
    proto.CopyFrom(node.item.proto)
    names = [f"x{i}" if v is not None else "" for i, v in enumerate(node.values)]
    proto.input[:] = names
    outputs = [f"y{i}" if o else "" for i, o in enumerate(node.item.outputs)]
    proto.output[:] = outputs
    graph = onnx.helper.make_graph(
        [proto],
        "fold",
        [onnx.helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in names if n],
        [onnx.helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in outputs if n],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", node.opset)])
    feeds = {n: v for n, v in zip(names, node.values, strict=True) if n}
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator raises whatever numpy and its own checks raise
        node.malformed(f"{node.op_type} cannot be evaluated", why=f"{type(error).__name__}: {error}")
    node.ignore(*node.attributes)  # the evaluator has read them all
    by_name = dict(zip([o for o in outputs if o], results, strict=True))
    return tuple(np.asarray(by_name[o]) if o else np.zeros(0) for o in outputs)
