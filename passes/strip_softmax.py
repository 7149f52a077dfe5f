"""Removes a final Softmax or LogSoftmax: the logits have the same ranking, so top-k results stay as they are.

The outputs keep their names but hold logits (not probabilities) afterwards. Moves behind the softmax stay;
quantisers behind it go, because their scale was made for probabilities. ArgMax along the softmax axis is rewired as
well; equal probabilities by rounding may become distinct logits, never the other way round. A model without a final
softmax is left as it is, with a note.
"""

from __future__ import annotations

from edgec.graph import Graph
from edgec.ops import ArgMax, Dequantize, Op, Quantize, Reshape, Softmax, Transpose
from edgec.pipeline import Context


def apply(graph: Graph, context: Context) -> Graph:
    """`graph` whose outputs are logits."""
    outputs = [(name, stripped(op)) for name, op in graph.outputs]
    if all(new is None for _, new in outputs):
        context.warn("N0002", "strip-softmax: no output of the model is a softmax")
        return graph
    return graph.with_outputs((name, new or old) for (name, new), (_, old) in zip(outputs, graph.outputs, strict=True))


def stripped(op: Op) -> Op | None:
    """`op` without the softmax at its end, or None when there is none."""
    match op:
        case Softmax(x=x):
            return x
        case ArgMax(x=Softmax(x=x, axis=axis)) if axis % len(x.shape) == op.axis % len(x.shape):
            return op.replace(x=x) if not op.smallest else None
        case Reshape(x=x) | Transpose(x=x):
            new = stripped(x)
            return op.replace(x=new) if new is not None and new.type == x.type else None
        case Quantize(x=x):  # an output in codes
            return stripped(x)
        case Dequantize(x=Quantize(x=x)) if x.format == op.format:
            return stripped(x)
    return None
