"""Mutilated models: an EdgecError or a graph that runs, never a traceback, never a hang."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper
from onnx_support import model_of

from edgec.diagnostics import EdgecError
from edgec.formats import Fixed, Integer, Quantizer, TensorType
from edgec.frontend.onnx import budget, inspect, load
from edgec.frontend.onnx_export import to_onnx
from edgec.graph import Graph
from edgec.interp import random_frames, run
from edgec.ops import (
    AvgPool,
    Constant,
    Conv,
    DecodeFloat,
    Gather,
    Input,
    Lut,
    MultiThreshold,
    NormalizePow2,
    PackBits,
    Requantize,
    Reshape,
    constant,
    integers,
)

MUTANTS = 300
SECONDS = 5.0
"""Processor time allowed to one mutant; they take milliseconds."""
RUN_LIMIT = 1 << 20
"""Mutants whose tensors became larger are imported but not run: the time would say nothing about the code."""


def seeds() -> list[ModelProto]:
    """Small networks of every kind: convolutional, quantised (QDQ and QONNX), with shape arithmetic, recent and old."""
    rng = np.random.default_rng(0)

    def f(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    cnn = model_of(
        [
            helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], strides=[2, 2], pads=[0, 0, 1, 1], name="conv0"),
            helper.make_node("BatchNormalization", ["c0", "s", "t", "m", "v"], ["n0"], name="bn0"),
            helper.make_node("Relu", ["n0"], ["r0"], name="relu0"),
            helper.make_node("MaxPool", ["r0"], ["p0"], kernel_shape=[2, 2], strides=[2, 2], name="pool0"),
            helper.make_node("Conv", ["p0", "w1"], ["c1"], group=2, auto_pad="SAME_UPPER", name="conv1"),
            helper.make_node("Add", ["p0", "c1"], ["a0"], name="add0"),
            helper.make_node("Shape", ["a0"], ["shape"]),
            helper.make_node("Gather", ["shape", "zero"], ["n"], axis=0),
            helper.make_node("Unsqueeze", ["n", "axis0"], ["n1"]),
            helper.make_node("Concat", ["n1", "minus"], ["to"], axis=0),
            helper.make_node("Reshape", ["a0", "to"], ["flat"], name="flatten"),
            helper.make_node("Gemm", ["flat", "w2", "b2"], ["g"], transB=1, alpha=0.5, name="gemm"),
            helper.make_node("Softmax", ["g"], ["y"], axis=-1, name="softmax"),
            helper.make_node("Slice", ["flat", "s0", "s1", "s2"], ["z"], name="slice"),
        ],
        {"x": [1, 1, 8, 8]},
        ["y", "z"],
        {
            "w0": f(4, 1, 3, 3),
            "b0": f(4),
            "s": f(4),
            "t": f(4),
            "m": f(4),
            "v": np.abs(f(4)),
            "w1": f(4, 2, 3, 3),
            "zero": np.array(0),
            "axis0": np.array([0]),
            "minus": np.array([-1]),
            "w2": f(3, 16),
            "b2": f(3),
            "s0": np.array([0]),
            "s1": np.array([8]),
            "s2": np.array([1]),
        },
    )
    qdq = model_of(
        [
            helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"], name="q"),
            helper.make_node("DequantizeLinear", ["q", "sx", "zx"], ["d"], name="dq"),
            helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wf"], axis=0, name="wdq"),
            helper.make_node("Conv", ["d", "wf"], ["c"], name="conv"),
            helper.make_node("QuantizeLinear", ["c", "sy", "zx"], ["y"], name="out"),
        ],
        {"x": [1, 2, 5, 5]},
        ["y"],
        {
            "sx": np.float32(0.1),
            "zx": np.int8(3),
            "w": rng.integers(-127, 127, (3, 2, 3, 3)).astype(np.int8),
            "sw": np.abs(f(3)) + 0.01,
            "zw": np.zeros(3, np.int8),
            "sy": np.float32(0.3),
        },
        opset=13,
        types={"y": TensorProto.INT8},
    )
    qonnx = model_of(
        [
            helper.make_node(
                "Quant",
                ["x", "s", "z", "b"],
                ["q"],
                domain="qonnx.custom_op.general",
                signed=1,
                narrow=0,
                rounding_mode="FLOOR",
                name="quant",
            ),
            helper.make_node("BipolarQuant", ["w", "one"], ["wq"], domain="onnx.brevitas", name="bipolar"),
            helper.make_node("Transpose", ["wq"], ["wt"], perm=[1, 0]),
            helper.make_node("MatMul", ["q", "wt"], ["m"], name="matmul"),
            helper.make_node(
                "Trunc",
                ["m", "s", "z", "b", "four"],
                ["y"],
                domain="qonnx.custom_op.general",
                rounding_mode="FLOOR",
                name="trunc",
            ),
        ],
        {"x": [1, 6]},
        ["y"],
        {
            "s": np.float32(0.25),
            "z": np.float32(0),
            "b": np.float32(6),
            "four": np.float32(4),
            "w": f(3, 6),
            "one": np.float32(1),
        },
        opset=11,
        domains={"qonnx.custom_op.general": 1},
    )
    old = model_of(
        [
            helper.make_node("Pad", ["x"], ["p"], pads=[0, 0, 1, 1, 0, 0, 0, 0], mode="constant", value=0.0),
            helper.make_node("AveragePool", ["p"], ["a"], kernel_shape=[2, 2]),
            helper.make_node("Clip", ["a"], ["c"], min=0.0, max=6.0),
            helper.make_node("Upsample", ["c"], ["u"], mode="nearest", scales=[1.0, 1.0, 2.0, 2.0]),
            helper.make_node("ReduceMean", ["u"], ["r"], axes=[2, 3], keepdims=0),
            helper.make_node("Dropout", ["r"], ["y"], ratio=0.5),
            helper.make_node("Split", ["u"], ["h0", "h1"], axis=1, split=[1, 1]),
            helper.make_node("Mul", ["h0", "h1"], ["z"]),
        ],
        {"x": [1, 2, 4, 4]},
        ["y", "z"],
        opset=8,
    )
    return [cnn, qdq, qonnx, old, exported()]


def exported() -> ModelProto:
    """An integer network with the operators and functions of domain edgec."""
    x = Input("x", type=TensorType(Integer(7, signed_=False), (1, 16)))
    norm = NormalizePow2(DecodeFloat(x, 4, 3, 1, loc=("decode",)), 8, 7, loc=("norm",))
    image = Reshape(Gather(norm, (*range(12), -1, -1, 3, 4), 1, loc=("map",)), (1, 1, 4, 4), loc=("image",))
    weights = Constant(np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3), type=TensorType(Fixed(6, 1), (2, 1, 3, 3)))
    conv = Conv(image, weights, product=Quantizer(Fixed(9, 2), "floor"), pads=(1, 1, 0, 0), loc=("conv",))
    scaled = Requantize(conv, integers([3]), integers([4]), None, Quantizer(Fixed(5, 2)), loc=("scale",))
    pooled = AvgPool(scaled, (3, 3), out=Quantizer(Fixed(5, 2), "floor"), loc=("pool",))
    table = Lut(pooled, constant(np.arange(32) / 4, Fixed(6, 4, signed_=False), loc=("t",)), loc=("table",))
    counted = MultiThreshold(conv, integers([[-20, 0, 20]]), integers([1]), Fixed(2, 2), loc=("count",))
    bits = PackBits(norm, 4, loc=("pack",))
    return to_onnx(Graph("chip", (x,), (("y", table), ("c", counted), ("b", bits))))


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Some bits of the file inverted, or a piece cut out, doubled, or overwritten."""
    bytes_ = bytearray(data)
    match rng.randrange(5):
        case 0 | 1:
            for _ in range(rng.randint(1, 8)):
                at = rng.randrange(len(bytes_))
                bytes_[at] ^= 1 << rng.randrange(8)
        case 2:
            del bytes_[rng.randrange(len(bytes_)) :]
        case 3:
            start = rng.randrange(len(bytes_))
            bytes_[start:start] = bytes_[start : start + rng.randint(1, 64)]
        case _:
            start = rng.randrange(len(bytes_))
            bytes_[start : start + 4] = bytes(rng.randrange(256) for _ in range(4))
    return bytes(bytes_)


