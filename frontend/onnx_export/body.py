"""The nodes of a local function, written one after the other."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto

from edgec.frontend.onnx_export.builder import I64, OPSET


class Body:
    """The nodes of one function."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.kind: np.dtype = I64

    def __call__(self, op_type: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op_type, list(inputs), [name], **attributes))  # type: ignore[arg-type]
        return name

    def attribute(self, name: str, field: str = "value_int") -> str:
        """A constant with the value of the function's attribute `name`."""
        kinds = {
            "value_int": AttributeProto.INT,
            "value_ints": AttributeProto.INTS,
            "value_string": AttributeProto.STRING,
        }
        output = self("Constant")
        reference = AttributeProto(name=field, ref_attr_name=name, type=kinds[field])
        self.nodes[-1].attribute.append(reference)
        return output

    def refer(self, name: str, own: str) -> None:
        """Let attribute `own` of the last node be the function's attribute `name`."""
        self.nodes[-1].attribute.append(AttributeProto(name=own, ref_attr_name=name, type=AttributeProto.INT))

    def integer(self, value: int) -> str:
        return self("Constant", value_int=value)

    def ints(self, values: list[int]) -> str:
        return self("Constant", value_ints=values)

    def like(self, name: str, x: str) -> str:
        return self("CastLike", name, x)

    def number(self, value: float, x: str) -> str:
        return self.like(self("Constant", value_float=value), x)

    def cast(self, name: str, kind: int | np.dtype) -> str:
        to = onnx.helper.np_dtype_to_tensor_dtype(kind) if isinstance(kind, np.dtype) else kind
        output = f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node("Cast", [name], [output], to=to))
        return output

    # --- as `rounding.Emitter`: the arithmetic is done in the element type `kind`

    def each(self, op_type: str, *inputs: str, dtype: np.dtype | None = None) -> str:
        return self(op_type, *inputs)

    def dtype(self, name: str) -> np.dtype:
        return self.kind

    def constant(self, array: np.ndarray) -> str:
        return self("Constant", value=onnx.numpy_helper.from_array(array))

    def scalar(self, value: float, dtype: np.dtype) -> str:
        return self.constant(np.array(value, dtype))

    def to_int(self, name: str) -> str:
        return self.cast(name, TensorProto.INT64)

    def powers(self) -> str:
        """[1, 2, 4, ... 2**62]."""
        return self.ints([1 << i for i in range(63)])


def function(domain: str, name: str, inputs: list[str], body: Body, attributes: list[str]) -> FunctionProto:
    opset = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_function(domain, name, inputs, ["y"], body.nodes, opset, attributes)
