"""The architecture: both JSON dialects (Keras 2 and Keras 3) read into the same few records.

Everything here is bounded: nesting by `MAX_DEPTH`, calls by the importer, and nothing is followed that the JSON does
not hold. A node index counts the calls of a layer; nested models of Keras count from 1, because a model that was
built on its own has a call of its own already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from edgec.diagnostics import EdgecError

MAX_DEPTH = 32
"""Models inside models inside models."""
MODELS = ("Functional", "Model", "Sequential")
IGNORED_CALL_ARGUMENTS = ("training", "mask", "initial_state", "constants")
"""Arguments of a call that are nothing at inference when they are null, true or false."""


@dataclass(frozen=True)
class Ref:
    """Result number `tensor` of call number `node` of a layer."""

    layer: str
    node: int
    tensor: int


@dataclass
class Call:
    """One use of a layer: its operands, and what else was passed to it."""

    operands: list[Ref]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class LayerSpec:
    """A layer as the JSON describes it; `model` when it is a nested model."""

    name: str
    class_name: str
    module: str
    registered: str
    config: dict[str, Any]
    calls: list[Call] = field(default_factory=list)
    model: ModelSpec | None = None


@dataclass
class ModelSpec:
    """A model: its layers in stored order, where it starts and what it returns."""

    name: str
    layers: list[LayerSpec]
    inputs: list[Ref]
    outputs: list[Ref]
    sequential: bool
    build_shape: Any = None


def malformed(what: str, layer: str | None = None, why: str | None = None) -> EdgecError:
    return EdgecError("E0302", what, layer=layer, why=why)


def parse_model(data: Any, depth: int = 0) -> ModelSpec:
    """The model that `{"class_name": ..., "config": ...}` describes."""
    if depth > MAX_DEPTH:
        raise malformed(f"models are nested more than {MAX_DEPTH} deep")
    class_name = data.get("class_name")
    config = data.get("config")
    if class_name not in MODELS:
        raise EdgecError(
            "E0304",
            f"the model is a {class_name!r}, not a Sequential or Functional one",
            why="a model class of one's own computes in Python code, which a file does not hold",
            remedy="build the network with the functional API and save it again",
        )
    if isinstance(config, list):  # Keras 2.0 to 2.2
        config = {"name": "sequential", "layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise malformed("the model lists no layers", why=f"class {class_name}")
    name = str(config.get("name") or class_name.lower())
    layers = [_layer(item, depth) for item in config["layers"]]
    names = [spec.name for spec in layers]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise malformed(f"two layers are named {twice!r}")
    sequential = class_name == "Sequential"
    if sequential:
        return _sequential(name, layers, config.get("build_input_shape"))
    inputs, outputs = (list(_refs(config.get(key))) for key in ("input_layers", "output_layers"))
    if not inputs or not outputs:
        raise malformed(f"model {name!r} names no {'output' if inputs else 'input'} layers")
    return ModelSpec(name, layers, inputs, outputs, sequential)


def _sequential(name: str, layers: list[LayerSpec], build_shape: Any) -> ModelSpec:
    if not layers:
        raise malformed(f"model {name!r} has no layers")
    start = 0
    if layers[0].class_name == "InputLayer":
        layers[0].calls = [Call([])]
        start = 1
    elif any(spec.class_name == "InputLayer" for spec in layers):
        raise malformed(f"an InputLayer in the middle of {name!r}")
    for i in range(max(start, 1), len(layers)):
        layers[i].calls = [Call([Ref(layers[i - 1].name, 0, 0)])]
    if not start:
        layers[0].calls = [Call([Ref("", 0, 0)])]  # the importer puts the input there
    return ModelSpec(name, layers, [], [Ref(layers[-1].name, 0, 0)], True, build_shape)


def _layer(item: Any, depth: int) -> LayerSpec:
    if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
        raise malformed("an entry among the layers is no layer")
    class_name, config = item["class_name"], item.get("config")
    model = parse_model(item, depth + 1) if class_name in MODELS else None
    if isinstance(config, list) and model is not None:
        config = {"name": model.name}
    if not isinstance(config, dict):
        raise malformed(f"a layer of class {class_name} has no configuration")
    name = item.get("name") or config.get("name")
    if not isinstance(name, str) or not name:
        raise malformed(f"a layer of class {class_name} has no name")
    spec = LayerSpec(
        name, class_name, str(item.get("module") or ""), str(item.get("registered_name") or ""), config, model=model
    )
    nodes = item.get("inbound_nodes", [])
    if not isinstance(nodes, list):
        raise malformed("inbound_nodes is no list", name)
    spec.calls = [_call(node, name) for node in nodes]
    if class_name == "InputLayer" and not nodes:
        spec.calls = [Call([])]
    return spec


def _call(node: Any, layer: str) -> Call:
    """One entry of `inbound_nodes`."""
    extra: dict[str, Any] = {}
    if isinstance(node, dict):  # Keras 3
        extra = dict(node.get("kwargs") or {}) if isinstance(node.get("kwargs"), dict) else {}
        operands = list(_refs(node.get("args")))
        for key in ("inputs", "x"):
            if key in extra and not operands:
                operands = list(_refs(extra.pop(key)))
        if states := list(_refs(extra.get("initial_state"))):
            operands += states
            del extra["initial_state"]
        constants = list(_constants(node.get("args")))
        if constants:
            extra["args"] = constants[0]
    else:
        operands = list(_refs(node))
        for entry in _entries(node):
            if len(entry) > 3 and isinstance(entry[3], dict):
                extra.update(entry[3])
    return Call(operands, {k: v for k, v in extra.items() if not _harmless(k, v)})


def _harmless(name: str, value: Any) -> bool:
    return name in IGNORED_CALL_ARGUMENTS and (value is None or isinstance(value, bool))


def _is_ref(data: Any) -> TypeGuard[list[Any]]:
    return (
        isinstance(data, list)
        and len(data) >= 3
        and isinstance(data[0], str)
        and all(isinstance(n, int) and not isinstance(n, bool) for n in data[1:3])
    )


def _is_tensor(data: Any) -> bool:
    return isinstance(data, dict) and data.get("class_name") == "__keras_tensor__"


def _entries(data: Any) -> Iterator[list[Any]]:
    """All `[layer, node, tensor, ...]` lists in nested lists and dicts."""
    if _is_ref(data):
        yield data
    elif isinstance(data, list):
        for each in data:
            yield from _entries(each)
    elif isinstance(data, dict):
        if _is_tensor(data):
            config = data.get("config")
            history = config.get("keras_history") if isinstance(config, dict) else None
            if not _is_ref(history):
                raise malformed("a tensor of the model has no history")
            yield history
        else:
            for each in data.values():
                yield from _entries(each)


def _refs(data: Any) -> Iterator[Ref]:
    for entry in _entries(data):
        if entry[1] < 0 or entry[2] < 0:
            raise malformed(f"a negative index in a reference to layer {entry[0]!r}")
        yield Ref(entry[0], entry[1], entry[2])


def _constants(data: Any) -> Iterator[Any]:
    """Operands that are no tensors of the model."""
    if isinstance(data, list) and not _is_ref(data):
        for each in data:
            yield from _constants(each)
    elif not (data is None or _is_ref(data) or _is_tensor(data)):
        yield data


def first_node(spec: LayerSpec, refs: list[Ref]) -> int:
    """The index of the first call of a layer, given all references to it: 1 for most nested models, else 0."""
    nodes = [r.node for r in refs]
    if not nodes or min(nodes) == 0:
        return 0
    if spec.model is not None or len(spec.calls) == 1:  # with one call there is nothing to confuse
        return min(nodes) if len(spec.calls) == 1 else 1
    return 0