NUMBERS = (0, 1, -1, 2, 3, 7, 255, 1 << 20, 1 << 31, (1 << 62) + 1, -(1 << 63), (1 << 63) - 1)


def restructured(model: ModelProto, rng: random.Random) -> ModelProto:
    """One to three structural changes of the graph: nodes, names, attributes, tensors, types, opsets."""
    model = _copy(model)
    graph = model.graph
    for _ in range(rng.randint(1, 3)):
        node = rng.choice(graph.node) if graph.node else None
        tensor = rng.choice(graph.initializer) if graph.initializer else None
        match rng.randrange(15):
            case 0 if node is not None:
                graph.node.remove(node)
            case 1 if node is not None and node.input:
                node.input[rng.randrange(len(node.input))] = rng.choice(
                    ["", "nowhere", graph.node[-1].output[0], "x", node.output[0]]
                )
            case 2 if node is not None and node.output:
                node.output[0] = rng.choice(["", "x", graph.node[0].output[0] if graph.node[0].output else "q"])
            case 3 if node is not None and node.attribute:
                _change(rng.choice(node.attribute), rng)
            case 4 if node is not None:
                name = rng.choice(["axis", "pads", "alpha", "strides", "foo", "to", "kernel_shape", "perm", "group"])
                node.attribute.append(
                    helper.make_attribute(name, rng.choice([1.5, rng.choice(NUMBERS), [1, -2], "text"]))
                )
            case 5 if tensor is not None and tensor.dims:
                tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
            case 6 if tensor is not None:
                tensor.data_type = rng.choice([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 22, 99])
            case 7 if tensor is not None:
                graph.initializer.remove(tensor)
            case 8:
                dims = graph.input[0].type.tensor_type.shape.dim
                if dims:
                    dims[rng.randrange(len(dims))].dim_value = rng.choice(NUMBERS)
            case 9:
                graph.input[0].type.tensor_type.elem_type = rng.choice([0, 1, 2, 3, 7, 8, 9, 10, 11, 13, 99])
            case 10:
                model.opset_import[0].version = rng.choice([0, 1, 5, 6, 7, 9, 10, 11, 12, 13, 18, 21, 23, 28, 99, -1])
            case 11 if node is not None:
                node.op_type = rng.choice(
                    [
                        "Relu",
                        "Concat",
                        "Conv",
                        "Reshape",
                        "LSTM",
                        "If",
                        "Tile",
                        "Expand",
                        "Range",
                        "Resize",
                        "Gemm",
                        "Quant",
                        "TopK",
                        "Einsum",
                        "GridSample",
                        "ScatterND",
                        "Attention",
                        "Nope",
                    ]
                )
            case 12 if len(graph.node) > 1:
                nodes = list(graph.node)
                rng.shuffle(nodes)
                del graph.node[:]
                graph.node.extend(nodes)
            case 13 if node is not None:
                graph.node.append(node)
            case 14 if tensor is not None and tensor.raw_data:
                data = bytearray(tensor.raw_data)
                for _ in range(rng.randint(1, 4)):
                    data[rng.randrange(len(data))] = rng.choice([0, 0x7F, 0x80, 0xFF])
                tensor.raw_data = bytes(data)
            case _:
                graph.output[0].name = rng.choice(["x", "nowhere", "y", graph.node[0].output[0] if graph.node else "x"])
    return model


