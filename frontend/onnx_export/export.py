"""The walk over a graph that writes it as an ONNX model."""

from __future__ import annotations

from itertools import count

import onnx
import onnx.inliner
from onnx import ModelProto

import edgec
from edgec.diagnostics import EdgecError
from edgec.formats import TensorType
from edgec.frontend.onnx_export import (  # noqa: F401  (they register the exporters)
    detector,
    elementwise,
    indexed,
    mac,
    move,
    pool,
    quantised,
    recurrent,
    requantised,
)
from edgec.frontend.onnx_export.builder import DETECTOR, EXPORTERS, IR_VERSION, OPSET, QONNX, Builder, dtype_of
from edgec.frontend.onnx_export.functions import function_protos
from edgec.frontend.onnx_export.quantised import fused_pairs, input_value, output_value
from edgec.graph import Graph
from edgec.ops import Input


def export(graph: Graph) -> ModelProto:
    """The ONNX model of `graph`."""
    graph = _with_distinct_ends(graph)
    b = Builder(graph)
    inputs = []
    for each in graph.inputs:
        dtype = dtype_of(each)
        b.info[each.name] = (dtype, each.shape)
        inputs.append(
            onnx.helper.make_tensor_value_info(each.name, onnx.helper.np_dtype_to_tensor_dtype(dtype), each.shape)
        )
        b.stem = each.name
        b.values[each] = input_value(b, each)
    skipped = fused_pairs(graph)
    for op in graph.ops:
        if isinstance(op, Input) or op in skipped:
            continue
        exporter = EXPORTERS.get(type(op))
        if exporter is None:
            raise EdgecError("E0304", f"{op.mnemonic} has no form in ONNX", layer=op.label, op=op.mnemonic)
        b.start(op)
        name = exporter(b, op)
        if isinstance(op.type, TensorType):
            b.values[op] = name
    outputs = []
    for name, op in graph.outputs:
        b.stem = name
        output_value(b, op, name)
        dtype, shape = b.info[name]
        outputs.append(onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(dtype), shape))
    ends = {i.name for i in inputs} | {o.name for o in outputs}
    proto = onnx.helper.make_graph(
        b.nodes, graph.name, inputs, outputs, b.tensors(), value_info=b.value_infos(ends | set(b.initializers))
    )
    functions = function_protos(b)
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    opsets += [onnx.helper.make_opsetid(d, 1) for d in (QONNX, DETECTOR) if any(k[0] == d for k in b.functions)]
    model = onnx.helper.make_model(
        proto,
        opset_imports=opsets,
        functions=functions,
        producer_name="edgec",
        producer_version=edgec.__version__,
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(model, metadata(graph))
    return model


def _with_distinct_ends(graph: Graph) -> Graph:
    """An output of an input's name, as in the tail of a network, gets another: ONNX has one name for one tensor."""
    taken = {i.name for i in graph.inputs} | {name for name, _ in graph.outputs}
    outputs = []
    for name, op in graph.outputs:
        label = name
        if any(i.name == name for i in graph.inputs):
            label = next(f"{name}_out{k or ''}" for k in count() if f"{name}_out{k or ''}" not in taken)
            taken.add(label)
        outputs.append((label, op))
    return graph.with_outputs(outputs)


def metadata(graph: Graph) -> dict[str, str]:
    """What the tensors at the model's border stand for."""
    facts = {f"edgec.input.{i.name}": str(i.format) for i in graph.inputs}
    facts |= {f"edgec.output.{n}": str(o.format) for n, o in graph.outputs}
    if any(not o.format.is_float for o in (*graph.inputs, *(op for _, op in graph.outputs))):
        facts["edgec.values"] = "inputs and outputs are real values; edgec.input/output.* name their number formats"
    return dict(sorted(facts.items()))


def inlined(model: ModelProto) -> ModelProto:
    """`model` with the functions of domain edgec expanded and the shapes of their tensors stated."""
    names = [(f.domain, f.name) for f in model.functions if f.domain == DETECTOR]
    flat = onnx.inliner.inline_selected_functions(model, names)
    kept = [f for f in flat.functions if f.domain != DETECTOR]
    del flat.functions[:]
    flat.functions.extend(kept)
    return onnx.shape_inference.infer_shapes(flat)
