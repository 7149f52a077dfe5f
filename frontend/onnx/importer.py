"""The import itself: inputs, then node after node, and every refusal collected on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, ValueInfoProto

from edgec.diagnostics import Diagnostic, EdgecError, nearest
from edgec.formats import FormatError, TensorType
from edgec.frontend.onnx.branches import branch_items, branch_of
from edgec.frontend.onnx.budget import opened, spend
from edgec.frontend.onnx.fold import by_reference, settle, to_numpy
from edgec.frontend.onnx.hints import MOVES, input_hints
from edgec.frontend.onnx.kinds import Kind, kind_of, output_kind
from edgec.frontend.onnx.node import Node, Unknown, Value, schema_of
from edgec.frontend.onnx.read import MAX_ELEMENTS, Model, tensor_array, text
from edgec.frontend.onnx.registry import QONNX_DOMAINS, handler_for, handler_names
from edgec.frontend.onnx.standard_functions import body_of, has_body
from edgec.frontend.onnx.structure import MAX_NODES, Item, items_of
from edgec.frontend.onnx.types import constant_op, dtype_format, element_format, is_plain
from edgec.graph import Graph
from edgec.ops import Constant, Input, Op

_NUMERIC = (ValueError, TypeError, IndexError, KeyError, ArithmeticError, MemoryError, AssertionError)
"""What numpy and the ops raise for operands that do not fit; at a node's border it means a malformed model."""


