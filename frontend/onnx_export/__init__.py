"""Graphs to ONNX, at every stage: float, fake-quantised, integer.

The file computes exactly what the interpreter computes (floats within rounding): tensors of quantised formats are
float tensors that hold exact real values, or integer levels where the scale is no power of two. `Quant` nodes
(domain qonnx.custom_op.general) carry the formats; they and the detector operators (domain edgec) are also given as
local functions of standard operators, so that onnxruntime runs the file as it is. Inputs and outputs are real
values; the metadata names their formats.
"""

from __future__ import annotations

from onnx import ModelProto

from edgec.graph import Graph


def to_onnx(graph: Graph, *, inline: bool = False) -> ModelProto:
    """The ONNX model of `graph`; same graph, same bytes.

    With `inline`, operators of domain edgec are written out as standard operators, for tools that do not know
    local functions (the qonnx executor); `edgec.frontend.onnx` then no longer finds them.
    Raises EdgecError E0304 for ops that have no exact form in ONNX (sums beyond 53 bits, activations in table
    formats).
    """
    from edgec.frontend.onnx_export.export import export, inlined

    model = export(graph)
    return inlined(model) if inline else model


__all__ = ["to_onnx"]
