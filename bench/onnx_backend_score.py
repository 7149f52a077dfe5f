"""Scores the importer and the interpreter on ONNX's own node tests.

    python bench/onnx_backend_score.py [--list refused|wrong] [--only NAME]

Every test is imported (operands that a static compiler needs at compile time are bound as initializers where the
import asks for it), run by the interpreter, and compared with the expected outputs under the test's tolerances.
A test passes, is refused with a diagnostic, or is WRONG; wrong and crashed tests make the exit status 1.
"""

from __future__ import annotations

import argparse
import collections
import sys
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx import load
from edgec.interp import run

EDGE_OPERATORS = frozenset(
    [
        "Conv",
        "ConvTranspose",
        "ConvInteger",
        "QLinearConv",
        "QLinearMatMul",
        "MatMul",
        "MatMulInteger",
        "Gemm",
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Clip",
        "Softmax",
        "LogSoftmax",
        "Gelu",
        "Erf",
        "Exp",
        "Log",
        "Sqrt",
        "Pow",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Min",
        "Max",
        "BatchNormalization",
        "LayerNormalization",
        "InstanceNormalization",
        "Concat",
        "Split",
        "Slice",
        "Gather",
        "Transpose",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Expand",
        "Pad",
        "Resize",
        "ReduceMean",
        "ReduceSum",
        "ArgMax",
        "Cast",
        "Where",
        "DepthToSpace",
    ]
)
"""What edge networks of convolutions and small transformers are made of."""


def as_array(value: Any) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def bound(model: ModelProto, values: dict[str, np.ndarray]) -> ModelProto:
    """`model` with all inputs but the first bound to `values`."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for name, array in list(values.items())[1:]:
        copy.graph.initializer.append(numpy_helper.from_array(array, name))
    return copy


def attempt(model: ModelProto, values: dict[str, np.ndarray], wanted: list[Any], rtol: float, atol: float) -> str:
    """`pass`, or what went wrong."""
    dims = {
        f"{i.name}:{axis}": size
        for i in model.graph.input
        for axis, (dim, size) in enumerate(zip(i.type.tensor_type.shape.dim, values[i.name].shape, strict=False))
        if not dim.HasField("dim_value") or dim.dim_value == 0
    }
    try:
        graph = load(model, dims=dims)
    except EdgecError as error:
        if not any(d.code in ("E0305", "E0307") for d in error.diagnostics) or len(values) < 2:
            raise
        first = next(iter(values))
        graph = load(bound(model, values), dims={k: n for k, n in dims.items() if k.startswith(f"{first}:")})
    feeds = {i.name: values[i.name][None] for i in graph.inputs}
    feeds = {n: a.astype(np.uint8) if a.dtype == np.bool_ else a for n, a in feeds.items()}
    feeds = {n: a.astype(graph.input(n).format.dtype) for n, a in feeds.items()}
    results = run(graph, feeds)
    for (name, _), expected in zip(graph.outputs, wanted, strict=True):
        got, expected = results[name][0], as_array(expected)
        if got.shape != expected.shape:
            return f"WRONG shape {got.shape}, not {expected.shape}"
        if not np.allclose(got.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True):
            worst = np.nanmax(np.abs(got.astype(np.float64) - expected.astype(np.float64)))
            return f"WRONG by {worst:.3g}"
    return "pass"


def score(test: Any) -> str:
    """The verdict on one node test: `pass`, `refused ...`, `WRONG ...` or `CRASH ...`."""
    model = test.model
    for inputs, outputs in test.data_sets:
        names = [i.name for i in model.graph.input]
        if len(names) != len(inputs):
            return "refused (optional graph inputs)"
        try:
            values = {n: as_array(v) for n, v in zip(names, inputs, strict=True)}
        except (TypeError, ValueError):
            return "refused (inputs that are no tensors)"
        try:
            verdict = attempt(model, values, list(outputs), test.rtol, test.atol)
        except EdgecError as error:
            d = error.diagnostics[0]
            verdict = f"refused {d.code} {d.what} ({d.op}){': ' + d.why if d.why else ''}"
        except Exception as error:
            verdict = f"CRASH {type(error).__name__}: {error}"
        if verdict != "pass":
            return verdict
    return "pass"


def operators(model: ModelProto) -> set[str]:
    return {n.op_type for n in model.graph.node}


def load_tests() -> list[Any]:
    """ONNX's node tests, generated in memory."""
    import onnx.backend.test.loader as loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return loader.load_model_tests(kind="node")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", choices=("refused", "wrong", "all"))
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    totals: dict[str, collections.Counter[str]] = {
        k: collections.Counter() for k in ("all", "direct", "edge operators", "edge operators without Cast")
    }
    per_operator: dict[str, collections.Counter[str]] = {}
    for test in load_tests():
        if arguments.only not in test.name:
            continue
        verdict = score(test)
        kind = verdict.split()[0]
        used = operators(test.model)
        groups = ["all"]
        if not test.name.endswith("_expanded") and "_expanded_" not in test.name:
            groups.append("direct")
            if len(used) == 1 and used <= EDGE_OPERATORS:
                groups.append("edge operators")
                per_operator.setdefault(next(iter(used)), collections.Counter())[kind] += 1
                if used != {"Cast"}:
                    groups.append("edge operators without Cast")
        for group in groups:
            totals[group][kind] += 1
        if (
            (arguments.list == "all")
            or (arguments.list == "refused" and kind == "refused")
            or (kind in ("WRONG", "CRASH"))
        ):
            print(f"{test.name}: {verdict}")
    for group, counts in totals.items():
        total = sum(counts.values())
        parts = ", ".join(f"{k} {v}" for k, v in sorted(counts.items()))
        print(f"{group:30s} {total:5d}: {parts} ({100 * counts['pass'] / max(total, 1):.1f} % pass)")
    short = {o: c for o, c in sorted(per_operator.items()) if c["pass"] < sum(c.values())}
    print("not fully passed: " + ", ".join(f"{o} {c['pass']}/{sum(c.values())}" for o, c in short.items()))
    return 1 if totals["all"]["WRONG"] + totals["all"]["CRASH"] else 0


__all__ = ["onnx", "score"]

if __name__ == "__main__":
    sys.exit(main())
