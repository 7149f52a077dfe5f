"""Scores the importer and the interpreter on ONNX's own node tests.

    python bench/onnx_backend_score.py [--on c [--core cortex-a76]] [--list refused|all] [--only NAME]
                                       [--table docs/onnx-coverage.md]

Every test is imported, run by the interpreter, and compared with the expected outputs under the test's tolerances.
Where the import asks for constants (shapes, axes, scales), the operands behind the first are bound as initializers,
and where that does not do, all of them: then the test is one of constant folding.
A test passes, is refused with a diagnostic, or is WRONG; wrong and crashed tests make the exit status 1.
`--on c` also compiles what passes to C and runs it here, or on a core under QEMU. `--table` writes the share of every
operator as a page.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper

from edgec.diagnostics import EdgecError
from edgec.frontend.onnx import load
from edgec.graph import Graph
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
        "BitShift",
    ]
)
"""What edge networks of convolutions and small transformers are made of."""


def as_array(value: Any) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def codes(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`values` as the interpreter takes them: truth values as 0 and 1, small floats as their codes."""
    return values.view(np.uint8) if values.dtype.name.startswith("float4") else values.astype(dtype)


def bound(model: ModelProto, values: dict[str, np.ndarray], free: int) -> ModelProto:
    """`model` with all inputs but the first `free` bound to `values`."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for name, array in list(values.items())[free:]:
        copy.graph.initializer.append(numpy_helper.from_array(array, name))
    return copy


def imported(model: ModelProto, values: dict[str, np.ndarray], dims: dict[str, int]) -> Graph:
    """The graph, with as few operands bound to constants as the import asks for."""
    try:
        return load(model, dims=dims)
    except EdgecError as error:
        if not any(d.code in ("E0305", "E0307") for d in error.diagnostics):
            raise
    first = next(iter(values), "")
    kept = {k: n for k, n in dims.items() if k.startswith(f"{first}:")}
    if len(values) > 1:
        try:
            return load(bound(model, values, 1), dims=kept)
        except EdgecError as error:
            if not any(d.code in ("E0305", "E0307") for d in error.diagnostics):
                raise
    return load(bound(model, values, 0))


@dataclass(frozen=True, eq=False)
class Case:
    """A data set of a test: the imported graph, codes of its inputs [1, *shape], and the values that it should give."""

    graph: Graph
    feeds: dict[str, np.ndarray]
    wanted: list[Any]
    rtol: float
    atol: float

    def verdict(self, results: dict[str, np.ndarray]) -> str:
        """`pass`, or how the outputs [*shape] differ."""
        for (name, _), expected in zip(self.graph.outputs, self.wanted, strict=True):
            got, expected = results[name], as_array(expected)
            if expected.dtype.name.startswith("float4"):
                got = got.astype(np.uint8).view(expected.dtype)
            if got.shape != expected.shape:
                return f"WRONG shape {got.shape}, not {expected.shape}"
            a, b = got.astype(np.float64), expected.astype(np.float64)
            if not np.allclose(a, b, rtol=self.rtol, atol=self.atol, equal_nan=True):
                return f"WRONG by {np.nanmax(np.abs(a - b)):.3g}"
        return "pass"


def case_of(model: ModelProto, values: dict[str, np.ndarray], wanted: list[Any], rtol: float, atol: float) -> Case:
    """The imported test; EdgecError where the import refuses it."""
    dims = {
        f"{i.name}:{axis}": size
        for i in model.graph.input
        for axis, (dim, size) in enumerate(zip(i.type.tensor_type.shape.dim, values[i.name].shape, strict=False))
        if not dim.HasField("dim_value") or dim.dim_value == 0
    }
    graph = imported(model, values, dims)
    feeds = {i.name: codes(values[i.name], i.format.dtype)[None] for i in graph.inputs}
    return Case(graph, feeds, wanted, rtol, atol)


def attempt(model: ModelProto, values: dict[str, np.ndarray], wanted: list[Any], rtol: float, atol: float) -> Case:
    """The case, where it passes; Failed with what went wrong."""
    case = case_of(model, values, wanted, rtol, atol)
    verdict = case.verdict({name: found[0] for name, found in run(case.graph, case.feeds).items()})
    if verdict != "pass":
        raise Failed(verdict)
    return case


class Failed(Exception):
    """A wrong result."""


def score(test: Any) -> tuple[str, list[Case]]:
    """The verdict on one node test, `pass`, `refused ...`, `WRONG ...` or `CRASH ...`, and the cases that passed."""
    model, cases = test.model, []
    for inputs, outputs in test.data_sets:
        names = [i.name for i in model.graph.input]
        if len(names) != len(inputs):
            return "refused (optional graph inputs)", cases
        try:
            values = {n: as_array(v) for n, v in zip(names, inputs, strict=True)}
        except (TypeError, ValueError):
            return "refused (inputs that are no tensors)", cases
        try:
            cases.append(attempt(model, values, list(outputs), test.rtol, test.atol))
        except EdgecError as error:
            return refusal(error), cases
        except Failed as error:
            return str(error), cases
        except Exception as error:
            return f"CRASH {type(error).__name__}: {error}", cases
    return "pass", cases


def refusal(error: EdgecError) -> str:
    """The verdict for a diagnostic."""
    d = error.diagnostics[0]
    return f"refused {d.code} {d.what} ({d.op}){': ' + d.why if d.why else ''}"


def operators(model: ModelProto) -> set[str]:
    return {n.op_type for n in model.graph.node}


def edge_operator(test: Any) -> str | None:
    """The operator of a test that is about a single operator of edge networks."""
    used = operators(test.model)
    return next(iter(used)) if len(used) == 1 and used <= EDGE_OPERATORS else None


def about(test: Any) -> str:
    """The operator that a test is about, where it has only one."""
    used = operators(test.model)
    return next(iter(used)) if len(used) == 1 else "(several operators)"


def load_tests() -> list[Any]:
    """ONNX's node tests, generated in memory."""
    import onnx.backend.test.loader as loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return loader.load_model_tests(kind="node")


