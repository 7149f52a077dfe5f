"""The import itself: inputs, then call after call, and every refusal collected on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgec.diagnostics import Diagnostic, EdgecError
from edgec.formats import FormatError, TensorType
from edgec.frontend.onnx.read import MAX_ELEMENTS
from edgec.frontend.onnx.types import constant_op, dtype_format
from edgec.frontend.torch.aliases import Aliases, functional
from edgec.frontend.torch.archive import Archive
from edgec.frontend.torch.folding import folded
from edgec.frontend.torch.names import layer_names
from edgec.frontend.torch.node import Missing, Node, Result
from edgec.frontend.torch.registry import handler_for
from edgec.frontend.torch.schema import NodeRecord
from edgec.frontend.torch.serialised import argument_of, flat, malformed, only, output_names, real, tensor_name
from edgec.frontend.torch.symbols import Symbols
from edgec.frontend.torch.types import DTYPES, dtype_name, format_of
from edgec.graph import Graph
from edgec.ops import Constant, Input, Op

MAX_NODES = 50_000
MAX_MADE = 1 << 31
"""Bytes of constants that calls may make out of smaller ones, all together: a small file must not fill the memory."""
_NUMERIC = (ValueError, TypeError, IndexError, KeyError, ArithmeticError, MemoryError, AssertionError, AttributeError)
"""What numpy and the ops raise for operands that do not fit; at a call's border it means a malformed program."""


class Unknown:
    """A result of a call that was refused and whose type the file does not state."""