class Importer:
    """One import. `run` returns the graph (None when something was refused) and all diagnostics."""

    def __init__(self, model: Model, batch: int | None, dims: dict[str, int]) -> None:
        self.model, self.batch, self.dims = model, batch, dims
        self.found: list[Diagnostic] = []
        self.values: dict[str, Value | Unknown] = {}
        self.initializers: dict[str, TensorProto] = {}
        self.used_dims: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.kinds: dict[str, Kind] = {}
        self.expanded = 0

    def run(self) -> tuple[Graph | None, list[Diagnostic]]:
        proto = self.model.proto.graph
        for tensor in proto.initializer:
            name = text(tensor.name)
            if name in self.initializers:
                raise EdgecError("E0302", f"initializer {name!r} is given twice")
            self.initializers[name] = tensor
        if proto.sparse_initializer:
            raise EdgecError("E0304", "the model has sparse initializers", remedy="store them densely")
        infos = [i for i in proto.input if text(i.name) not in self.initializers]
        names = [text(i.name) for i in infos]
        if len(set(names)) != len(names):
            raise EdgecError("E0302", "two inputs of one name", why=", ".join(names))
        items = items_of(self.model, [*names, *self.initializers])
        inputs = self._inputs(infos, items)
        if inputs is None:
            self._shallow(items)
            return None, self.found
        self.values.update({i.name: i for i in inputs})
        self.kinds.update({text(i.name): i.type.tensor_type.elem_type for i in infos})
        info_of = {text(v.name): v for v in (*proto.value_info, *proto.output)}
        with opened(sum(map(_elements, proto.initializer))):
            for item in items:
                self._node(item, info_of)
        outputs = self._outputs()
        if any(d.severity == "error" for d in self.found) or outputs is None:
            return None, self.found
        return Graph(self.model.name, tuple(inputs), outputs, self._meta()), self.found

    def _meta(self) -> dict[str, str]:
        proto = self.model.proto
        opsets = ", ".join(f"{d or 'ai.onnx'} {v}" for d, v in sorted(self.model.opsets.items()))
        producer = " ".join(filter(None, (text(proto.producer_name), text(proto.producer_version))))
        return {"producer": producer, "opset": opsets, "ir_version": str(proto.ir_version)}

    # --- inputs and outputs -----------------------------------------------------------------------------------

    def _inputs(self, infos: list[ValueInfoProto], items: list[Item]) -> list[Input] | None:
        hints = input_hints(items, self.initializers, self.model.folder)
        inputs: list[Input] = []
        before = len(self.found)
        leading_dynamic = False
        for info in infos:
            name = text(info.name)
            if not info.type.HasField("tensor_type"):
                self._error("E0304", f"input {name!r} is no tensor", layer=name)
                continue
            tensor = info.type.tensor_type
            fmt = hints.get(name) or element_format(tensor.elem_type)
            if fmt is None:
                self._error("E0304", f"input {name!r} has element type {tensor.elem_type}", layer=name)
                continue
            if not tensor.HasField("shape"):
                self._error("E0305", f"input {name!r} states no shape", layer=name, remedy="export it with a shape")
                continue
            shape = []
            for axis, dim in enumerate(tensor.shape.dim):
                symbol = text(dim.dim_param) if dim.HasField("dim_param") else ""
                dynamic = not dim.HasField("dim_value") or dim.dim_value in (0, -1)
                leading_dynamic |= dynamic and axis == 0
                size = self._dimension(name, axis, symbol) if dynamic else dim.dim_value
                if size is None:
                    self._dynamic(name, axis, symbol)
                    size = 1
                elif size < 0 or (size == 0 and self.batch == 0):
                    self._error("E0302", f"input {name!r} has dimension {size} on axis {axis}", layer=name)
                    size = 1
                shape.append(size)
            if np.prod(np.array(shape, np.float64)) > MAX_ELEMENTS:
                self._error("E0302", f"input {name!r} has shape {shape}", why=f"the limit is {MAX_ELEMENTS} elements")
                continue
            inputs.append(Input(name, type=TensorType(fmt, tuple(shape))))
        for unknown in sorted(set(self.dims) - self.used_dims):
            known = {text(d.dim_param) for i in infos for d in i.type.tensor_type.shape.dim if d.HasField("dim_param")}
            self._error("E0204", f"no dynamic dimension {unknown!r}", remedy=nearest(unknown, known))
        if self.batch is not None and not leading_dynamic:
            fixed = {i.shape[0] for i in inputs if i.shape}
            if fixed and self.batch not in fixed:
                self._error(
                    "E0204", f"--batch {self.batch}: the model's batch is fixed to {min(fixed)}", remedy="leave it out"
                )
        return inputs if len(self.found) == before else None

    def _dimension(self, name: str, axis: int, symbol: str) -> int | None:
        for key in (f"{name}:{axis}", symbol):
            if key and key in self.dims:
                self.used_dims.add(key)
                return self.dims[key]
        return self.batch if axis == 0 else None

    def _dynamic(self, name: str, axis: int, symbol: str) -> None:
        place = f"{name}:{axis}"
        flag = f"--dim {symbol or place}=N" if not symbol or symbol.isidentifier() else f"--dim {place}=N"
        self._error(
            "E0305",
            f"axis {axis} of input {name!r} is dynamic" + (f" ({symbol!r})" if symbol else ""),
            layer=name,
            remedy=f"--batch 1 (or {flag})" if axis == 0 else flag,
        )

    def _outputs(self) -> tuple[tuple[str, Op], ...] | None:
        outputs: list[tuple[str, Op]] = []
        names = set()
        for info in self.model.proto.graph.output:
            name = text(info.name)
            if name in names:
                raise EdgecError("E0302", f"output {name!r} is listed twice")
            names.add(name)
            try:
                value = self._value(name)
            except EdgecError as error:
                self.found += error.diagnostics
                continue
            if isinstance(value, np.ndarray):
                if dtype_format(value.dtype) is None:
                    self._error("E0304", f"output {name!r} has elements of type {value.dtype}", layer=name)
                    continue
                value = constant_op(value, (name,))
            if isinstance(value, Op):
                outputs.append((name, value))
        if len(outputs) < len(names) and not any(d.severity == "error" for d in self.found):
            self._error("E0302", "an output depends on a tensor that comes from nowhere")
        return tuple(outputs) if len(outputs) == len(names) else None

    # --- nodes ------------------------------------------------------------------------------------------------

    def _error(self, code: str, what: str, **rest: str | None) -> None:
        diagnostic = Diagnostic(code, what, **rest)
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    def _value(self, name: str) -> Value | Unknown:
        value = self.values.get(name)
        if value is None:
            tensor = self.initializers.get(name)
            if tensor is None:
                return Unknown()
            try:
                value = tensor_array(tensor, self.model.folder)
            except EdgecError:
                self.values[name] = Unknown()  # reported once
                raise
            self.values[name] = value
        return value

    def _shallow(self, items: list[Item]) -> None:
        """Report unsupported operators although the inputs have no shapes yet."""
        for item in items:
            try:
                self._check_known(item)
            except EdgecError as error:
                self.found += error.diagnostics

    def _node(self, item: Item, info_of: Mapping[str, ValueInfoProto]) -> None:
        results: tuple[Value, ...] | None = None
        try:
            if item.op_type == "If" and not item.domain and self._branch(item, info_of):
                return
            handler = self._check_known(item)
            values = [self._value(n) if n else None for n in item.inputs]
            if not any(isinstance(v, Unknown) for v in values):
                kinds = [self._kind(n, v) for n, v in zip(item.inputs, values, strict=True)]  # type: ignore[arg-type]
                if handler is None and self._by_definition(item, values, kinds, info_of):  # type: ignore[arg-type]
                    return
                node = Node(item, values, self.model.folder, self.aliases, kinds)  # type: ignore[arg-type]
                results = self._results(node, handler)
                schema = schema_of(item.op_type, item.opset, item.domain)
                for index, (name, value) in enumerate(zip(item.outputs, results, strict=False)):
                    self.kinds[name] = output_kind(item, schema, index, kinds, value)
        except EdgecError as error:
            self.found += [_as_model_error(d, item) for d in error.diagnostics]
        except FormatError as error:
            self._error("E0302", str(error), layer=item.name, op=item.op_type)
        except _NUMERIC as error:
            why = f"{type(error).__name__}: {error}"
            self._error("E0302", f"{item.op_type} does not fit its operands", layer=item.name, op=item.op_type, why=why)
        for index, name in enumerate(item.outputs):
            if name:
                self.values[name] = results[index] if results is not None else _placeholder(name, info_of.get(name))

    def _kind(self, name: str, value: Value | None) -> Kind:
        kind = self.kinds.get(name)
        return kind_of(value) if kind is None and value is not None else kind

    def _branch(self, item: Item, info_of: Mapping[str, ValueInfoProto]) -> bool:
        """Import the branch that a known condition takes; False when it is computed."""
        condition = self._value(item.inputs[0]) if item.inputs and item.inputs[0] else None
        if not isinstance(condition, np.ndarray) or condition.size != 1:
            return False
        graph = branch_of(item, bool(condition.ravel()[0]))
        body, names, constants = branch_items(item, graph)
        self._count(len(body), item)
        for name, tensor in constants.items():
            self.initializers[name] = tensor
        for inner in body:
            self._node(inner, {})
        for name, inner in zip(item.outputs, graph.output, strict=True):
            source = names.get(text(inner.name), text(inner.name))
            if name:
                self.values[name] = self._value(source)
                self.kinds[name] = self.kinds.get(source)
        return True

    def _count(self, nodes: int, item: Item) -> None:
        self.expanded += nodes
        if self.expanded > MAX_NODES:
            raise EdgecError("E0302", f"more than {MAX_NODES} nodes after expanding operators", layer=item.name)

    def _by_definition(
        self, item: Item, values: list[Value | None], kinds: list[Kind], info_of: Mapping[str, ValueInfoProto]
    ) -> bool:
        """Import the nodes by which the standard defines an operator; False when it does not."""
        schema = schema_of(item.op_type, item.opset, item.domain)
        body = body_of(item, schema, values, kinds) if schema is not None and has_body(schema) else None
        self._count(len(body or ()), item)
        for inner in body or ():
            self._node(inner, info_of)
        return body is not None

    def _check_known(self, item: Item):
        """The handler of an operator, its arity and attribute names checked against the standard."""
        handler = handler_for(item.domain, item.op_type)
        schema = schema_of(item.op_type, item.opset, item.domain) if not item.domain else None
        if item.domain in QONNX_DOMAINS and item.domain not in self.model.opsets:
            self._error(
                "W0003",
                f"no opset version for domain {item.domain!r}; version 1 is assumed",
                why="the file lists it in no opset_import",
            )
        if handler is None and not has_body(schema) and not (schema is not None and item.op_type in _folded_only()):
            name = f"{item.domain}.{item.op_type}" if item.domain else item.op_type
            raise EdgecError(
                "E0303",
                f"operator {name} is not supported",
                layer=item.name,
                op=item.op_type,
                why=_reason(item, schema is not None),
                remedy=_remedy(item),
            )
        if item.domain == "":
            if schema is None:
                raise EdgecError(
                    "E0302", f"opset {item.opset} has no operator {item.op_type}", layer=item.name, op=item.op_type
                )
            count = len(item.inputs)
            if not schema.min_input <= count <= schema.max_input or len(item.outputs) > schema.max_output:
                raise EdgecError(
                    "E0302",
                    f"{item.op_type} with {count} inputs and {len(item.outputs)} outputs",
                    layer=item.name,
                    op=item.op_type,
                    why=f"opset {item.opset} allows {schema.min_input} to {schema.max_input} inputs",
                )
            for attribute in item.proto.attribute:
                name = text(attribute.name)
                if name not in schema.attributes:
                    raise EdgecError(
                        "E0304",
                        f"unknown attribute {name!r}",
                        layer=item.name,
                        op=item.op_type,
                        why=f"opset {item.opset} defines: {', '.join(sorted(schema.attributes)) or 'none'}",
                    )
        return handler

    def _results(self, node: Node, handler) -> tuple[Value, ...]:
        known = all(v is None or isinstance(v, np.ndarray) for v in node.values)
        produced: tuple[Value, ...] | None = by_reference(node) if known else None
        made = list(produced or ())
        if produced is None:
            if handler is None:
                raise EdgecError(
                    "E0303",
                    f"operator {node.op_type} is supported on constants only",
                    layer=node.item.name,
                    op=node.op_type,
                    remedy="export the model with fixed shapes",
                )
            raw = handler(node)
            produced = raw if isinstance(raw, tuple) else (raw,)
            made = [v for v in produced if isinstance(v, np.ndarray) and v.base is None]  # no views
            node.finish()
            self.found += [w for w in node.warnings if w not in self.found]
            if known:
                settled = [settle(v) if isinstance(v, Op) else v for v in produced]
                produced = tuple(_in_onnx_type(node, i, v) for i, v in enumerate(settled))
                if node.op_type in MOVES:
                    self.aliases[node.item.outputs[0]] = node.input_name(0)
        if known and node.op_type != "Constant":  # which the file holds
            spend(sum(value.size for value in made))
        for index, name in enumerate(node.item.outputs):
            if name and index >= len(produced):
                node.unsupported(f"output {index} ({name!r}) is not supported")
        for value in produced:
            node.limit(*value.shape, made=True)
        return produced