def _copy(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def _change(attribute: AttributeProto, rng: random.Random) -> None:
    if rng.random() < 0.3:
        attribute.type = rng.choice(
            [AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT, AttributeProto.STRING]
        )
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        if rng.random() < 0.3:
            attribute.ints.append(rng.choice(NUMBERS))
        else:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif attribute.type == AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e38])
    else:
        attribute.s = rng.choice([b"", b"\xff\xfe", b"NOTSET", b"linear", b"WRONG"])


def outcome(source: bytes | ModelProto) -> str:
    """`ran`, `loaded`, or the code of the refusal; anything but an EdgecError escapes and fails the test."""
    started = time.process_time()
    try:
        graph = load(source)
        result = "loaded"
        if _small(graph):
            run(graph, random_frames(graph, 1, 0))
            result = "ran"
    except EdgecError as error:
        assert all(d.code != "E0101" for d in error.diagnostics)
        result = error.code
    assert time.process_time() - started < SECONDS
    return result


def _small(graph: Graph) -> bool:
    return all(sum(t.size for t in getattr(op.type, "elements", (op.type,))) <= RUN_LIMIT for op in graph.ops)


@pytest.mark.parametrize("kind", ["bits", "structure"])
def test_mutants(kind):
    rng = random.Random(2024)
    models = seeds()
    for model in models:
        assert outcome(model) == "ran"
    counts: dict[str, int] = {}
    for index in range(MUTANTS):
        model = models[index % len(models)]
        if kind == "bits":
            mutant: bytes | ModelProto = flipped(model.SerializeToString(), rng)
        else:
            mutant = restructured(model, rng)
        result = outcome(mutant)
        counts[result] = counts.get(result, 0) + 1
    assert sum(n for r, n in counts.items() if r.startswith("E")) > MUTANTS // 4, counts
    assert counts.get("ran", 0) > MUTANTS // 20, counts