class Importer:
    """One import. `run` returns the graph (None when something was refused) and all diagnostics.

    `inputs` and `outputs` rename those of the program, in order; `decomposed` says that PyTorch took apart what it can.
    """

    def __init__(
        self,
        archive: Archive,
        batch: int | None = None,
        dims: dict[str, int] | None = None,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        *,
        decomposed: bool = False,
    ) -> None:
        self.archive, self.input_names, self.output_names = archive, inputs, outputs
        self.graph = archive.program.graph_module.graph
        self.found: list[Diagnostic] = []
        self.values: dict[str, Any] = {}
        self.labels: dict[str, str] = {}
        self.stored: dict[str, tuple[bool, str]] = {}
        self.kept: dict[str, str] = {}
        self.decomposed = decomposed
        self.made = 0
        self.aliases = Aliases()
        self.symbols = Symbols(archive.program.range_constraints, batch, dims or {}, self.found)

    def run(self) -> tuple[Graph | None, list[Diagnostic]]:
        if len(self.graph.nodes) > MAX_NODES:
            raise EdgecError("E0302", f"the program has {len(self.graph.nodes)} calls", why=f"the limit is {MAX_NODES}")
        inputs = self._inputs()
        names = layer_names(self.graph.nodes)
        failed = any(d.severity == "error" for d in self.found)
        for record, layer in zip(self.graph.nodes, names, strict=True):
            try:
                handler = self._handler(record, layer)
                if not failed:  # without shapes only the operators' names are checked
                    self._call(record, layer, handler)
            except EdgecError as error:
                self._report(error.diagnostics, record, layer)
                self._stand_in(record)
            except FormatError as error:
                self._report([Diagnostic("E0302", str(error))], record, layer)
                self._stand_in(record)
            except _NUMERIC as error:
                why = f"{type(error).__name__}: {error}"
                what = f"{record.target} does not fit its arguments"
                self._report([Diagnostic("E0302", what, why=why)], record, layer)
                self._stand_in(record)
        outputs = () if failed else self._outputs()
        if any(d.severity == "error" for d in self.found):
            return None, self.found
        meta = {"producer": f"pytorch {self.archive.program.torch_version}".strip()}
        return Graph(self.archive.name, inputs, outputs, meta), self.found

    def _report(self, diagnostics: list[Diagnostic], record: NodeRecord, layer: str) -> None:
        for d in diagnostics:
            code, place = d.code, d.layer
            if code == "E0102":  # an op refused its operands: the program is wrong, or asks for what the IR has not
                code = "E0304" if d.why and any(f in d.why for f in ("int<", "fixed<", "affine<")) else "E0302"
                place = None
            d = Diagnostic(code, d.what, place or layer, _short(record), d.why, d.remedy)
            if d not in self.found:
                self.found.append(d)

    def _error(self, code: str, what: str, **rest: str | None) -> None:
        self.found.append(Diagnostic(code, what, **rest))

    # --- inputs and outputs -----------------------------------------------------------------------------------

    def _inputs(self) -> tuple[Input, ...]:
        signature, stated = self.archive.program.graph_module.signature, []
        for spec in signature.input_specs:
            kind, body = only(spec, "input")
            if kind == "user_input":
                stated.append(argument_of(body))
            elif kind in ("parameter", "buffer", "tensor_constant"):
                name, place = tensor_name(body), body.get(f"{kind}_name")
                if not isinstance(place, str):
                    raise malformed(f"input {name!r} names no {kind}")
                self.stored[name] = (kind == "tensor_constant" or body.get("persistent") is False, place)
                self.labels[name] = place
                self.kept[name] = kind
            elif kind != "constant_input":
                self._error("E0304", f"the program takes a {kind}", remedy="export the model without it")
        if self.input_names is not None and len(self.input_names) != len(stated):
            raise EdgecError("E0204", f"{len(self.input_names)} input names for {len(stated)} inputs")
        for kind, given in (("input", self.input_names), ("output", self.output_names)):
            if len(set(given or ())) != len(given or ()):
                raise EdgecError("E0204", f"two {kind}s of one name among {', '.join(given or ())}")
        inputs: list[Input] = []
        for index, (kind, body) in enumerate(stated):
            if kind != "as_tensor":
                self._error("E0304", f"input {index} is no tensor ({kind})", remedy="make it a constant of the module")
                continue
            name = tensor_name({"arg": body})
            shown = self.input_names[index] if self.input_names is not None else name
            meta = self.graph.tensor_values.get(name)
            if meta is None:
                raise malformed(f"input {name!r} has no type")
            fmt = format_of(meta.dtype)
            if fmt is None:
                what = f"input {shown!r} has elements of type {dtype_name(meta.dtype)}"
                self._error("E0304", what, layer=shown, remedy="export the model in float32")
                continue
            shape = self.symbols.bind(shown, meta.sizes)
            if math.prod(shape) > MAX_ELEMENTS or any(n < 1 for n in shape):
                why = f"sizes are at least 1, and the limit is {MAX_ELEMENTS} elements"
                self._error("E0302", f"input {shown!r} has shape {list(shape)}", layer=shown, why=why)
                continue
            inputs.append(Input(shown, type=TensorType(fmt, shape)))
            self.values[name] = inputs[-1]
        self.symbols.finish()
        return tuple(inputs)

    def _outputs(self) -> tuple[tuple[str, Op], ...]:
        wanted: list[tuple[str, Any]] = []
        for spec in self.archive.program.graph_module.signature.output_specs:
            kind, body = only(spec, "output")
            if kind == "user_output":
                kind, argument = argument_of(body)
                if kind == "as_tensor":
                    name = tensor_name({"arg": argument})
                    wanted.append((name, self._value(name)))
                elif kind != "as_none":
                    self._error("E0304", f"the program returns a value that is no tensor ({kind})")
            else:
                body = body if isinstance(body, dict) else {}
                what = body.get("buffer_name") or body.get("user_input_name") or ""
                self._error(
                    "E0304",
                    f"the program writes {what!r} ({kind})",
                    why="a layer in training mode, or a state that lives from one call to the next",
                    remedy="call model.eval(), or make the state an input and an output",
                )
        if self.output_names is not None and len(self.output_names) != len(wanted):
            raise EdgecError("E0204", f"{len(self.output_names)} output names for {len(wanted)} outputs")
        outputs: dict[str, Op] = {}
        for index, (name, value) in enumerate(wanted):
            shown = self.output_names[index] if self.output_names is not None else name
            if self.output_names is None and shown in outputs:  # one tensor returned twice
                shown = next(n for i in range(1, len(wanted) + 1) if (n := f"{name}_{i}") not in outputs)
            if isinstance(value, np.ndarray):
                if dtype_format(value.dtype) is None:
                    self._error("E0304", f"output {shown!r} has elements of type {value.dtype}", layer=shown)
                    continue
                value = constant_op(value, (self.labels.get(name, name),))
            if isinstance(value, Missing):
                self._error("E0304", f"output {shown!r}: {value.what} is not computed", layer=shown)
            elif isinstance(value, Op):
                outputs[shown] = value
        if not wanted:
            self._error("E0304", "the program returns no tensor")
        return tuple(outputs.items())

    # --- calls ------------------------------------------------------------------------------------------------

    def _handler(self, record: NodeRecord, layer: str):
        name = functional(_short(record))
        handler = handler_for(name)
        if handler is None:
            raise EdgecError(
                "E0303",
                f"operator {_short(record)} is not supported",
                layer=layer,
                op=_short(record),
                why=_reason(record.target),
                remedy="replace the layer by supported operators, or cut it off"
                if self.decomposed
                else "`edgec.from_torch(program)` takes many operators apart into supported ones, "
                "as does `program.run_decompositions()` before it is saved",
            )
        return handler

    def _call(self, record: NodeRecord, layer: str, handler) -> None:
        operator = _short(record)
        values: dict[str, Any] = {}
        labels: dict[str, Any] = {}
        sources: list[str] = []
        for argument in record.inputs:
            if argument.name in values:
                raise malformed(f"argument {argument.name!r} is given twice")
            values[argument.name], labels[argument.name], names = self._read(argument.arg)
            sources += names
        if any(isinstance(v, Unknown) for v in flat(values.values())):
            self._stand_in(record)
            return
        names = [n for output in record.outputs for n in output_names(output)]
        results = [self._result(n) for n in names]
        node = Node(operator, layer, values, labels, results)
        pure = functional(operator)
        if pure != operator:
            self.aliases.check_write(node, sources[:1], self.kept)
        raw = handler(node)
        node.finish()
        produced = list(raw) if isinstance(raw, tuple) else [raw]
        if len(names) > len(produced):
            raise malformed(f"{len(names)} results of {operator}, which has {len(produced)}")
        known = not any(isinstance(v, Op) for v in flat(values.values()))
        given = sum(v.nbytes for v in flat(values.values()) if isinstance(v, np.ndarray))
        for index, (name, value) in enumerate(zip(names, produced, strict=False)):
            if isinstance(value, Op):
                value = folded(node, value) if known or isinstance(value, Constant) else value
            _check(node, value, results[index])
            if isinstance(value, np.ndarray):
                self.made += max(value.nbytes - given, 0)
                node.require(self.made <= MAX_MADE, "constants of that size", why=f"at most {MAX_MADE} bytes are made")
            self.values[name] = value
            if isinstance(value, np.ndarray) and len(sources) == 1 and sources[0] in self.labels:
                self.labels[name] = self.labels[sources[0]]  # weights that were only moved keep their name
        self.aliases.record(operator, sources, names)
        if pure != operator:
            for name in self.aliases.same(sources[0]):
                self.values[name] = self.values[names[0]]

    def _read(self, argument: dict[str, Any]) -> tuple[Any, Any, list[str]]:
        """Value, label and tensor names of a serialised argument."""
        kind, body = only(argument, "argument")
        match kind:
            case "as_none":
                return None, None, []
            case "as_tensor":
                name = tensor_name({"arg": body})
                return self._value(name), self.labels.get(name), [name]
            case "as_tensors" | "as_optional_tensors":
                items = [self._read(i if kind == "as_optional_tensors" else {"as_tensor": i}) for i in body]
                return [v for v, _, _ in items], [label for _, label, _ in items], [n for _, _, ns in items for n in ns]
            case "as_optional_tensor":
                return self._read(body)
            case "as_float":
                return real(body), None, []
            case "as_floats":
                return [real(b) for b in body], None, []
            case "as_sym_int" | "as_sym_bool":
                return self._symbol(body), None, []
            case "as_sym_ints":
                return [self._symbol(b) for b in body], None, []
            case "as_int" | "as_bool" | "as_ints" | "as_bools" | "as_string" | "as_scalar_type":
                return body, None, []
            case "as_device" | "as_layout" | "as_memory_format":
                return body, None, []
        raise EdgecError("E0304", f"an argument of kind {kind} is not supported")

    def _symbol(self, body: Any) -> Any:
        kind, value = only(body, "number")
        if kind in ("as_int", "as_bool"):
            return value
        found = self.values.get(value) if isinstance(value, str) else None
        return Unknown() if found is None else found

    def _value(self, name: str) -> Any:
        value = self.values.get(name)
        if value is None and name in self.stored:
            literal, place = self.stored[name]
            self.values[name] = Unknown()  # reported once
            where = self.archive.constants if literal and place in self.archive.constants else self.archive.weights
            value = self.archive.constant(place) if where is self.archive.constants else self.archive.weight(place)
            self.values[name] = value
        if value is None:
            raise malformed(f"a call reads {name!r}, which nothing computes before it")
        return value

    def _result(self, name: str) -> Result:
        meta = self.graph.tensor_values.get(name)
        if meta is None:
            return Result(None, (None,) * 33)
        return Result(DTYPES.get(meta.dtype), tuple(self.symbols.size(s) for s in meta.sizes))

    def _stand_in(self, record: NodeRecord) -> None:
        """Tensors of the stated types for the results of a refused call, so that its readers are checked."""
        for output in record.outputs:
            for name in output_names(output):
                result = self._result(name)
                fmt = dtype_format(result.dtype) if result.dtype is not None else None
                shape = [n for n in result.shape if n is not None]
                if fmt is not None and len(shape) == len(result.shape) and 0 < math.prod(shape) <= MAX_ELEMENTS:
                    self.values[name] = Input(name, type=TensorType(fmt, tuple(shape)), loc=(name,))
                else:
                    self.values[name] = Unknown()


def _short(record: NodeRecord) -> str:
    return record.target.removeprefix("torch.ops.")


def _check(node: Node, value: Any, stated: Result) -> None:
    """Hold what was built to what the file says about it."""
    if isinstance(value, Missing) or not hasattr(value, "shape"):
        return
    node.limit(*value.shape)
    if len(stated.shape) == 33:
        return
    fits = len(stated.shape) == len(value.shape) and all(
        a is None or a == b for a, b in zip(stated.shape, value.shape, strict=True)
    )
    if not fits:
        stated_shape = ["?" if n is None else n for n in stated.shape]
        node.malformed(f"the result has shape {list(value.shape)}, the file states {stated_shape}")
    floats = value.format.is_float if isinstance(value, Op) else value.dtype.kind == "f"
    if stated.dtype is not None and floats != (stated.dtype.kind == "f"):
        node.unsupported(f"a result of type {stated.dtype.name}", why="the import computes another kind of number")


def _reason(target: str) -> str:
    if target.startswith("torch.ops.higher_order."):
        return "control flow that depends on data cannot be laid out statically"
    if any(word in target for word in ("rand", "bernoulli", "multinomial")):
        return "hardware gives the same result for the same input; random numbers have no place in it"
    return "it is not in the importer's table"
