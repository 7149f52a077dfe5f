"""The JSON of a `.pt2` archive as typed records: only what the import reads; unknown keys are skipped.

Unions are objects with one key (`{"as_int": 3}`) and stay plain dicts until they are read (`importer.py`).
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

Union = dict[str, Any]


class TensorMeta(Struct):
    """Element type (see `types.py`), sizes, strides and offset of a tensor, each number a union."""

    dtype: int
    sizes: list[Union]
    strides: list[Union] = field(default_factory=list)
    storage_offset: Union = field(default_factory=lambda: {"as_int": 0})


class NamedArgument(Struct):
    name: str
    arg: Union


class NodeRecord(Struct):
    """One call: `target` is the operator, `metadata` holds the stack of modules around it."""

    target: str
    inputs: list[NamedArgument]
    outputs: list[Union]
    metadata: dict[str, Any] = field(default_factory=dict)
    name: str | None = None


class GraphRecord(Struct):
    inputs: list[Union]
    outputs: list[Union]
    nodes: list[NodeRecord]
    tensor_values: dict[str, TensorMeta]


class Signature(Struct):
    input_specs: list[Union]
    output_specs: list[Union]


class GraphModule(Struct):
    graph: GraphRecord
    signature: Signature


class Program(Struct):
    """`models/*.json`."""

    graph_module: GraphModule
    schema_version: dict[str, int]
    range_constraints: dict[str, Any] = field(default_factory=dict)
    torch_version: str = ""


class Payload(Struct):
    """Where the bytes of one weight lie."""

    path_name: str
    use_pickle: bool = False
    tensor_meta: TensorMeta | None = None


class PayloadConfig(Struct):
    """`data/weights/*_config.json` and `data/constants/*_config.json`: tensor name -> place."""

    config: dict[str, Payload]
