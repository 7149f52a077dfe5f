"""The import itself: inputs, then layer after layer, and every refusal collected on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgec.diagnostics import Diagnostic, EdgecError, nearest
from edgec.formats import FormatError, TensorType
from edgec.frontend.keras.config import MAX_DEPTH, LayerSpec, ModelSpec, Ref, first_node, parse_model
from edgec.frontend.keras.layer import Layer
from edgec.frontend.keras.read import Source
from edgec.frontend.keras.registry import handler_for, layer_names
from edgec.frontend.keras.tensor import Tensor, own
from edgec.frontend.keras.weights import Scope
from edgec.frontend.onnx.read import MAX_ELEMENTS
from edgec.frontend.onnx.types import FORMATS
from edgec.graph import Graph
from edgec.ops import Constant, Input

MAX_CALLS = 20_000
"""Layers of all models together, each counted as often as it is used; models inside models multiply."""
_CELLS = ("only SimpleRNN, GRU and LSTM as layers of Keras are imported", "use one of them, or cut the layer off")
_STATES = ("it quantises its state at every step, which the recurrent ops here do not", "use the layer of Keras")
_MASKS = ("steps that are left out are not known at import", "give every sequence all steps, and drop the mask")
REASONS = {
    **dict.fromkeys(("RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "StackedRNNCells"), _CELLS),
    **dict.fromkeys(("CuDNNLSTM", "CuDNNGRU", "LSTMCell", "GRUCell", "SimpleRNNCell"), _CELLS),
    **dict.fromkeys(("QLSTM", "QGRU", "QSimpleRNN", "QBidirectional"), _STATES),
    "Masking": _MASKS,
}
"""Layer class -> why it is refused, and what to do."""
_NUMERIC = (ValueError, TypeError, IndexError, KeyError, ArithmeticError, MemoryError, AttributeError)
"""What numpy and the ops raise for operands that do not fit; at a layer's border it means a malformed model."""