def test_the_seeds_files_load_through_the_file_system(tmp_path: Path):
    for index, model in enumerate(seeds()):
        path = tmp_path / f"net{index}.onnx"
        path.write_bytes(model.SerializeToString())
        assert load(path).name == f"net{index}"
        path.write_bytes(model.SerializeToString()[:-40])
        assert next(d.code for d in inspect(path) if d.severity == "error") in ("E0301", "E0302")


def relu_model(**changes) -> ModelProto:
    return model_of([helper.make_node("Relu", ["x"], ["y"], **changes)], {"x": [1, 4]}, ["y"])


@pytest.mark.parametrize("data", [b"", b"\0", b"GIF89a" * 10, b"{}", bytes(range(256)) * 8, b"\x0a" * 4096])
def test_garbage(data):
    with pytest.raises(EdgecError) as caught:
        load(data)
    assert caught.value.code == "E0301"


def test_missing_file(tmp_path: Path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(EdgecError) as caught:
            load(path)
        assert caught.value.code == "E0202"


def test_deep_nesting_and_long_chains():
    """A subgraph inside a subgraph a thousand deep; a chain of 20,000 nodes."""
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [])
    for _ in range(90):
        graph = (
            helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)], "g", [], [])
            if len(graph.SerializeToString()) < 1 << 16
            else graph
        )
    model = model_of([graph.node[0]], {"c": [1]}, ["y"])
    assert outcome(model.SerializeToString()) == "E0303"
    nodes = [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"]) for i in range(20_000)]
    assert len(load(model_of(nodes, {"t0": [1, 2]}, ["t20000"])).ops) == 20_001
    assert len(load(model_of(nodes[::-1], {"t0": [1, 2]}, ["t20000"])).ops) == 20_001


def test_cycles_and_names():
    cases = {
        "cycle": [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])],
        "nowhere": [helper.make_node("Add", ["x", "q"], ["b"])],
        "twice": [helper.make_node("Relu", ["x"], ["b"]), helper.make_node("Abs", ["x"], ["b"])],
        "no node": [helper.make_node("Relu", ["x"], ["a"])],
    }
    for what, nodes in cases.items():
        with pytest.raises(EdgecError, match=what) as caught:
            load(model_of(nodes, {"x": [1, 4]}, ["b"]))
        assert caught.value.code == "E0302"
    doubled = relu_model()
    doubled.graph.input.append(doubled.graph.input[0])
    with pytest.raises(EdgecError, match="one name"):
        load(doubled)
    doubled = relu_model()
    doubled.graph.output.append(doubled.graph.output[0])
    with pytest.raises(EdgecError, match="listed twice"):
        load(doubled)