def _elements(tensor: TensorProto) -> int:
    """Of an initializer; one in the file has no more than its bits."""
    size = math.prod(max(d, 0) for d in tensor.dims)
    return size if tensor.external_data else min(size, 8 * tensor.ByteSize())


def _in_onnx_type(node: Node, index: int, value: Value) -> Value:
    """A known result of integers in a narrower format than ONNX has, as an array of its ONNX element type."""
    if not isinstance(value, Constant) or not is_plain(value.format) or value.format.is_float:
        return value
    schema = schema_of(node.op_type, node.opset, node.item.domain)
    kind = output_kind(node.item, schema, index, node.kinds, value)
    fmt = None if kind is None else element_format(kind)
    return value if fmt is None else to_numpy(constant_op(value.data, value.loc, fmt))


def _folded_only() -> frozenset[str]:
    from edgec.frontend.onnx.fold import ELEMENTWISE, SHRINKING

    return ELEMENTWISE | SHRINKING


def _placeholder(name: str, info: ValueInfoProto | None) -> Value | Unknown:
    """What stands for the result of a refused node: a tensor of the stated shape, so that its readers are checked."""
    if info is None or not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
        return Unknown()
    dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
    fmt = element_format(info.type.tensor_type.elem_type)
    if fmt is None or any(d < 1 for d in dims) or np.prod(np.array(dims, np.float64)) > MAX_ELEMENTS:
        return Unknown()
    return Input(name, type=TensorType(fmt, tuple(dims)), loc=(name,))


