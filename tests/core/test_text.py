"""The text form: printing and parsing are inverse for every op and format, errors point at the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from core_support import affines, codes, fixeds, formats, inp, quantizers
from every_op import every_op
from hypothesis import given
from hypothesis import strategies as st

from edgec.diagnostics import EdgecError
from edgec.format_names import FORMAT_NAMES
from edgec.formats import F32, Fixed, Format, Integer, Quantizer, TensorType
from edgec.graph import Graph
from edgec.interp import random_frames, run
from edgec.ops import OPS, Add, AvgPool, Concat, Constant, Conv, Dense, Get, Input, Mul, Op, Relu, Split, Sub, constant
from edgec.text import parse_graph, print_graph, save_arrays
from edgec.text_parser import parse_format

GOLDEN = Path(__file__).parent.parent / "golden"


def assert_same(a: Graph, b: Graph) -> None:
    """Equal in everything but object identity."""
    assert a.name == b.name and dict(a.meta) == dict(b.meta) and len(a.ops) == len(b.ops)
    twin = dict(zip(a.ops, b.ops, strict=True))
    for op, other in twin.items():
        assert type(op) is type(other) and op.type == other.type and op.loc == other.loc
        assert [twin[o] for o in op.operands] == list(other.operands)
        for (name, value), (_, again) in zip(op.fields(), other.fields(), strict=True):
            if isinstance(op, Constant):
                assert np.array_equal(value, again) and value.dtype == again.dtype
            elif not isinstance(value, Op) and not (isinstance(value, tuple) and value and isinstance(value[0], Op)):
                assert value == again and type(value) is type(again), name
    assert [n for n, _ in a.outputs] == [n for n, _ in b.outputs]
    assert [twin[o] for _, o in a.outputs] == [o for _, o in b.outputs]


def round_trip(graph: Graph) -> Graph:
    text, arrays = print_graph(graph)
    again = parse_graph(text, arrays)
    assert_same(graph, again)
    text2, arrays2 = print_graph(again)
    assert text2 == text and save_arrays(arrays2) == save_arrays(arrays)
    return again


def test_every_op_round_trips() -> None:
    ops = every_op()
    assert {op.mnemonic for op in ops} | {"input", "constant"} == set(OPS)
    for op in ops:
        inputs = tuple(o for o in Graph("g", all_inputs(op), (("y", top(op)),)).ops if isinstance(o, Input))
        round_trip(Graph("g", inputs, (("y", top(op)),)))


def top(op: Op) -> Op:
    """The op itself, or its first result."""
    return op if isinstance(op.type, TensorType) else Get(op, 0)


def all_inputs(op: Op) -> tuple[Input, ...]:
    from edgec.graph import topological

    return tuple(o for o in topological(op) if isinstance(o, Input))


names = st.one_of(
    st.sampled_from(["x", "x.2", "a/b", '"', "\\", "0", "\n", "ä", "", "input", "true"]), st.text(max_size=4)
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Small random networks of several inputs, shared values and awkward names."""
    g = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    input_names = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    inputs = [inp(draw(fixeds(2, 6)), 1, 4, name=n) for n in input_names]
    values: list[Op] = list(inputs)
    for _ in range(draw(st.integers(1, 6))):
        loc = tuple(draw(st.lists(names, max_size=2)))
        x, y = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        kind = draw(st.sampled_from(["add", "sub", "mul", "relu", "dense", "constant", "concat", "split"]))
        match kind:
            case "add" | "sub" | "mul":
                out = draw(st.one_of(st.none(), quantizers(2, 8)))
                if out is None and x.format.bits + y.format.bits > 40:
                    out = Quantizer(Fixed(5, 2))
                values.append({"add": Add, "sub": Sub, "mul": Mul}[kind](x, y, out, loc=loc))
            case "relu":
                values.append(Relu(x, loc=loc))
            case "dense":
                w = draw(st.one_of(fixeds(1, 5), affines().filter(lambda f: f.frac is not None)))
                weights = Constant(codes(g, w, 4, 4), type=TensorType(w, (4, 4)), loc=loc)
                out = Quantizer(draw(fixeds(2, 6)), draw(st.sampled_from(["floor", "half_even"])))  # type: ignore[arg-type]
                if x.format.bits + w.bits < 30:
                    values.append(Dense(x, weights, out=out, loc=loc))
            case "constant":
                fmt = draw(fixeds(1, 6))
                values.append(Constant(codes(g, fmt, 1, 4), type=TensorType(fmt, (1, 4)), loc=loc))
            case "concat":
                values.append(Get(Split(Concat((x, x), 1, loc=loc), (4, 4), 1), 1))
            case _:
                parts = Split(x, (1, 3), 1, loc=loc)
                values.append(Concat((Get(parts, 1), Get(parts, 0)), 1, loc=loc))
    outputs = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    meta = draw(st.dictionaries(names, names, max_size=2))
    return Graph(draw(names), tuple(inputs), tuple((n, draw(st.sampled_from(values))) for n in outputs), meta)


