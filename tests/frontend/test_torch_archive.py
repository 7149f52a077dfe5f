"""Reading .pt2 archives without PyTorch: good files, damaged files, and files that mean harm."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_archives import FLOAT, LONG, WEIGHTS, archive, call, linear, meta, model

import edgec
from edgec.diagnostics import EdgecError
from edgec.frontend.torch import inspect, load
from edgec.interp import run


def refused(data: bytes, **given: Any) -> EdgecError:
    with pytest.raises(EdgecError) as caught:
        load(data, **given)
    assert all(d.code[:3] in ("E02", "E03") for d in caught.value.diagnostics)
    assert [d.code for d in inspect(data, **given) if d.severity == "error"] == [
        d.code for d in caught.value.diagnostics
    ]
    return caught.value


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(archive())
    graph = edgec.load(path)
    assert graph.name == "net" and graph.meta["producer"] == "pytorch 2.13.0"
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    result = run(graph, {"x": x[None]})
    np.testing.assert_array_equal(result["z"][0], np.maximum(x @ WEIGHTS.T, 0))
    assert [op.loc for op in graph.ops if op.loc] == [("fc.weight",), ("fc",), ("act",)]


def test_pytorch_is_not_needed(tmp_path: Path) -> None:
    """The import of a file, in a process where PyTorch cannot be imported."""
    path = tmp_path / "net.pt2"
    path.write_bytes(archive())
    code = "import sys; sys.modules['torch'] = None; import edgec; print(len(edgec.load(sys.argv[1]).ops))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "4", done.stderr


def test_without_pytorch_modules_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EdgecError) as caught:
        edgec.from_torch(object(), ())
    assert caught.value.code == "E0601" and caught.value.diagnostics[0].remedy == "pip install torch"


def test_weights_that_share_their_storage() -> None:
    tied = {"path_name": "weight_0", "tensor_meta": {**meta((3, 2)), "strides": [{"as_int": 1}, {"as_int": 3}]}}
    program = linear()
    program["graph_module"]["signature"]["input_specs"].append(
        {"parameter": {"arg": {"name": "p_v"}, "parameter_name": "tied"}}
    )
    graph = program["graph_module"]["graph"]
    graph["nodes"].append(call("aten.linear.default", "v", "back", input="z", weight="p_v"))
    graph["tensor_values"].update({"p_v": meta((3, 2)), "v": meta((1, 3))})
    program["graph_module"]["signature"]["output_specs"] = [{"user_output": {"arg": {"as_tensor": {"name": "v"}}}}]
    table = {"fc.weight": {"path_name": "weight_0", "tensor_meta": meta((2, 3))}, "tied": tied}
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    result = run(load(archive(program, weights=table)), {"x": x[None]})
    np.testing.assert_array_equal(result["v"][0], np.maximum(x @ WEIGHTS.T, 0) @ WEIGHTS)


def _parts(program: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The graph and the signature of a program."""
    return program["graph_module"]["graph"], program["graph_module"]["signature"]


def _first(key: str, value: Any) -> bytes:
    """The good file with one entry of its first node changed."""
    program = linear()
    _parts(program)[0]["nodes"][0][key] = value
    return archive(program)


def _argument(value: Any) -> bytes:
    """The good file with another first argument of its first node."""
    program = linear()
    _parts(program)[0]["nodes"][0]["inputs"][0]["arg"] = value
    return archive(program)


def _more_arguments(name: str) -> bytes:
    program = linear()
    _parts(program)[0]["nodes"][0]["inputs"].append({"name": name, "arg": {"as_int": 3}})
    return archive(program)


def _typed(**values: Any) -> bytes:
    """The good file with other types of tensors, or without one (None)."""
    program = linear()
    table = _parts(program)[0]["tensor_values"]
    table.update(values)
    for name in [n for n, v in table.items() if v is None]:
        del table[name]
    return archive(program)