class Importer:
    """One import. `run` returns the graph (None when something was refused) and all diagnostics."""

    def __init__(self, source: Source, batch: int | None, dims: dict[str, int]) -> None:
        self.source, self.batch, self.dims = source, batch, dims
        self.found: list[Diagnostic] = []
        self.inputs: list[Input] = []
        self.used_dims: set[str] = set()
        self.shared: dict[str, dict[int, Constant]] = {}
        self.calls = 0

    def run(self) -> tuple[Graph | None, list[Diagnostic]]:
        spec = parse_model(self.source.config)
        tensors = self._inputs(spec)
        results = self._model(spec, self.source.weights, tensors, "", 0)
        for unknown in sorted(set(self.dims) - self.used_dims):
            self._error("E0204", f"no dynamic dimension {unknown!r}", remedy=nearest(unknown, self.used_dims))
        if any(d.severity == "error" for d in self.found) or any(t is None for t in results):
            return None, self.found
        outputs: dict[str, Tensor] = {}
        for ref, tensor in zip(spec.outputs, results, strict=True):
            name, number = ref.layer, 1
            while name in outputs:
                name, number = f"{ref.layer}_{number}", number + 1
            if tensor is not None:
                outputs[name] = tensor
        version = ".".join(map(str, self.source.version)) or "unknown"
        ops = tuple((name, tensor.own) for name, tensor in outputs.items())
        return Graph(self.source.name, tuple(self.inputs), ops, {"producer": f"keras {version}"}), self.found

    # --- inputs -----------------------------------------------------------------------------------------------

    def _inputs(self, spec: ModelSpec) -> list[Tensor | None]:
        if spec.sequential:
            starts = [spec.layers[0]]
        else:
            by_name = {layer.name: layer for layer in spec.layers}
            missing = [r.layer for r in spec.inputs if r.layer not in by_name]
            if missing:
                raise EdgecError("E0302", f"the model starts at layer {missing[0]!r}, which it does not have")
            starts = [by_name[r.layer] for r in spec.inputs]
        result: list[Tensor | None] = []
        for start in starts:
            shape, dtype = input_shape(start, spec.build_shape)
            name = start.name if start.class_name == "InputLayer" else f"{start.name}_input"
            result.append(self._input(name, shape, dtype))
        return result

    def _input(self, name: str, shape: object, dtype: object) -> Tensor | None:
        if not isinstance(shape, list) or not shape:
            self._error(
                "E0305", f"input {name!r} states no shape", layer=name, remedy="build the model before it is saved"
            )
            return None
        fmt = FORMATS.get(dtype) if isinstance(dtype, str) else None
        if fmt is None or (fmt.is_float and dtype != "float32"):
            self._error("E0304", f"input {name!r} has elements of type {dtype!r}", layer=name)
            return None
        sizes: list[int] = []
        for axis, size in enumerate(shape):
            place = f"{name}:{axis}"
            if size is None:
                size = self.dims.get(place, self.batch or 1 if axis == 0 else None)
                self.used_dims.add(place)
            elif axis == 0 and self.batch not in (None, size):
                self._error("E0204", f"--batch {self.batch}: the model's batch is fixed to {size}", layer=name)
            if size is None:
                self._error("E0305", f"axis {axis} of input {name!r} is dynamic", layer=name, remedy=f"--dim {place}=N")
                return None
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                self._error("E0302", f"input {name!r} has dimension {size!r} on axis {axis}", layer=name)
                return None
            sizes.append(size)
        if np.prod(np.array(sizes, np.float64)) > MAX_ELEMENTS or len(sizes) > 32:
            self._error("E0302", f"input {name!r} has shape {sizes}", why=f"the limit is {MAX_ELEMENTS} elements")
            return None
        if any(i.name == name for i in self.inputs):
            raise EdgecError("E0302", f"two inputs are named {name!r}")
        op = Input(name, type=TensorType(fmt, tuple(sizes)), loc=(name,))
        self.inputs.append(op)
        return own(op)

    # --- models -----------------------------------------------------------------------------------------------

    def _error(self, code: str, what: str, **rest: str | None) -> None:
        diagnostic = Diagnostic(code, what, **rest)
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    def _model(
        self, spec: ModelSpec, weights: Scope, operands: Sequence[Tensor | None], prefix: str, depth: int
    ) -> list[Tensor | None]:
        """The outputs of a model called on `operands`; None stands for what a refused layer would have given."""
        if depth > MAX_DEPTH:
            raise EdgecError("E0302", f"models are nested more than {MAX_DEPTH} deep")
        scope = weights.named([(s.name, s.class_name) for s in spec.layers if not is_function(s)])
        place = {s.name: i for i, s in enumerate(s for s in spec.layers if not is_function(s))}
        values: dict[tuple[str, int], list[Tensor | None]] = {}
        starts = [("", 0)] if spec.sequential else [(r.layer, 0) for r in spec.inputs]
        if spec.sequential and spec.layers[0].class_name == "InputLayer":
            starts = [(spec.layers[0].name, 0)]
        if len(starts) != len(operands):
            self._error("E0302", f"model {spec.name!r} has {len(starts)} inputs, but {len(operands)} operands")
            return [None] * len(spec.outputs)
        values.update({start: [operand] for start, operand in zip(starts, operands, strict=True)})
        base, order = ordered(spec)
        for layer, number in order:
            if (layer.name, number) in values:
                continue
            self.calls += 1
            if self.calls > MAX_CALLS:
                raise EdgecError("E0304", f"the model uses its layers more than {MAX_CALLS} times")
            xs = [result_of(values, base, r) for r in layer.calls[number].operands]
            values[layer.name, number] = self._layer(layer, number, xs, scope, place, prefix, depth)
        return [result_of(values, base, r) for r in spec.outputs]

    def _precision(self, spec: LayerSpec) -> None:
        if policy(spec) in ("float32", "mixed_float32") or any(d.code == "W0012" for d in self.found):
            return
        what = f"the model computes in {policy(spec)[:40]}, the import in float32"
        self.found.append(Diagnostic("W0012", what, spec.name, spec.class_name))

    def _layer(
        self,
        spec: LayerSpec,
        number: int,
        xs: list[Tensor | None],
        scope: Scope,
        place: Mapping[str, int],
        prefix: str,
        depth: int,
    ) -> list[Tensor | None]:
        name = prefix + spec.name
        try:
            if spec.model is not None:
                return self._model(spec.model, scope.inside(place[spec.name]), xs, f"{name}/", depth + 1)
            handler = checked_handler(spec, name)
            if any(x is None for x in xs):
                return [None]
            variables = [] if is_function(spec) else scope.variables(place[spec.name])
            layer = Layer(spec, name, variables, self.source.version, self.shared.setdefault(name, {}))
            if extra := spec.calls[number].extra:
                key = min(extra)
                layer.unsupported(f"the call is given {key} = {extra[key]!r:.60}", why="only tensors are followed")
            with np.errstate(all="ignore"):
                result = handler(layer, [x for x in xs if x is not None])
            layer.finish()
            self._precision(spec)
        except EdgecError as error:
            self.found += [d for d in (as_model_error(d, spec, name) for d in error.diagnostics) if d not in self.found]
            return [None]
        except FormatError as error:
            self._error("E0304", str(error), layer=name, op=spec.class_name)
            return [None]
        except _NUMERIC as error:
            why = f"{type(error).__name__}: {error}"
            self._error("E0302", "the layer's settings contradict each other", layer=name, op=spec.class_name, why=why)
            return [None]
        self.found += [d for d in layer.warnings if d not in self.found]
        results: list[Tensor | None] = [result] if isinstance(result, Tensor) else list(result)
        for each in results:
            size = 0.0 if each is None else np.prod(np.array(each.op.shape, np.float64))
            if each is not None and (size > MAX_ELEMENTS or len(each.op.shape) > 32):
                self._error("E0304", f"the result has shape {list(each.shape)}", layer=name, op=spec.class_name)
                return [None]
        return results


def policy(spec: LayerSpec) -> str:
    """The name of a layer's precision policy."""
    stated = spec.config.get("dtype")
    if isinstance(stated, dict):
        inner = stated.get("config")
        stated = inner.get("name") if isinstance(inner, dict) else None
    return stated if isinstance(stated, str) else "float32"