@given(graphs())
def test_random_graphs_round_trip(graph: Graph) -> None:
    again = round_trip(graph)
    frames = random_frames(graph, 2, 0)
    before, after = run(graph, frames), run(again, frames)
    assert all(np.array_equal(before[n], after[n]) for n in before)


@given(formats)
def test_formats_round_trip(fmt: Format) -> None:
    assert parse_format(str(fmt)) == fmt
    assert parse_format(" " + str(fmt).replace(",", " ,") + " ") == fmt


def small() -> Graph:
    g = np.random.default_rng(7)
    x = inp(Fixed(8, 1, signed_=False), 1, 1, 8, 8, name="image")
    w = constant(g.uniform(-1, 1, (2, 1, 3, 3)), Fixed(6, 1), loc=("/conv",))
    b = constant([0.25, -0.5], Fixed(6, 1), loc=("/conv",))
    floor = Quantizer(Fixed(9, 2), "floor")
    y: Op = Conv(x, w, b, strides=(2, 2), pads=(0, 0, 1, 1), product=floor, loc=("/conv", "/bn"))
    y = AvgPool(Relu(y, loc=("/relu",)), (4, 4), out=Quantizer(Fixed(8, 1, signed_=False), "half_up"), loc=("/mean",))
    return Graph("small", (x,), (("features", y),), {"producer": 'a "test"', "opset": "17"})


def test_golden() -> None:
    text, arrays = print_graph(small())
    assert list(arrays) == ["conv"] and arrays["conv"].dtype == np.int8
    assert text == (GOLDEN / "text_form.edge").read_text()


def test_comments_blank_lines_and_spaces() -> None:
    text, arrays = print_graph(small())
    loose = "\n# a comment\n\n" + text.replace("\n", "  \n\n  # more\n").replace(" = ", "=").replace(", ", " ,")
    assert_same(small(), parse_graph(loose, arrays))
    assert_same(small(), parse_graph(text.replace("\n", "\r\n"), arrays))


