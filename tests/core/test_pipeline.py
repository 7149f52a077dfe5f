"""Pipeline strings: steps, option types, and errors that say where."""

from __future__ import annotations

import importlib
import inspect
from typing import Literal

import numpy as np
import pytest
from core_support import inp
from hypothesis import given
from hypothesis import strategies as st

from edgec import pipeline
from edgec.diagnostics import EdgecError
from edgec.formats import F32, Affine, Fixed, Format, Integer
from edgec.graph import Graph
from edgec.ops import Add, Relu, constant
from edgec.pipeline import Context, Step, make_step, parse_pipeline, pass_names, run_pipeline


def toy(
    graph: Graph,
    context: Context,
    *,
    bits: int = 8,
    share: float = 0.5,
    method: Literal["a", "b"] = "a",
    loud: bool = False,
    fmt: Format | None = None,
    name: str = "",
) -> Graph:
    context.reports["toy"] = [bits, share, method, loud, fmt, name]
    return graph


@pytest.fixture(autouse=True)
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = pipeline.load_pass
    monkeypatch.setattr(pipeline, "load_pass", lambda name: toy if name == "toy" else real(name))


def options(text: str) -> dict:
    (step,) = parse_pipeline(text)
    return dict(step.options)


def test_options_become_the_types_of_the_parameters() -> None:
    assert options("toy") == {}
    assert options("toy{bits=4,share=1e-3,method=b,loud=true,name=x}") == {
        "bits": 4,
        "share": 1e-3,
        "method": "b",
        "loud": True,
        "name": "x",
    }
    assert options(" toy { bits = -4 , loud = FALSE } ") == {"bits": -4, "loud": False}
    assert options("toy{fmt=fixed<8, 3>}") == {"fmt": Fixed(8, 3)}
    nested = Affine(Integer(8), (0.5, 0.25), (1, 2), 0)
    assert options(f"toy{{fmt={nested},bits=3}}") == {"fmt": nested, "bits": 3}
    assert options("toy{fmt=none}") == {"fmt": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("toy,", "ends with a comma at column 4"),
        (",toy", "column 1"),
        ("toy toy", "column 1"),
        ("toy,,toy", "column 5"),
        ("Toy", "column 1"),
        ("toy{bits=4", "column 1"),
        ("toy{bits=4}}", "column 1"),
        ("toy{bits}", "do not parse: 'bits'"),
        ("toy{bits=}", "do not parse: 'bits='"),
        ("toy{bits=4,}", "do not parse"),
        ("toy{bits=4,bits=5}", "option 'bits' of toy is given twice"),
        ("toy{bit=4}", "pass toy has no option 'bit'"),
        ("toy{bits=4.5}", "option bits=4.5 of pass toy"),
        ("toy{bits=none}", "option bits=none"),
        ("toy{loud=yes}", "option loud=yes"),
        ("toy{method=c}", "one of a, b"),
        ("toy{fmt=fixed<8>}", "bad arguments for the format fixed"),
        ("quantise", "unknown pass 'quantise'"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(EdgecError) as caught:
        parse_pipeline(text)
    assert caught.value.code == "E0207" and caught.value.exit == 2
    assert message in str(caught.value)


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(EdgecError, match="did you mean 'quantize'"):
        parse_pipeline("quantise")
    with pytest.raises(EdgecError, match="did you mean 'bits'"):
        parse_pipeline("toy{bit=4}")


def test_the_empty_pipeline() -> None:
    assert parse_pipeline("") == ()


@given(st.text(alphabet="toy{}=,bits<>4[] ", max_size=16))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        steps = parse_pipeline(text)
    except EdgecError as error:
        assert error.code == "E0207"
    else:
        assert all(isinstance(s, Step) for s in steps)


def test_steps_print_as_they_parse() -> None:
    text = "fold-constants,toy{bits=4,share=0.25,loud=true,fmt=fixed<8, 3>,method=b},toy{fmt=none},fuse"
    steps = parse_pipeline(text)
    assert parse_pipeline(",".join(map(str, steps))) == steps
    assert make_step("toy", {"fmt": Fixed(8, 3)}).options == (("fmt", Fixed(8, 3)),)


def test_every_pass_keeps_to_the_convention() -> None:
    assert len(pass_names()) >= 8 and "fold-batch-norm" in pass_names()
    for name in pass_names():
        module = importlib.import_module("edgec.passes." + name.replace("-", "_"))
        parameters = list(inspect.signature(module.apply).parameters.values())
        assert [p.name for p in parameters[:2]] == ["graph", "context"], name
        assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[2:]), name
        assert module.__doc__ and module.__doc__.splitlines()[0].endswith((".", ":")), name


def test_passes_run_in_order_and_every_stage_is_seen() -> None:
    x = inp(F32, 2)
    graph = Graph("g", (x,), (("y", Relu(Add(x, Add(constant([1.0]), constant([2.0]))))),))
    context = Context()
    stages: list[tuple[int, str, Graph]] = []
    after = run_pipeline(
        graph, parse_pipeline("toy,fold-constants"), context, after=lambda i, s, g: stages.append((i, s.name, g))
    )
    assert [(i, n) for i, n, _ in stages] == [(0, "toy"), (1, "fold-constants")]
    assert stages[0][2] is graph and stages[1][2] is after
    assert context.reports["toy"] == [8, 0.5, "a", False, None, ""]
    assert after.outputs[0][1].x.y.data.tolist() == [3.0]  # type: ignore[attr-defined]


def test_the_context_keeps_a_message_once() -> None:
    context = Context(calibration={"x": np.zeros((1, 2))})
    for _ in range(2):
        context.warn("W0001", "synthetic")
        context.warn("N0002", "nothing to do", layer="a")
    assert [(d.code, d.severity) for d in context.diagnostics] == [("W0001", "warning"), ("N0002", "note")]
