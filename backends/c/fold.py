"""What does not depend on the inputs is computed now: the interpreter's result becomes a constant."""

from __future__ import annotations

from edgec.formats import TensorType
from edgec.graph import Graph, Uses, rewrite
from edgec.interp import evaluate
from edgec.ops import Constant, Get, Input, Op


def folded(graph: Graph) -> Graph:
    """`graph` without ops on constants alone."""

    def rule(op: Op, uses: Uses) -> Op | None:
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