HEAD = 'edge 1 "g"\ninput "x" : fixed<8, 3>[4]\n'


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "empty file"),
        ('edge 2 "g"\n', 1, 6, "version 1"),
        ("graph\n", 1, 1, "expected 'edge', found 'graph'"),
        ('edge 1 "g" more\n', 1, 12, "expected a end, found 'more'"),
        ('edge 1 "g"\ninput "x" : fixed<8>[4]\n', 2, 13, "bad arguments for the format fixed"),
        ('edge 1 "g"\ninput "x" : fixd<8, 3>[4]\n', 2, 13, "unknown format 'fixd'; did you mean 'fixed'"),
        ('edge 1 "g"\ninput "x" : fixed<0, 0>[4]\n', 2, 13, "integer width 0"),
        ('edge 1 "g"\ninput "x" : int<8>[-4]\n', 2, 13, "negative dimension"),
        ('edge 1 "g"\ninput "x" : int<8>[4.5]\n', 2, 20, "4.5 is no integer"),
        ('edge 1 "g"\ninput "x" : !f0[4]\n', 2, 13, "!f0 is not defined above"),
        ('edge 1 "g"\ninput x : int<8>[4]\n', 2, 7, "expected a string, found 'x'"),
        (HEAD + "%y = rely %x : fixed<8, 3>[4]\n", 3, 6, "unknown op 'rely'; did you mean 'relu'"),
        (HEAD + "%y = relu %z : fixed<8, 3>[4]\n", 3, 11, "%z is not defined above"),
        (HEAD + "%y = relu %x, %x : fixed<8, 3>[4]\n", 3, 6, "relu takes 1 operands, not 2"),
        (HEAD + "%y = relu %x {axis=1} : fixed<8, 3>[4]\n", 3, 6, "relu has no attribute 'axis'"),
        (HEAD + "%x = relu %x : fixed<8, 3>[4]\n", 3, 1, "%x is defined twice"),
        (HEAD + "%y = relu %x\n", 3, 13, "expected ':' at the end"),
        (HEAD + "%y = relu %x : fixed<8, 3>[4] from a\n", 3, 36, "expected a string"),
        (HEAD + "%y = relu ? : fixed<8, 3>[4]\n", 3, 11, "unexpected character '?'"),
        (HEAD + '%y = relu %x : fixed<8, 3>[4] from "a\n', 3, 36, "unexpected character '\"'"),
        (HEAD + "%c = constant [1, 2] : int<8>[3]\n", 3, 6, "2 elements for int<8>[3]"),
        (HEAD + "%c = constant [200] : int<8>[1]\n", 3, 6, "codes 200..200 outside -128..127"),
        (HEAD + "%c = constant [1.5] : int<8>[1]\n", 3, 6, "a float among the codes"),
        (HEAD + "%c = constant @c : int<8>[1]\n", 3, 15, "no array @c in the side file"),
        (HEAD + "%c = constant %x : int<8>[1]\n", 3, 6, "a constant is one array"),
        (
            HEAD + "%y = add %x, %x {out=fixed<4, 4>:round:wrap} : fixed<4, 4>[4]\n",
            3,
            34,
            "expected one of floor, ceil",
        ),
        (HEAD + '%y = clip %x {lo=true, hi="a"} : fixed<8, 3>[4]\n', 3, 6, "clip"),
        (HEAD + "%y = add %x, %x {out=fixed<4, 4>} : fixed<4, 4>[4]\n", 3, 6, "add"),
        (HEAD + "%y = concat [] {axis=0} : fixed<8, 3>[4]\n", 3, None, "concat of nothing"),
        (HEAD + "%y = relu %x : fixed<8, 4>[4]\n", 3, None, "stated type fixed<8, 4>[4], but the operands give"),
        (HEAD + "outputs\n", 3, 1, "unknown line 'outputs'"),
        (HEAD + 'output "y" = %y\n', 3, 14, "%y is not defined above"),
    ],
)
def test_errors_point_at_the_place(text: str, line: int, column: int | None, message: str) -> None:
    with pytest.raises(EdgecError) as caught:
        parse_graph(text, {}, "net.edge")
    (first,) = caught.value.diagnostics
    place = f"net.edge:{line}:" if column is None else f"net.edge:{line}:{column}: "
    assert first.what.startswith(place) and message in first.what
    if column is None:
        assert first.code == "E0102"
    else:
        assert first.code == "E0208" and first.exit == 2
        shown, caret = (first.why or "").split("\n")
        assert shown == (text.split("\n")[line - 1]) and caret == " " * (column - 1) + "^"


def test_missing_outputs_and_inputs() -> None:
    with pytest.raises(EdgecError, match="needs an output"):
        parse_graph(HEAD, {})
    with pytest.raises(EdgecError, match="two outputs"):
        parse_graph(HEAD + 'output "x" = %x\noutput "x" = %x\n', {})


