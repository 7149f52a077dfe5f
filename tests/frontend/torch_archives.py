"""`.pt2` archives written by hand, so that the reader is tested without PyTorch and with files that it never writes."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

FLOAT, LONG = 7, 5


def meta(shape: tuple[int, ...], dtype: int = FLOAT, **more: Any) -> dict[str, Any]:
    strides = [int(np.prod(shape[i + 1 :], dtype=int)) for i in range(len(shape))]
    return {
        "dtype": dtype,
        "sizes": [{"as_int": n} for n in shape],
        "strides": [{"as_int": n} for n in strides],
        "storage_offset": {"as_int": 0},
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "layout": 7,
        **more,
    }


def call(target: str, output: str, path: str = "", **arguments: Any) -> dict[str, Any]:
    """One node; arguments are tensors by name (strings), or serialised unions (dicts)."""
    inputs = [
        {"name": n, "arg": {"as_tensor": {"name": a}} if isinstance(a, str) else a, "kind": 1}
        for n, a in arguments.items()
    ]
    stack = f"L__self__,,Net;L__self__.{path},{path},torch.nn.modules.Layer" if path else "L__self__,,Net"
    return {
        "target": f"torch.ops.{target}",
        "inputs": inputs,
        "outputs": [{"as_tensor": {"name": output}}],
        "metadata": {"nn_module_stack": stack},
        "name": output,
    }


def model(nodes: list[dict[str, Any]], tensors: dict[str, dict[str, Any]], **change: Any) -> dict[str, Any]:
    """A program with the input x, the parameter p_w (`fc.weight`), and the last node's result."""
    last = nodes[-1]["outputs"][0] if nodes else {"as_tensor": {"name": "x"}}
    specs = [
        {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "fc.weight"}},
        {"user_input": {"arg": {"as_tensor": {"name": "x"}}}},
    ]
    graph = {"inputs": [], "outputs": [last], "nodes": nodes, "tensor_values": tensors}
    signature = {"input_specs": specs, "output_specs": [{"user_output": {"arg": last}}]}
    return {
        "graph_module": {"graph": graph, "signature": signature, "module_call_graph": []},
        "opset_version": {"aten": 10},
        "range_constraints": {},
        "schema_version": {"major": 8, "minor": 20},
        "torch_version": "2.13.0",
        **change,
    }


WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5


def linear(**change: Any) -> dict[str, Any]:
    """x [1, 3] -> linear with `WEIGHTS` -> relu -> [1, 2]."""
    nodes = [
        call("aten.linear.default", "y", "fc", input="x", weight="p_w"),
        call("aten.relu.default", "z", "act", self="y"),
    ]
    tensors = {"x": meta((1, 3)), "p_w": meta((2, 3)), "y": meta((1, 2)), "z": meta((1, 2))}
    return model(nodes, tensors, **change)


def archive(
    program: Any = None,
    *,
    weights: dict[str, Any] | None = None,
    entries: dict[str, bytes | None] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """The bytes of a .pt2 file; `entries` adds files or (None) leaves some out."""
    table = {"fc.weight": {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": meta((2, 3))}}
    files: dict[str, bytes | None] = {
        "archive_format": b"pt2",
        "archive_version": b"0",
        "byteorder": b"little",
        "models/model.json": json.dumps(linear() if program is None else program).encode(),
        "data/weights/model_weights_config.json": json.dumps(
            {"config": table if weights is None else weights}
        ).encode(),
        "data/weights/weight_0": WEIGHTS.tobytes(),
        "data/constants/model_constants_config.json": b'{"config": {}}',
        **(entries or {}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in files.items():
            if content is not None:
                file.writestr(zipfile.ZipInfo(f"net/{name}"), content, compression)
    return buffer.getvalue()
