"""Cut the floating-point end of a network, for the host: outputs become the last integers.

Many networks end in a softmax or a scaling that a chip without floats cannot compute and need not: it changes no
ranking, or costs nothing on the host. Nothing is lost silently: a warning names the layers, and what was cut is kept
as a graph of its own (`model/tail.onnx` of the artefact) from the real values of the new outputs to the old ones.
"""

from __future__ import annotations

from edgec.graph import Graph, topological
from edgec.ops import Constant, Dequantize, Input, Op
from edgec.pipeline import Context


def apply(graph: Graph, context: Context) -> Graph:
    """Every float output that comes from dequantised integers alone is cut there; others stay as they are."""
    outputs: list[tuple[str, Op]] = []
    inputs: list[Input] = []
    tail_outputs: list[tuple[str, Op]] = []
    entries: dict[Op, Input] = {}
    gone: dict[str, None] = {}
    for name, output in graph.outputs:
        frontier = _frontier(output)
        if not output.format.is_float or isinstance(output, Dequantize) or not frontier:
            outputs.append((name, output))
            continue
        for k, border in enumerate(frontier):
            if border not in entries:
                label = name if len(frontier) == 1 else f"{name}.{k}"
                entries[border] = Input(label, type=border.type)
                inputs.append(entries[border])
                outputs.append((label, border.x))
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


def _frontier(output: Op) -> list[Dequantize]:
    """The Dequantize ops that `output` is computed from; empty when a float input or anything else is among them."""
    found: dict[Dequantize, None] = {}
    stack, seen = [output], set()
    while stack:
        op = stack.pop()
        if op in seen or isinstance(op, Constant):
            continue
        seen.add(op)
        if isinstance(op, Dequantize):
            if not isinstance(op.x, Constant):
                found[op] = None
        elif isinstance(op, Input) or not op.operands:
            return []
        else:
            stack.extend(reversed(op.operands))
    return list(found)
