"""Cut the floating-point end of a network, for the host: outputs become the last integers.

Many networks end in a softmax or a scaling that a chip without floats cannot compute and need not: it changes no
ranking, or costs nothing on the host. Nothing is lost silently: a warning names the layers, and what was cut is kept
as a graph of its own (`model/tail.onnx` of the artefact) from the real values of the new outputs to the old ones.
"""

from __future__ import annotations

from edgec.formats import TensorType
from edgec.graph import Graph, topological
from edgec.ops import Constant, Dequantize, Input, Op, Quantize
from edgec.pipeline import Context


def apply(graph: Graph, context: Context) -> Graph:
    """Every output whose last computations are floats is cut behind the last integers; others stay as they are.

    An output that reads a float input cannot be cut and stays.
    """
    floats = _computed_in_floats(graph)
    outputs: list[tuple[str, Op]] = []
    inputs: list[Input] = []
    tail_outputs: list[tuple[str, Op]] = []
    entries: dict[Op, Input] = {}
    gone: dict[str, None] = {}
    for name, output in graph.outputs:
        borders = _borders(output, floats) if output in floats else []
        if not borders:
            outputs.append((name, output))
            continue
        for k, border in enumerate(borders):
            if border not in entries:
                label = name if len(borders) == 1 else f"{name}.{k}"
                entries[border] = Input(label, type=border.type)
                inputs.append(entries[border])
                outputs.append((label, border.x if isinstance(border, Dequantize) else border))
        mapping: dict[Op, Op] = dict(entries)
        for op in topological(output, dict.fromkeys(entries)):
            mapping[op] = op.with_operands(mapping[o] for o in op.operands)
            if not isinstance(op, Constant):
                gone[op.label] = None
        tail_outputs.append((name, mapping[output]))
    if not tail_outputs:
        context.warn("N0002", "no output ends in floating point: nothing is cut")
        return graph
    # What is cut no longer stands in the way of a target without floats.
    context.diagnostics[:] = [d for d in context.diagnostics if d.code != "N0003" or d.layer not in gone]
    context.tail = Graph(f"{graph.name}_tail", tuple(inputs), tuple(tail_outputs), graph.meta)
    context.warn(
        "W0007",
        f"the floating-point end of the network is left to the host: {', '.join(gone)}",
        why="the outputs of the hardware are the integers before it",
        remedy="model/tail.onnx of the artefact computes the rest",
    )
    return graph.with_outputs(outputs)


def _computed_in_floats(graph: Graph) -> set[Op]:
    """The ops that compute with floats, or read such an op: what a chip without floats cannot do."""
    found: set[Op] = set()
    for op in graph.ops:
        if isinstance(op, Constant | Input):
            continue
        own = op.type if isinstance(op.type, TensorType) else None
        makes_floats = own is not None and own.format.is_float and not isinstance(op, Dequantize)
        if makes_floats or isinstance(op, Quantize) or any(o in found for o in op.operands):
            found.add(op)
    return found


def _borders(output: Op, floats: set[Op]) -> list[Op]:
    """The last integers (or their Dequantize) that `output` is computed from; none when a float input is among them."""
    found: dict[Op, None] = {}
    stack, seen = [output], set()
    while stack:
        op = stack.pop()
        if op in seen or isinstance(op, Constant):
            continue
        seen.add(op)
        if isinstance(op, Input) and op.format.is_float:
            return []
        if op in floats:
            stack.extend(reversed(op.operands))
        elif not (isinstance(op, Dequantize) and isinstance(op.x, Constant)):
            found[op] = None
    return list(found)