def is_expanded(test: Any) -> bool:
    """Whether a test is the standard's definition of an operator by others."""
    return "_expanded" in test.name


TABLE_HEAD = """# ONNX operator coverage

Generated by `bench/onnx_backend_score.py` with onnx {version}. Each row counts
ONNX's own node tests of one operator: imported, run by the reference interpreter, compared under the test's tolerances.
None is wrong; what does not pass is refused with a diagnostic that names the layer and the reason.
Operands that decide shapes are bound as constants where the import asks for them.
The column C counts those that also pass as compiled C on the host, under the same tolerances.

| group | tests | pass | refused | share | C |
|---|---|---|---|---|---|
"""


@dataclass
class Scores:
    """Counts of verdicts by group and by operator, the reasons of refusals, every test's verdict, and those on C."""

    totals: dict[str, Counter[str]]
    operators: dict[str, Counter[str]]
    reasons: dict[str, set[str]]
    verdicts: list[tuple[str, str]]
    on_c: dict[str, str] = field(default_factory=dict)
    c_totals: Counter[str] = field(default_factory=Counter)
    """Tests that pass in C, by group and by operator."""


GROUPS = ("all", "without function bodies", "edge operators", "edge operators without Cast")


def groups(test: Any) -> list[str]:
    """The groups that a test belongs to."""
    edge = edge_operator(test)
    member = (True, not is_expanded(test), edge is not None, edge not in (None, "Cast"))
    return [group for group, inside in zip(GROUPS, member, strict=True) if inside]


