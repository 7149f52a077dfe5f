"""Collects nodes, initializers and shapes while a graph is written as ONNX."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from edgec.diagnostics import EdgecError
from edgec.formats import Format
from edgec.graph import Graph
from edgec.ops import Op, centered_range

OPSET = 21
IR_VERSION = 10
QONNX = "qonnx.custom_op.general"
DETECTOR = "edgec"

F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
I64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)
_EXACT = ((F32, 1 << 24), (F64, 1 << 53))

Exporter = Callable[["Builder", Any], str]
EXPORTERS: dict[type[Op], Exporter] = {}


def exports(*classes: type[Op]) -> Callable[[Exporter], Exporter]:
    """Register `function(builder, op) -> tensor name` for op classes."""

    def register(function: Exporter) -> Exporter:
        for cls in classes:
            EXPORTERS[cls] = function
        return function

    return register


def unit(fmt: Format) -> float:
    """What one level is worth in an exported tensor: its real value where that is exact, else 1."""
    return 2.0**-fmt.frac if fmt.frac is not None else 1.0


def exact_dtype(bound: int, op: Op) -> np.dtype:
    """The float type in which all integers up to `bound` are exact; E0304 when there is none."""
    for dtype, limit in _EXACT:
        if bound <= limit:
            return dtype
    raise EdgecError(
        "E0304",
        f"levels up to {bound} have no exact float type",
        layer=op.label,
        op=op.mnemonic,
        why="ONNX tensors carry them as float64, which is exact to 53 bits",
    )


def dtype_of(op: Op) -> np.dtype:
    """The element type of the exported tensor of `op`."""
    fmt = op.format
    if fmt.is_float:
        return fmt.dtype
    lo, hi = centered_range(fmt)
    return exact_dtype(max(-lo, hi), op)


class Builder:
    """Names are unique and follow the source names; equal small constants are stored once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.info: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self.taken = {i.name for i in graph.inputs} | {n for n, _ in graph.outputs}
        self.values: dict[Op, str] = {}
        self.parts: dict[Op, list[str]] = {}
        self.pooled: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.casts: dict[tuple[str, np.dtype], str] = {}
        self.rounding_modes: set[str] = set()
        self.functions: set[tuple[str, str]] = set()
        self.variants: dict[str, set[tuple[str, str]]] = {}
        self.stem = ""

    def unique(self, stem: str) -> str:
        name, n = stem, 1
        while name in self.taken:
            n += 1
            name = f"{stem}.{n}"
        self.taken.add(name)
        return name

    def start(self, op: Op) -> None:
        """Name what follows after `op`."""
        self.stem = re.sub(r"[^\w./:-]+", "_", op.loc[-1] if op.loc else op.mnemonic)

    # --- tensors ----------------------------------------------------------------------------------------------

    def constant(self, array: np.ndarray, stem: str = "") -> str:
        """An initializer; small ones with equal contents share one."""
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, array.tobytes()) if array.nbytes <= 64 else None
        if key is not None and key in self.pooled:
            return self.pooled[key]
        name = self.unique(stem or ("const" if key is not None else f"{self.stem}.const"))
        self.initializers[name] = array
        self.info[name] = (array.dtype, array.shape)
        if key is not None:
            self.pooled[key] = name
        return name

    def scalar(self, value: float, dtype: np.dtype) -> str:
        return self.constant(np.array(value, dtype))

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64))

    def shape(self, name: str) -> tuple[int, ...]:
        return self.info[name][1]

    def dtype(self, name: str) -> np.dtype:
        return self.info[name][0]

    def cast(self, name: str, dtype: np.dtype) -> str:
        """`name` with another element type; nothing when it has it."""
        dtype = np.dtype(dtype)
        if self.dtype(name) == dtype:
            return name
        if (name, dtype) not in self.casts:
            to = onnx.helper.np_dtype_to_tensor_dtype(dtype)
            self.casts[name, dtype] = self.node("Cast", [name], self.shape(name), dtype, to=to)
        return self.casts[name, dtype]

    def read(self, op: Op, dtype: np.dtype | None = None) -> str:
        """The tensor of `op` in the given element type."""
        name = self.values[op]
        return name if dtype is None else self.cast(name, dtype)

    # --- nodes ------------------------------------------------------------------------------------------------

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        dtype: np.dtype,
        *,
        domain: str = "",
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        """Append a node with one result and return its name."""
        name = output or self.unique(self.stem)
        attributes = {k: v for k, v in attributes.items() if v is not None}
        proto = onnx.helper.make_node(op_type, list(inputs), [name], name=name, domain=domain or None, **attributes)
        self.nodes.append(proto)
        self.info[name] = (np.dtype(dtype), tuple(shape))
        if domain:
            self.functions.add((domain, op_type))
        return name

    def each(self, op_type: str, *inputs: str, dtype: np.dtype | None = None, **attributes: Any) -> str:
        """An elementwise node with broadcasting."""
        shape = np.broadcast_shapes(*(self.shape(i) for i in inputs))
        return self.node(op_type, inputs, shape, dtype or self.dtype(inputs[0]), **attributes)

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        if tuple(shape) == self.shape(name):
            return name
        return self.node(
            "Reshape", [name, self.ints(shape)], shape, self.dtype(name), allowzero=int(0 in shape) or None
        )

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        shape = [self.shape(name)[p] for p in perm]
        return self.node("Transpose", [name], shape, self.dtype(name), perm=list(perm))

    def value_infos(self, names: set[str]) -> list[onnx.ValueInfoProto]:
        return [
            onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(d), s)
            for n, (d, s) in self.info.items()
            if n not in names
        ]

    def tensors(self) -> list[TensorProto]:
        """The initializers that a node reads or that leave the graph."""
        used = {i for node in self.nodes for i in node.input} | {name for name, _ in self.graph.outputs}
        return [numpy_helper.from_array(a, n) for n, a in self.initializers.items() if n in used]