@pytest.mark.parametrize(
    "op_type", ["ConstantOfShape", "Expand", "Tile", "Range", "Reshape", "Pad", "Resize", "Gather"]
)
def test_bombs(op_type):
    """A few bytes that ask for terabytes are refused before memory is."""
    big = np.array([1 << 20, 1 << 20, 1 << 20])
    cube = np.zeros((1, 1, 1), np.float32)
    nodes = {
        "ConstantOfShape": (["big"], {"big": big}),
        "Expand": (["one", "big"], {"one": cube, "big": big}),
        "Tile": (["one", "big"], {"one": cube, "big": big}),
        "Range": (["a", "b", "c"], {"a": np.array(0), "b": np.array(1 << 60), "c": np.array(1)}),
        "Reshape": (["one", "big"], {"one": cube, "big": np.array([1 << 62, 1 << 62])}),
        "Pad": (["one", "big"], {"one": cube, "big": np.array([1 << 40] * 6)}),
        "Resize": (["one", "", "", "big"], {"one": cube, "big": np.array([1, 1, 1 << 50])}),
        "Gather": (["one", "big"], {"one": cube, "big": np.zeros((1 << 12, 1 << 6), np.int64)}),
    }
    inputs, constants = nodes[op_type]
    chain = [helper.make_node(op_type, inputs, ["a"])]
    if op_type == "Gather":  # each step multiplies the size by 2**18
        chain += [helper.make_node("Gather", ["a" if i == 0 else f"a{i - 1}", "big"], [f"a{i}"]) for i in range(3)]
        chain.append(helper.make_node("Identity", ["a2"], ["s"]))
    else:
        chain.append(helper.make_node("Identity", ["a"], ["s"]))
    chain.append(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(EdgecError) as caught:
        load(model_of(chain, {"x": [1, 2]}, ["y", "s"], constants))
    assert caught.value.code in ("E0302", "E0304")


def test_huge_pads_and_inputs():
    conv = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], pads=[0, 0, 1 << 40, 0], strides=[1 << 39, 1])
    with pytest.raises(EdgecError):
        load(model_of([conv], {"x": [1, 1, 8, 8]}, ["y"]))
    with pytest.raises(EdgecError, match="limit"):
        load(model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [1 << 20, 1 << 20]}, ["y"]))


def test_tensors_that_lie():
    weights = onnx.numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
    for change in ("dims", "type", "negative", "segment"):
        model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [1, 2]}, ["y"])
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(weights)
        match change:
            case "dims":
                tensor.dims[1] = 1 << 40
            case "type":
                tensor.data_type = TensorProto.DOUBLE
            case "negative":
                tensor.dims[0] = -2
            case _:
                tensor.segment.begin = 0
        with pytest.raises(EdgecError) as caught:
            load(model)
        assert caught.value.code in ("E0302", "E0304"), change


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("w.bin", None),
        ("sub/w.bin", None),
        ("none.bin", "E0301"),
        ("../w.bin", "E0302"),
        ("/etc/passwd", "E0302"),
        ("short.bin", "E0301"),
        ("", "E0302"),
        (".", "E0302"),
        ("link.bin", "E0302"),
        ("a\0b", "E0302"),
    ],
)
def test_external_data(tmp_path: Path, location: str, code: str | None):
    """External data is read from the model's folder and below; everything else is refused."""
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for path in (home / "w.bin", home / "sub" / "w.bin", tmp_path / "w.bin"):
        path.write_bytes(values.tobytes())
    (home / "short.bin").write_bytes(b"123")
    (home / "link.bin").symlink_to(tmp_path / "w.bin")
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [1, 2]}, ["y"])
    tensor = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[2, 3])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    file = home / "net.onnx"
    file.write_bytes(model.SerializeToString())
    if code is None:
        graph = load(file)
        np.testing.assert_array_equal(run(graph, {"x": np.ones((1, 1, 2), np.float32)})["y"][0], [[3, 5, 7]])
    else:
        with pytest.raises(EdgecError) as caught:
            load(file)
        assert caught.value.code == code
    with pytest.raises(EdgecError, match="another file"):
        load(model.SerializeToString())