def scored(tests: list[Any], *, in_c: bool = False, core: str = "host") -> Scores:
    """The verdicts on `tests`, of the interpreter and `in_c` for a core."""
    result = Scores({k: Counter() for k in GROUPS}, {}, {}, [])
    passed = []
    for test in tests:
        verdict, cases = score(test)
        kind, name = verdict.split()[0], about(test)
        passed += [(test.name, cases)] if verdict == "pass" else []
        for group in groups(test):
            result.totals[group][kind] += 1
        result.operators.setdefault(name, Counter())[kind] += 1
        if kind == "refused":
            result.reasons.setdefault(name, set()).add(reason(verdict))
        result.verdicts.append((test.name, verdict))
    if in_c:
        from onnx_on_c import on_c

        result.on_c = on_c(passed, core=core)
        for test in tests:
            if result.on_c.get(test.name) == "pass":
                result.c_totals.update([*groups(test), about(test)])
    return result


def table(scores: Scores) -> str:
    """The page of docs/onnx-coverage.md."""
    lines = [TABLE_HEAD.format(version=onnx.__version__)]
    for group, counts in scores.totals.items():
        total, passed = sum(counts.values()), counts["pass"]
        share = f"{100 * passed / total:.1f} %"
        lines.append(f"| {group} | {total} | {passed} | {counts['refused']} | {share} | {scores.c_totals[group]} |\n")
    lines.append("\n| operator | tests | pass | refused | why refused | C |\n|---|---|---|---|---|---|\n")
    for name, counts in sorted(scores.operators.items()):
        reasons = "; ".join(sorted(scores.reasons.get(name, ()))[:3])
        cells = (name, sum(counts.values()), counts["pass"], counts["refused"], reasons, scores.c_totals[name])
        lines.append("| " + " | ".join(map(str, cells)) + " |\n")
    return "".join(lines)


def reason(verdict: str) -> str:
    """The refusal in a few words, for the table."""
    text = re.sub(r"^refused (E\d{4} )?", "", verdict)
    element = re.search(r"element type (\d+)", text)
    if element:
        return f"element type {TensorProto.DataType.Name(int(element[1]))}"
    if "states no version" in text:
        return "another domain"
    text = re.sub(r" \(\w+\)(:.*)?$", "", re.sub(r"\[[^\]]*\]|'[^']*'", "", text))
    return re.sub(r"\s+", " ", text).replace("|", "/").strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", choices=("refused", "all"))
    parser.add_argument("--only", default="")
    parser.add_argument("--on", choices=("c",), help="compile and run what passes too")
    parser.add_argument("--core", default="host", help="of 64-bit Arm: --on c runs under QEMU")
    parser.add_argument("--table", type=Path, help="write the page of all operators here")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    if arguments.table and not arguments.on:
        parser.error("--table needs --on c")
    scores = scored(
        [t for t in load_tests() if arguments.only in t.name], in_c=arguments.on == "c", core=arguments.core
    )
    for name, verdict in scores.verdicts:
        kind = verdict.split()[0]
        if arguments.list in ("all", kind) or kind in ("WRONG", "CRASH"):
            print(f"{name}: {verdict}")
    for name, verdict in scores.on_c.items():
        if verdict != "pass":
            print(f"{name} in C: {verdict}")
    if arguments.on:
        print("in C: " + ", ".join(f"{group} {scores.c_totals[group]}" for group in GROUPS))
    for group, counts in scores.totals.items():
        total = sum(counts.values())
        parts = ", ".join(f"{k} {v}" for k, v in sorted(counts.items()) if v)
        print(f"{group:30s} {total:5d}: {parts} ({100 * counts['pass'] / max(total, 1):.1f} % pass)")
    short = {o: c for o, c in sorted(scores.operators.items()) if o in EDGE_OPERATORS and c["pass"] < sum(c.values())}
    print("not fully passed: " + ", ".join(f"{o} {c['pass']}/{sum(c.values())}" for o, c in short.items()))
    if arguments.table:
        arguments.table.write_text(table(scores), encoding="utf-8")
    kinds = Counter(v.split()[0] for v in [*scores.on_c.values(), *(v for _, v in scores.verdicts)])
    return 1 if kinds["WRONG"] + kinds["CRASH"] else 0


if __name__ == "__main__":
    sys.exit(main())