def test_arrays_must_fit_their_type() -> None:
    text, arrays = print_graph(small())
    for bad, message in (
        ({}, "no array @conv"),
        ({"conv": arrays["conv"][:1]}, "shape"),
        ({"conv": arrays["conv"].astype(np.float32)}, "float32"),
        ({"conv": np.full_like(arrays["conv"], 100)}, "outside"),
    ):
        with pytest.raises(EdgecError, match=message) as caught:
            parse_graph(text, bad)
        assert caught.value.code == "E0208"


PARTS = [
    *'{}[]()<>,:="%@!._-0123456789',
    "\n",
    " ",
    "fixed",
    "int",
    "affine",
    "from",
    "none",
    "true",
    "1e400",
    "nan",
    "axis",
]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_damaged_text_gives_a_diagnostic_and_nothing_else(seed: int, edits: int) -> None:
    text, arrays = print_graph(small())
    g = np.random.default_rng(seed)
    for _ in range(edits):
        at, length = int(g.integers(len(text))), int(g.integers(4))
        text = text[:at] + str(g.choice(PARTS)) * int(g.integers(3)) + text[at + length :]
    try:
        graph = parse_graph(text, arrays)
    except EdgecError as error:
        assert error.code in ("E0208", "E0102")
    else:
        print_graph(graph)


@pytest.mark.parametrize(
    "fmt",
    [
        "affine<int<8>, 1e999, 0>",
        "affine<int<8>, " + "9" * 400 + ", 0>",
        "int<" + "9" * 5000 + ">",
        "sparse<" * 2000 + "int<8>" + ", 1, 2>" * 2000,
        "codebook<2, int<4>, [1, 2.5]>",
        "affine<int<8>, [0.5, 0.5], [0, inf], axis=0>",
    ],
)
def test_absurd_formats(fmt: str) -> None:
    with pytest.raises(EdgecError) as caught:
        parse_graph(f'edge 1 "g"\ninput "x" : {fmt}[4]\noutput "x" = %x\n', {})
    assert caught.value.code == "E0208"


def test_every_format_name_parses() -> None:
    arguments = {
        "int": "<8>",
        "uint": "<8>",
        "fixed": "<8, 3>",
        "ufixed": "<8, 3>",
        "affine": "<int<8>, 0.5, 3>",
        "pow2": "<4>",
        "pow2z": "<4>",
        "codebook": "<1, int<4>, [1, 2]>",
        "minifloat": "<4, 3>",
        "sparse": "<int<8>, 2, 4>",
    }
    for name in FORMAT_NAMES:
        assert str(parse_format(name + arguments.get(name, ""))) == name + arguments.get(name, "")


def test_special_floats_and_names() -> None:
    from edgec.ops import Clip

    x = inp(F32, 3, name="x")
    y = Clip(Add(x, constant([np.inf, -0.0, 1e-30])), -np.inf, 1e30, loc=("\u2028",))
    again = round_trip(Graph("name", (x,), (("y", y),)))
    data = again.outputs[0][1].x.y.data  # type: ignore[attr-defined]
    assert np.signbit(data[1]) and np.isinf(data[0])
    z = Clip(x, -0.0, 5.0)
    assert np.signbit(round_trip(Graph("g", (x,), (("z", z),))).outputs[0][1].lo)  # type: ignore[attr-defined]
    nan = Add(x, constant([np.nan, 1.0, 2.0]))
    text, arrays = print_graph(Graph("g", (x,), (("y", nan),)))
    assert np.isnan(parse_graph(text, arrays).outputs[0][1].y.data[0])  # type: ignore[attr-defined]


def test_wide_integers_survive() -> None:
    fmt = Integer(64)
    op = Constant(np.array([-(1 << 63), (1 << 63) - 1]), type=TensorType(fmt, (2,)))
    round_trip(Graph("g", (), (("y", op),)))