def test_recursive_functions():
    call = helper.make_node("Again", ["x"], ["y"], domain="own")
    function = helper.make_function("own", "Again", ["x"], ["y"], [call], [helper.make_opsetid("own", 1)])
    model = model_of([call], {"x": [1, 4]}, ["y"], domains={"own": 1})
    model.functions.append(function)
    with pytest.raises(EdgecError, match="calls itself"):
        load(model)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = model_of([helper.make_node("F0", ["x"], ["y"], domain="own")], {"x": [1, 4]}, ["y"], domains={"own": 1})
    for i in range(20):  # every level calls the next one eight times: 8**20 nodes if it were expanded
        body = [helper.make_node(f"F{i + 1}", ["x"], [f"a{k}"], domain="own") for k in range(8)]
        body.append(helper.make_node("Sum", [f"a{k}" for k in range(8)], ["y"]))
        model.functions.append(helper.make_function("own", f"F{i}", ["x"], ["y"], body, opsets))
    last = [helper.make_node("Relu", ["x"], ["y"])]
    model.functions.append(helper.make_function("own", "F20", ["x"], ["y"], last, opsets))
    with pytest.raises(EdgecError, match="more than"):
        load(model)


def _grown(kind: str, k: int, shape: str) -> list[onnx.NodeProto]:
    """Nodes that make a constant `g{k}` of 2**16 elements and more out of a few bytes."""
    match kind:
        case "Expand":
            return [helper.make_node("Expand", ["one", shape], [f"g{k}"])]
        case "ConstantOfShape":
            return [helper.make_node("ConstantOfShape", [shape], [f"g{k}"])]
        case "Tile":
            return [helper.make_node("Tile", ["row", shape], [f"g{k}"])]
        case "Range":
            return [helper.make_node("Range", ["zero", "end", "step"], [f"g{k}"])]
    return [helper.make_node("Concat", [f"g{k - 1}" if k else "row"] * 64, [f"g{k}"], axis=0)]


@pytest.mark.parametrize("kind", ["Expand", "ConstantOfShape", "Tile", "Range", "Concat"])
def test_constants_out_of_nothing(kind, monkeypatch):
    """Each is within the limit of a tensor; all together they are not, and nothing that large is ever made."""
    monkeypatch.setattr(budget, "ELEMENTS", 1 << 18)
    constants = {
        "one": np.ones(1, np.float32),
        "row": np.ones(64, np.float32),
        "zero": np.int64(0),
        "step": np.int64(1),
    }
    constants |= {"end": np.int64(1 << 16), "shape": np.array([1 << (10 if kind == "Tile" else 16)], np.int64)}
    nodes = [n for k in range(12) for n in _grown(kind, k, "shape")]
    nodes += [helper.make_node("ReduceMax", [f"g{k}"], [f"m{k}"], keepdims=0) for k in range(12)]
    nodes.append(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(EdgecError, match="all together may have") as caught:
        load(model_of(nodes, {"x": [1, 2]}, ["y"], constants))
    assert caught.value.code in ("E0302", "E0304")


def test_products_of_constants(monkeypatch):
    """A few bytes that ask for many multiplications."""
    monkeypatch.setattr(budget, "OPERATIONS", 1 << 22)
    constants = {"one": np.ones((1, 1), np.float32), "shape": np.array([1 << 8, 1 << 8], np.int64)}
    nodes = [helper.make_node("Expand", ["one", "shape"], ["a"]), helper.make_node("MatMul", ["a", "a"], ["b"])]
    nodes += [helper.make_node("ReduceMax", ["b"], ["m"], keepdims=0), helper.make_node("Add", ["x", "m"], ["y"])]
    with pytest.raises(EdgecError, match="operations to compute") as caught:
        load(model_of(nodes, {"x": [1, 2]}, ["y"], constants))
    assert caught.value.code == "E0302"


def test_an_import_has_an_account_of_its_own(monkeypatch):
    monkeypatch.setattr(budget, "ELEMENTS", 3000)
    constants = {"one": np.ones(1, np.float32), "shape": np.array([2, 1000], np.int64)}
    nodes = [helper.make_node("Expand", ["one", "shape"], ["a"]), helper.make_node("Add", ["x", "a"], ["y"])]
    for _ in range(3):
        load(model_of(nodes, {"x": [2, 1000]}, ["y"], constants))
