"""What does not depend on the inputs is computed now, and computed parameters become operands of elementwise ops."""

from __future__ import annotations

from edgec.formats import TensorType
from edgec.graph import Graph, Uses, rewrite
from edgec.interp import evaluate
from edgec.ops import Add, BatchNorm, Binary, Constant, Get, Input, Mul, Op, Reshape, Sub, Unary, constant


def folded(graph: Graph) -> Graph:
    """`graph` without ops on constants alone."""

    def rule(op: Op, uses: Uses) -> Op | None:
        if isinstance(op, BatchNorm) and not all(isinstance(p, Constant) for p in op.operands[1:]):
            return _spread(op)
        if isinstance(op, Constant | Input) or not isinstance(op.type, TensorType):
            return None
        if isinstance(op, Get):
            (source,) = op.operands
            if not all(isinstance(o, Constant) for o in source.operands) or not source.operands:
                return None
            value = evaluate(source, [o.data[None] for o in source.operands])[op.index]  # type: ignore[attr-defined]
        elif op.operands and all(isinstance(o, Constant) for o in op.operands):
            value = evaluate(op, [o.data[None] for o in op.operands])  # type: ignore[attr-defined]
        else:
            return None
        return Constant(value[0], type=op.tensor, loc=op.loc)

    return rewrite(graph, rule)


def _shaped(op: Op, to: tuple[int, ...], loc: tuple[str, ...]) -> Op:
    """`op` in another shape; a constant stays one."""
    if isinstance(op, Constant):
        return Constant(op.data.reshape(to), type=TensorType(op.format, to), loc=op.loc)
    return Reshape(op, to, loc=loc)


def _spread(op: BatchNorm) -> Op:
    """A normalisation with computed parameters, in the interpreter's order."""
    to = (op.shape[1],) + (1,) * (len(op.shape) - 2)
    scale, bias, mean, var = (_shaped(p, to, op.loc) for p in op.operands[1:])
    epsilon = constant(op.epsilon, op.format)
    deviation = Unary(Add(var, epsilon, loc=op.loc), "sqrt", loc=op.loc)
    y = Mul(Binary(Sub(op.x, mean, loc=op.loc), deviation, "div", loc=op.loc), scale, loc=op.loc)
    return Add(y, bias, loc=op.loc)