def is_function(spec: LayerSpec) -> bool:
    """Whether an entry among the layers is a function of keras.ops, which has no weights and no name there."""
    return ".ops." in f".{spec.module}."


def input_shape(spec: LayerSpec, build_shape: object) -> tuple[object, object]:
    """Shape and element type that a model's first layer states, however old the dialect."""
    for _ in range(MAX_DEPTH):
        if (model := spec.model) is None:
            break
        first = model.layers[0].name if model.sequential else model.inputs[0].layer
        spec = next((s for s in model.layers if s.name == first), spec)
        build_shape = model.build_shape or build_shape
    config = spec.config
    shape = config.get("batch_shape") or config.get("batch_input_shape") or build_shape
    dtype = config.get("dtype", "float32") if spec.class_name == "InputLayer" else "float32"
    return shape, dtype or "float32"


def result_of(
    values: Mapping[tuple[str, int], list[Tensor | None]], base: Mapping[str, int], ref: Ref
) -> Tensor | None:
    results = values[ref.layer, ref.node - base.get(ref.layer, 0)]
    if results == [None]:
        return None
    if ref.tensor >= len(results):
        raise EdgecError("E0302", f"result {ref.tensor} of layer {ref.layer!r} is used, but it has {len(results)}")
    return results[ref.tensor]


def ordered(spec: ModelSpec) -> tuple[dict[str, int], list[tuple[LayerSpec, int]]]:
    """All calls of layers, operands first, and the index of each layer's first call. E0302 for cycles."""
    layers = {s.name: s for s in spec.layers}
    refs: dict[str, list[Ref]] = {}
    for ref in [*spec.outputs, *(r for s in spec.layers for c in s.calls for r in c.operands)]:
        refs.setdefault(ref.layer, []).append(ref)
    base = {name: first_node(layers[name], found) for name, found in refs.items() if name in layers}
    for name, found in refs.items():
        count = len(layers[name].calls) if name in layers else int(spec.sequential and name == "")
        for ref in found:
            if not count:
                raise EdgecError("E0302", f"model {spec.name!r} uses layer {name!r}, which it does not have or call")
            if not 0 <= ref.node - base.get(name, 0) < count:
                raise EdgecError("E0302", f"call {ref.node} of layer {name!r} is used, but it has {count}")
    waiting: dict[tuple[str, int], int] = {}
    readers: dict[tuple[str, int], list[tuple[str, int]]] = {}
    ready: list[tuple[str, int]] = []
    for layer in spec.layers:
        for number, call in enumerate(layer.calls):
            key = (layer.name, number)
            sources = {(r.layer, r.node - base.get(r.layer, 0)) for r in call.operands if r.layer}
            waiting[key] = len(sources)
            for source in sources:
                readers.setdefault(source, []).append(key)
            if not sources:
                ready.append(key)
    order: list[tuple[LayerSpec, int]] = []
    for key in ready:
        order.append((layers[key[0]], key[1]))
        for reader in readers.get(key, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(order) < len(waiting):
        stuck = min(name for (name, number), left in waiting.items() if left)
        raise EdgecError("E0302", f"the layers of model {spec.name!r} form a cycle", layer=stuck)
    return base, order


def checked_handler(spec: LayerSpec, name: str):
    """The importer of a layer; E0303 when there is none."""
    class_name = f"ops.{spec.class_name}" if is_function(spec) else spec.class_name
    package = spec.registered.partition(">")[0] if ">" in spec.registered else ""
    handler = None if package and package.lower() not in ("keras", "qkeras") else handler_for(class_name)
    if handler is not None:
        return handler
    why, remedy = _reason(spec, package)
    raise EdgecError("E0303", f"{class_name} is not supported", layer=name, op=spec.class_name, why=why, remedy=remedy)


def _reason(spec: LayerSpec, package: str) -> tuple[str, str]:
    if spec.class_name in ("Lambda", "TFOpLambda", "SlicingOpLambda") or is_function(spec):
        return "it is Python code, which is never run at import", "replace it by a layer of Keras"
    if spec.class_name in REASONS:
        return REASONS[spec.class_name]
    if package or (spec.module and not spec.module.startswith(("keras", "tf_keras", "tensorflow", "qkeras"))):
        return f"it is a class of one's own ({spec.registered or spec.module})", "replace it by layers of Keras"
    names = [n for n in layer_names() if not n.startswith("ops.")]
    close = nearest(spec.class_name, names)
    fits = close if close.startswith("did you mean") else "replace the layer by supported ones, or cut it off"
    return "it is not in the importer's table", fits


def as_model_error(diagnostic: Diagnostic, spec: LayerSpec, name: str) -> Diagnostic:
    """An op that refused its operands (E0102) says that the model is wrong."""
    if diagnostic.code != "E0102":
        return diagnostic
    return Diagnostic("E0302", diagnostic.what, name, spec.class_name, diagnostic.why, diagnostic.remedy)
