"""Quantised networks: edgec's integer graphs against the qonnx executor and onnxruntime's integer kernels.

    python bench/quantised_models.py DATA [--frames 20] [--images 200]

DATA is a folder with `models/` (QONNX model zoo: TFC, jet tagger), `mlperf_tiny/` (QDQ networks of mlcommons/tiny)
and `mnist_test.npz`. One line a network and arithmetic: words compared, words that differ, the largest difference,
and how many of the differences are near-ties (`edgec.tiecheck`).

The MLPerf networks are compared layer by layer: every layer is fed with onnxruntime's own codes, so that one
difference does not show up in all layers behind it. For that the QDQ convolutions are written as QLinearConv first;
with every intermediate tensor exposed, onnxruntime would otherwise run them in floats.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from edgec import frontend
from edgec.formats import Affine, Integer
from edgec.graph import Graph
from edgec.interp import evaluate, run
from edgec.ops import Constant, Input, Op
from edgec.pipeline import Context, parse_pipeline, run_pipeline
from edgec.tiecheck import explain

STRUCTURAL = "fold-constants,fuse,fold-batch-norm,fold-padding"
MLPERF = ("kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8")


def integer_graph(path: Path, arithmetic: str = "integer", io: str = "", before: str = "") -> Graph:
    steps = f"{STRUCTURAL}{before},integerize{{arithmetic={arithmetic}}},integer-io{io}"
    return run_pipeline(frontend.load(path, batch=1), parse_pipeline(steps), Context())


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def with_qlinear_conv(model: onnx.ModelProto) -> onnx.ModelProto:
    """DequantizeLinear, Conv, (Relu,) QuantizeLinear as QLinearConv; all QuantizeLinear results as outputs."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    maker = {o: n for n in graph.node for o in n.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    replaced: dict[str, onnx.NodeProto] = {}
    for conv in (n for n in graph.node if n.op_type == "Conv"):
        after = readers[conv.output[0]]
        if len(after) == 1 and after[0].op_type == "Relu":
            after = readers[after[0].output[0]]
        sources = [maker.get(i) for i in conv.input]
        if len(after) != 1 or after[0].op_type != "QuantizeLinear":
            continue
        if any(s is None or s.op_type != "DequantizeLinear" for s in sources):
            continue
        x, w, *bias = sources
        inputs = [*x.input, *w.input, *after[0].input[1:], *(b.input[0] for b in bias)]
        new = helper.make_node("QLinearConv", inputs, after[0].output, name=conv.name)
        new.attribute.extend(conv.attribute)
        replaced[after[0].output[0]] = new
    nodes = [replaced.get(n.output[0], n) for n in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    have = {o.name for o in graph.output}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] not in have:
            graph.output.append(helper.make_tensor_value_info(node.output[0], onnx.TensorProto.INT8, None))
    return prune(result)


def prune(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without nodes that no output needs."""
    needed = {o.name for o in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    return model


def compare_layers(path: Path, arithmetic: str, frames: int, seed: int) -> str:
    """One line for a QDQ network: every quantised tensor against onnxruntime, each layer on onnxruntime's inputs."""
    model = onnx.load(path)
    graph = integer_graph(path, arithmetic)
    exposed = with_qlinear_conv(model)
    runner = session(exposed)
    names = {n.name: n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    place: dict[str, Op] = {}
    for op in graph.ops:
        if op.loc and op.loc[-1] in names and not isinstance(op, Constant):
            place[names[op.loc[-1]]] = op  # the last op of a layer
    tensor_of = {op: name for name, op in place.items()}
    (wanted,) = graph.inputs
    generator = np.random.default_rng(seed)
    low, high = wanted.format.code_range
    totals = dict.fromkeys(("words", "differing", "explained", "worst"), 0)
    ends, fused = 0, 0
    plain = session(model)
    last = model.graph.output[0].name
    for _ in range(frames):
        codes = generator.integers(low, high, wanted.shape, endpoint=True).astype(wanted.format.dtype)
        outputs = [o.name for o in runner.get_outputs()]
        theirs = dict(zip(outputs, runner.run(outputs, {wanted.name: codes}), strict=True))
        values: dict[Op, np.ndarray] = {}
        for op in graph.ops:
            if isinstance(op, Input):
                values[op] = codes[None]
                continue
            values[op] = evaluate(op, [values[o] for o in op.operands])
            name = tensor_of.get(op)
            if name is None or not any(not o.format.is_float for o in op.operands):
                continue
            target = theirs[name].reshape(values[op].shape)
            ties = explain(op, values, target)
            totals["words"] += target.size
            totals["differing"] += ties.positions.size
            totals["explained"] += int(ties.explained.sum())
            totals["worst"] = max(totals["worst"], ties.worst)
            values[op] = target
        final = plain.run(None, {wanted.name: codes})[0].astype(np.int64)
        own = run(graph, {wanted.name: codes[None]})[graph.outputs[0][0]][0].astype(np.int64)
        ends = max(ends, int(np.abs(theirs[last].astype(np.int64) - own).max()))
        fused = max(fused, int(np.abs(final - own).max()))
    return (
        f"{path.stem:24} {arithmetic:8} layers {len(place):3} words {totals['words']:9} differ {totals['differing']:5} "
        f"max {totals['worst']} explained {totals['explained']:5} | free run against integer kernels max {ends}, "
        f"default onnxruntime max {fused}"
    )


def compare_qonnx(path: Path, graph: Graph, x: np.ndarray, codes: np.ndarray) -> str:
    """One line for a QONNX network against the qonnx executor."""
    import qonnx.core.onnx_exec
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    model = cleanup_model(ModelWrapper(str(path)))
    source, result = model.graph.input[0].name, model.graph.output[0].name
    last = model.graph.node[-1]
    result = last.input[0] if last.op_type == "Softmax" else result  # an exponential has no exact result
    run_once = qonnx.core.onnx_exec.execute_onnx
    theirs = np.stack([run_once(model, {source: frame}, return_full_exec_context=True)[result] for frame in x])
    name, output = graph.outputs[0]
    ours = run(graph, {graph.inputs[0].name: codes})[name]
    ours = ours if output.format.is_float else output.format.decode(ours)
    differ, worst = int((ours != theirs).sum()), float(np.abs(ours - theirs).max())
    return f"{path.stem:24} integer  words {theirs.size:9} differ from the qonnx executor {differ:5} max {worst:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    mnist = np.load(options.data / "mnist_test.npz")["x"][: options.images].reshape(-1, 1, 1, 28, 28)
    scale = float(np.float32(1 / 255))
    pixel = Affine(Integer(8, signed_=False), (scale,))
    for name in ("TFC_1W1A", "TFC_1W2A", "TFC_2W2A"):
        path = options.data / "models" / f"{name}.onnx"
        graph = integer_graph(path, io=f"{{input_format={pixel}}}")
        print(compare_qonnx(path, graph, mnist.astype(np.float32) * np.float32(scale), mnist), flush=True)
    path = options.data / "models" / "qkeras_jettagging.onnx"
    graph = integer_graph(path, io="{input_format=fixed<16,6>}", before=",strip-softmax")
    codes = np.random.default_rng(options.seed).integers(-4096, 4096, (options.images, 1, 16)).astype(np.int16)
    print(compare_qonnx(path, graph, codes.astype(np.float32) / 1024, codes), flush=True)
    for name in MLPERF:
        for arithmetic in ("float32", "integer"):
            path = options.data / "mlperf_tiny" / f"{name}.onnx"
            print(compare_layers(path, arithmetic, options.frames, options.seed), flush=True)


if __name__ == "__main__":
    main()