def _input(specification: Any) -> bytes:
    program = linear()
    _parts(program)[1]["input_specs"].append(specification)
    return archive(program)


def _outputs(*specifications: Any) -> bytes:
    program = linear()
    _parts(program)[1]["output_specs"] = list(specifications)
    return archive(program)


def _text(content: bytes) -> bytes:
    return archive(entries={"models/model.json": content})


def _sizes(text: bytes) -> bytes:
    """The good file with `text` for every 3 among the sizes."""
    return _text(json.dumps(linear()).encode().replace(b'"as_int": 3', b'"as_int": ' + text))


def _weight(**change: Any) -> bytes:
    entry = {"path_name": "weight_0", "tensor_meta": meta((2, 3)), **change}
    return archive(weights={"fc.weight": entry})


def _stated(**change: Any) -> bytes:
    return _weight(tensor_meta={**meta((2, 3)), **change})


_HUGE = [{"as_int": 1 << 20}, {"as_int": 1 << 20}]
_NESTED = b"[" * 200_000
_OTHER = "not an archive as PyTorch writes it"
_ZEROS = {"data/weights/weight_0": bytes(1 << 24)}
_OLD = {"archive_format": None, "serialized_exported_program.json": b"{}"}
BAD_FILES: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "E0301", "no .pt2 archive"),
    "noise": (np.random.default_rng(0).bytes(4000), "E0301", "no .pt2 archive"),
    "half": (archive()[: len(archive()) // 2], "E0301", "no .pt2 archive"),
    "text": (b"PK\x03\x04 but nothing else", "E0301", "no .pt2 archive"),
    "another zip": (archive(entries={"archive_format": None}), "E0301", "no .pt2 archive"),
    "another format": (archive(entries={"archive_format": b"zzz"}), "E0301", "no .pt2 archive"),
    "a pickled checkpoint": (
        archive(entries={"archive_format": None, "data.pkl": b"cos\nsystem\n."}),
        "E0301",
        "pickled",
    ),
    "an old PyTorch": (archive(entries=_OLD), "E0306", "old PyTorch"),
    "big-endian": (archive(entries={"byteorder": b"big"}), "E0304", "big-endian"),
    "compressed": (archive(compression=zipfile.ZIP_DEFLATED), "E0301", _OTHER),
    "a zip bomb": (archive(entries=_ZEROS, compression=zipfile.ZIP_DEFLATED), "E0301", _OTHER),
    "no program": (archive(entries={"models/model.json": None}), "E0304", "0 programs"),
    "two programs": (archive(entries={"models/other.json": b"{}"}), "E0304", "2 programs"),
    "a newer schema": (archive(linear(schema_version={"major": 9, "minor": 0})), "E0306", "9.0"),
    "no schema": (archive(linear(schema_version={})), "E0306", "None"),
    "json that is none": (_text(b"{'a': 1"), "E0302", "does not parse"),
    "json that is no text": (_text(b'{"a": "\xff\xfe"}'), "E0302", "does not parse"),
    "json of something else": (_text(b"[1, 2, 3]"), "E0302", "does not parse"),
    "deep json": (_text(b'{"graph_module": ' + b"[" * 200_000), "E0302", "does not parse"),
    "deep json in a size": (_sizes(b"[" * 200_000), "E0302", "does not parse"),
    "a huge number": (_sizes(b"9" * 9999), "E0302", ""),
    "no weights": (archive(entries={"data/weights/weight_0": None}), "E0302", "weight_0"),
    "no table of weights": (archive(weights={}), "E0302", "fc.weight"),
    "short weights": (archive(entries={"data/weights/weight_0": bytes(20)}), "E0302", "does not fit"),
    "odd weights": (archive(entries={"data/weights/weight_0": bytes(21)}), "E0302", "fc.weight"),
    "pickled weights": (_weight(use_pickle=True), "E0304", "pickled"),
    "weights elsewhere": (_weight(path_name="../../../../etc/passwd"), "E0302", "no entry"),
    "huge weights": (_stated(sizes=_HUGE), "E0302", "fc.weight"),
    "negative sizes": (_stated(sizes=[{"as_int": -2}, {"as_int": 3}]), "E0302", "fc.weight"),
    "negative strides": (_stated(strides=[{"as_int": -3}, {"as_int": 1}]), "E0302", "fc.weight"),
    "wide strides": (_stated(strides=[{"as_int": 1 << 60}, {"as_int": 1}]), "E0302", "fc.weight"),
    "a far offset": (_stated(storage_offset={"as_int": 1 << 62}), "E0302", "fc.weight"),
    "sizes of text": (_stated(sizes=[{"as_int": "2"}, {"as_int": 3}]), "E0302", "fc.weight"),
    "bfloat16 weights": (_stated(dtype=13), "E0304", "bfloat16"),
    "an unknown type": (_stated(dtype=99), "E0304", "number 99"),
    "weights of another shape": (_weight(tensor_meta=meta((3, 2))), "E0302", "for weights [3, 2]"),
    "a tensor from nowhere": (_argument({"as_tensor": {"name": "q"}}), "E0302", "'q'"),
    "a tensor without a name": (_argument({"as_tensor": {}}), "E0302", "name"),
    "an argument of two kinds": (_argument({"as_int": 1, "as_none": True}), "E0302", "is written as"),
    "an argument that is a number": (_argument({"as_int": 1}), "E0304", "int<64>"),
    "an argument that is a graph": (_argument({"as_graph": {}}), "E0304", "as_graph"),
    "an argument twice": (_more_arguments("input"), "E0302", "twice"),
    "an argument unheard of": (_more_arguments("zeal"), "E0304", "zeal"),
    "a list that is none": (_argument({"as_tensors": 5}), "E0302", ""),
    "a result of another shape": (_typed(y=meta((1, 7))), "E0302", "1, 7"),
    "a result of another type": (_typed(y=meta((1, 2), LONG)), "E0304", "int64"),
    "no results": (_first("outputs", []), "E0302", "'y'"),
    "too many results": (_first("outputs", [{"as_tensor": {"name": n}} for n in "yw"]), "E0302", "2 results"),
    "an input without a type": (_typed(x=None), "E0302", "'x'"),
    "an input of bfloat16": (_typed(x=meta((1, 3), 13)), "E0304", "bfloat16"),
    "an empty input": (_typed(x=meta((0, 3))), "E0302", "[0, 3]"),
    "a huge input": (_typed(x={**meta((1, 1)), "sizes": _HUGE}), "E0302", "limit"),
    "a token": (_input({"token": {}}), "E0304", "token"),
    "a number as input": (_input({"user_input": {"arg": {"as_int": 3}}}), "E0304", "no tensor"),
    "an empty input specification": (_input({}), "E0302", "is written as"),
    "a written buffer": (
        _outputs({"buffer_mutation": {"arg": {"name": "z"}, "buffer_name": "s"}}),
        "E0304",
        "writes 's'",
    ),
    "an output that is none": (_outputs({"buffer_mutation": 5}), "E0304", "buffer_mutation"),
    "no outputs": (_outputs(), "E0304", "no tensor"),
    "an output from nowhere": (_outputs({"user_output": {"arg": {"as_tensor": {"name": "nil"}}}}), "E0302", "'nil'"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(name: str) -> None:
    data, code, what = BAD_FILES[name]
    error = refused(data)
    assert any(d.code.startswith(code) for d in error.diagnostics), str(error)
    assert what in str(error)


def test_entries_that_overlap() -> None:
    """Many entries of the directory that point to the same bytes: larger than the file when unpacked."""
    data = archive(entries={"data/weights/weight_0": bytes(30_000)})
    end = data.rindex(b"PK\x05\x06")
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    directory = data[start:end]
    at = directory.index(b"net/data/weights/weight_0")
    record = directory[at - 46 : at + len("net/data/weights/weight_0")]
    more = b"".join(record.replace(b"weight_0", f"weight{k:02d}".encode()) for k in range(40))
    count = int.from_bytes(data[end + 10 : end + 12], "little") + 40
    tail = bytearray(data[end:])
    tail[8:12] = count.to_bytes(2, "little") * 2
    tail[12:16] = len(directory + more).to_bytes(4, "little")
    error = refused(data[:start] + directory + more + bytes(tail))
    assert error.code == "E0301" and "larger than the file" in str(error)


@pytest.mark.parametrize("seed", range(4))
def test_mutilated_files_never_end_in_a_traceback(seed: int) -> None:
    """Bytes of the program and of the directory changed at random: imported or refused, never anything else."""
    generator = np.random.default_rng(seed)
    good = bytearray(archive())
    text = json.dumps(linear())
    for _ in range(60):
        if generator.random() < 0.4:
            bad = bytearray(good)
            for place in generator.integers(0, len(bad), 4):
                bad[place] = generator.integers(256)
            data = bytes(bad)
        else:
            spoilt = _mutilated(json.loads(text), generator)
            data = archive(entries={"models/model.json": json.dumps(spoilt).encode()})
        try:
            load(data)
        except EdgecError as error:
            assert all(
                d.code in ("E0301", "E0302", "E0303", "E0304", "E0305", "E0306", "E0307") for d in error.diagnostics
            )


_JUNK: tuple[Any, ...] = (
    None,
    -1,
    0,
    1 << 70,
    1.5,
    "",
    "x",
    "y",
    [],
    {},
    [[1]],
    {"as_int": -5},
    {"as_tensor": {"name": "z"}},
    True,
)


def _mutilated(program: Any, generator: np.random.Generator) -> Any:
    """One value somewhere in the tree replaced by junk, or removed."""
    places: list[tuple[Any, Any]] = []
    waiting = [program]
    while waiting:
        value = waiting.pop()
        keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
        places += [(value, k) for k in keys]
        waiting += [value[k] for k in keys]
    where, key = places[generator.integers(len(places))]
    if generator.random() < 0.2:
        del where[key]
    else:
        where[key] = _JUNK[generator.integers(len(_JUNK))]
    return program


def test_dynamic_sizes_are_fixed_or_refused() -> None:
    symbol = {"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 4}}}

    def dynamic(shape: list[dict[str, Any]]) -> dict[str, Any]:
        return {"dtype": FLOAT, "sizes": shape}

    program = linear(range_constraints={"s77": {"min_val": 2, "max_val": 9}})
    values = program["graph_module"]["graph"]["tensor_values"]
    values.update(
        x=dynamic([symbol, {"as_int": 3}]), y=dynamic([symbol, {"as_int": 2}]), z=dynamic([symbol, {"as_int": 2}])
    )
    data = archive(program)
    error = refused(data)
    assert error.code == "E0305" and "--batch 1 (or --dim s77=N)" in str(error)
    for given in ({"batch": 5}, {"dims": {"s77": 5}}, {"dims": {"x:0": 5}}):
        assert load(data, **given).inputs[0].shape == (5, 3)
    assert refused(data, batch=1).code == "E0204"
    assert "2 to 9" in str(refused(data, batch=1))
    assert "'s78'" in str(refused(data, batch=2, dims={"s78": 1}))
    assert "fixed to 1" in str(refused(archive(), batch=4))
    twice = {"as_expr": {"expr_str": "Mul(Integer(2), Symbol('s77', positive=True, integer=True))"}}
    values.update(
        x=dynamic([twice, {"as_int": 3}]), y=dynamic([twice, {"as_int": 2}]), z=dynamic([twice, {"as_int": 2}])
    )
    for given in ({"batch": 6}, {"dims": {"s77": 3}}, {"dims": {"x:0": 6}}):
        assert load(archive(program), **given).inputs[0].shape == (6, 3)
    assert "2 * s77" in str(refused(archive(program)))
    assert "4 to 18, multiples of 2" in str(refused(archive(program), batch=7))
    values["x"] = dynamic([{"as_expr": {"expr_str": "Add(Symbol('s77'), Integer(1))"}}, {"as_int": 3}])
    assert "is computed" in str(refused(archive(program), batch=2))


@pytest.mark.parametrize(
    "function, wanted",
    [
        ("add", 9), ("sub", 3), ("mul", 18), ("floordiv", 2), ("mod", 0),
        ("eq", False), ("ne", True), ("lt", False), ("le", False), ("gt", True), ("ge", True),
    ],
)  # fmt: skip
def test_arithmetic_of_sizes(function: str, wanted: int | bool) -> None:
    """6 and 3 from the shape of x; numbers become a factor, truth values are asserted."""
    three, six = {"as_sym_int": {"as_name": "three"}}, {"as_sym_int": {"as_name": "six"}}
    nodes = [
        {**call("aten.sym_size.int", "", self="x", dim={"as_int": 0}), "outputs": [{"as_sym_int": {"as_name": "six"}}]},
        {
            **call("aten.sym_size.int", "", self="x", dim={"as_int": 1}),
            "outputs": [{"as_sym_int": {"as_name": "three"}}],
        },
    ]
    kind = "as_sym_bool" if isinstance(wanted, bool) else "as_sym_int"
    compute = {**call("", "", a=six, b=three), "target": f"_operator.{function}", "outputs": [{kind: {"as_name": "n"}}]}
    constrain = {**call("aten.sym_constrain_range.default", "", size=six, min={"as_int": 2}), "outputs": []}
    bound = {**call("aten.sym_constrain_range_for_size.default", "", size=six), "outputs": []}
    asserted = {**call("aten._assert_scalar.default", "", self={kind: {"as_name": "n"}}), "outputs": []}
    factor = {"as_float": 1.0} if isinstance(wanted, bool) else {kind: {"as_name": "n"}}
    result = call("aten.mul.Tensor", "y", "", self="x", other=factor)
    checks = [asserted] if isinstance(wanted, bool) else []
    data = archive(model([*nodes, constrain, bound, compute, *checks, result], {"x": meta((6, 3)), "y": meta((6, 3))}))
    if wanted is False:
        assert "the sizes do not fit" in str(refused(data))
        return
    x = np.ones((1, 6, 3), np.float32)
    np.testing.assert_array_equal(run(load(data), {"x": x})["y"], x * (1 if wanted is True else wanted))


def test_unknown_operators_are_listed_all_at_once() -> None:
    nodes = [
        call("aten.fft_fft.default", "a", "fourier", self="x"),
        call("aten.relu.default", "b", "act", self="a"),
        call("aten.topk.default", "c", "best", self="b"),
        call("mylib.softsort.default", "d", "mine", self="b"),
        call("aten.bernoulli.default", "e", "noise", self="x"),
    ]
    tensors = {n: meta((1, 3)) for n in "xabcde"} | {"p_w": meta((2, 3))}
    error = refused(archive(model(nodes, tensors)))
    assert [(d.code, d.layer) for d in error.diagnostics] == [
        ("E0303", n) for n in ("fourier", "best", "mine", "noise")
    ]
    assert "random" in str(error) and "run_decompositions" in str(error)


def _filled(name: str, *shape: int) -> dict[str, Any]:
    return call("aten.full.default", name, "", size={"as_ints": list(shape)}, fill_value={"as_float": 1.0})


def test_small_files_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants made of numbers, tables of indices and results by the million are refused before they are made."""
    monkeypatch.setattr("edgec.frontend.torch.importer.MAX_MADE", 1 << 20)
    big = 1 << 16
    made = [_filled(f"f{k}", big) for k in range(9)]
    tensors = {f"f{k}": meta((big,)) for k in range(9)} | {
        "x": meta((1, 3)),
        "y": meta((1, big)),
        "i": meta((big,), LONG),
    }
    assert "constants of that size" in str(refused(archive(model(made, tensors))))
    monkeypatch.setattr("edgec.frontend.torch.indexing.MAX_INDICES", big - 1)
    rows = call("aten.arange.default", "i", "", end={"as_int": big})
    pick = call("aten.index_select.default", "y", "", self="x", dim={"as_int": 1}, index="i")
    assert "65536 indices" in str(refused(archive(model([rows, pick], tensors))))
    parts = call("aten.unbind.int", "p", "", self="f0")
    assert "1 results" in str(refused(archive(model([made[0], parts], tensors))))
    sized = _filled("f0", 1 << 40)
    assert "elements" in str(refused(archive(model([sized], {"x": meta((1, 3))}))))


def test_small_files_cannot_ask_for_hours_of_work() -> None:
    """A convolution of two constants that a few numbers make: 10^11 products."""
    n, k = 1 << 19, 1 << 18
    nodes = [_filled("a", 1, 1, n), _filled("b", 1, 1, k), call("aten.conv1d.default", "c", "", input="a", weight="b")]
    tensors = {"x": meta((1, 3)), "a": meta((1, 1, n)), "b": meta((1, 1, k)), "c": meta((1, 1, n - k + 1))}
    assert "operations on constants" in str(refused(archive(model(nodes, tensors))))


def test_names_of_layers() -> None:
    nodes = [
        call("aten.relu.default", "r1", "block.act", self="x"),
        call("aten.relu.default", "r2", "twice", self="r1"),
        call("aten.neg.default", "r3", "twice", self="r2"),
        call("aten.add.Tensor", "r4", "", self="r3", other="x"),
    ]
    graph = load(archive(model(nodes, {n: meta((1, 3)) for n in ("x", "r1", "r2", "r3", "r4")})))
    assert [op.loc[0] for op in graph.ops if op.loc] == ["block.act", "twice.r2", "twice.r3", "r4"]


def test_writes_in_place() -> None:
    """A write to a plain tensor is seen by later readers; one to a tensor with views is refused."""
    relu = call("aten.relu_.default", "r", "", self="y")
    tensors = {n: meta((1, 3)) for n in ("x", "y", "r", "s", "v")}
    nodes = [call("aten.neg.default", "y", "", self="x"), relu, call("aten.add.Tensor", "s", "", self="y", other="x")]
    x = np.array([[1.0, -2.0, 3.0]], np.float32)
    result = run(load(archive(model(nodes, tensors))), {"x": x[None]})
    np.testing.assert_array_equal(result["s"][0], np.maximum(-x, 0) + x)
    view = call("aten.view.default", "v", "", self="y", size={"as_ints": [1, 3]})
    error = refused(archive(model([nodes[0], view, relu, call("aten.neg.default", "s", "", self="v")], tensors)))
    assert error.code == "E0304" and "view" in str(error) and "run_decompositions" in str(error)
    write = call("aten.add_.Tensor", "r", "", self="p_w", other="p_w")
    error = refused(archive(model([write, nodes[0]], {**tensors, "r": meta((2, 3)), "p_w": meta((2, 3))})))
    assert "writes the parameter" in str(error) and "eval()" in str(error)


def test_the_command_line_takes_pt2_files(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(archive())
    (tmp_path / "bad.pt2").write_bytes(b"PK")
    command = [sys.executable, "-m", "edgec", "inspect", "-t", "gate-equivalents"]
    bad = subprocess.run([*command, str(tmp_path / "bad.pt2")], capture_output=True, text=True, timeout=60)
    assert bad.returncode == 3 and "E0301" in bad.stderr and "Traceback" not in bad.stderr
    good = subprocess.run([*command, str(tmp_path / "net.pt2")], capture_output=True, text=True, timeout=60)
    assert "fc" in good.stdout + good.stderr and "Traceback" not in good.stderr