def _as_model_error(diagnostic: Diagnostic, item: Item) -> Diagnostic:
    """An op that refused its operands (E0102) says that the model is wrong, or asks for what the IR has not."""
    if diagnostic.code != "E0102":
        return diagnostic
    floats = diagnostic.why is None or ("int<" not in diagnostic.why and "fixed<" not in diagnostic.why)
    code = "E0302" if floats and "affine<" not in (diagnostic.why or "") else "E0304"
    return Diagnostic(code, diagnostic.what, item.name, item.op_type, diagnostic.why, diagnostic.remedy)


def _reason(item: Item, standard: bool) -> str:
    if item.op_type in ("If", "Loop", "Scan", "SequenceMap"):
        return "control flow that depends on data cannot be laid out statically"
    if item.domain and not handler_names(item.domain):
        return f"domain {item.domain!r} is not one that the importer knows"
    known = standard or item.domain
    return "it is not in the importer's table" if known else f"opset {item.opset} does not define it"


def _remedy(item: Item) -> str:
    if item.op_type in ("If", "Loop", "Scan"):
        return "simplify the model with fixed input shapes before import"
    names = handler_names(item.domain)
    close = nearest(item.op_type, names)
    return close if close.startswith("did you mean") else "replace the layer by supported operators, or cut it off"
