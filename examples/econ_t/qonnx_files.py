"""Write the trained encoders as QONNX (quantised) and plain ONNX (float) files.

The QONNX graph carries its formats in `Quant` nodes. Weights are stored as float values that already lie on
the chip's 6-bit grid. The `Quant` nodes of the activations round with FLOOR, because the chip truncates;
what QONNX says beyond that is "add exactly, then floor", the `exact` numerics of reference.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from geometry import INPUT_SHAPE
from onnx import TensorProto, helper, numpy_helper
from reference import CODE_FRACTION, HIDDEN_FRACTION, INPUT_FRACTION, STRIDE_AND_PADS, WEIGHT_FRACTION

QUANT_DOMAIN = "qonnx.custom_op.general"
OPSET = 17


class _Graph:
    """Nodes, initializers and tensor shapes; every method returns the name of the tensor it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def array(self, name: str, values: np.ndarray) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(values, name))
        self.shapes[name] = values.shape
        return name

    def node(
        self,
        op: str,
        inputs: list[str],
        shape: tuple[int, ...],
        name: str,
        output: str = "",
        **attributes: object,
    ) -> str:
        output = output or f"{name}_out"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        self.shapes[output] = shape
        return output

    def quant(self, x: str, bits: int, fraction: int, signed: bool, name: str, output: str = "") -> str:
        shape = self.shapes[x]
        scale = self.array(f"scale_{fraction}", np.float32(2.0**-fraction).reshape(()))
        zero = self.array("zero_point", np.float32(0.0).reshape(()))
        width = self.array(f"bits_{bits}", np.float32(bits).reshape(()))
        # Weights are on the grid already, so ROUND leaves them as they are.
        mode = "ROUND" if signed else "FLOOR"
        attributes = {"signed": int(signed), "narrow": 0, "rounding_mode": mode, "domain": QUANT_DOMAIN}
        return self.node("Quant", [x, scale, zero, width], shape, name, output, **attributes)

    def intermediate(self) -> list[onnx.ValueInfoProto]:
        """Shapes of the tensors between input and output; the qonnx executor wants them stated."""
        inner = {n: s for n, s in self.shapes.items() if n not in self.initializers and n not in ("x", "code")}
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inner.items()]


def encoder_model(design: str, weights: dict[str, np.ndarray], quantized: bool) -> onnx.ModelProto:
    """The encoder of `design`, static batch 1, input `x`, output `code` [1, 16]; float weights by name.

    Raises ValueError when a quantised network's weights are off the 6-bit grid.
    """
    graph = _Graph()
    shape = INPUT_SHAPE[design]
    graph.shapes["x"] = (1, *shape)
    arrays = {name: graph.array(name, np.asarray(w, np.float32)) for name, w in weights.items()}
    value = "x"
    if quantized:
        for name, w in weights.items():
            codes = np.asarray(w, np.float64) * (1 << WEIGHT_FRACTION)
            if (codes != np.rint(codes)).any() or codes.min() < -32 or codes.max() > 31:
                raise ValueError(f"{name} is off the signed 6-bit grid with {WEIGHT_FRACTION} fraction bits")
        value = graph.quant(value, 8, INPUT_FRACTION, False, "/encoder/input_quant")
        arrays = {
            name: graph.quant(tensor, 6, WEIGHT_FRACTION, True, f"/encoder/{name.replace('_', '/')}_quant")
            for name, tensor in arrays.items()
        }
    stride, pads = STRIDE_AND_PADS[shape[0]]
    value = graph.node(
        "Conv",
        [value, arrays["conv_weight"], arrays["conv_bias"]],
        (1, 8, 4, 4),
        "/encoder/conv",
        kernel_shape=[3, 3],
        strides=[stride, stride],
        pads=list(pads),
    )
    value = graph.node("Relu", [value], (1, 8, 4, 4), "/encoder/conv_relu")
    if quantized:
        value = graph.quant(value, 8, HIDDEN_FRACTION, False, "/encoder/conv_quant")
    value = graph.node("Transpose", [value], (1, 4, 4, 8), "/encoder/channels_last", perm=[0, 2, 3, 1])
    flat = graph.array("flat_shape", np.array([1, 128], np.int64))
    value = graph.node("Reshape", [value, flat], (1, 128), "/encoder/flatten")
    value = graph.node(
        "Gemm", [value, arrays["dense_weight"], arrays["dense_bias"]], (1, 16), "/encoder/dense", transB=1
    )
    value = graph.node("Relu", [value], (1, 16), "/encoder/dense_relu", "" if quantized else "code")
    if quantized:
        graph.quant(value, 9, CODE_FRACTION, False, "/encoder/code_quant", "code")
    proto = helper.make_graph(
        graph.nodes,
        f"econ_t_{design}",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *shape])],
        [helper.make_tensor_value_info("code", TensorProto.FLOAT, [1, 16])],
        list(graph.initializers.values()),
        value_info=graph.intermediate(),
    )
    opsets = [helper.make_opsetid("", OPSET)] + ([helper.make_opsetid(QUANT_DOMAIN, 1)] if quantized else [])
    model = helper.make_model(proto, opset_imports=opsets, ir_version=8, producer_name="econ_t example")
    if not quantized:
        onnx.checker.check_model(model)
    return model


def save_encoder(path: Path, design: str, weights: dict[str, np.ndarray], quantized: bool = True) -> None:
    """Write `encoder_model` to `path`; the same weights give the same bytes."""
    path.write_bytes(encoder_model(design, weights, quantized).SerializeToString(deterministic=True))
