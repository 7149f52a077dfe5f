"""Whole networks: modules in memory and saved files, compared with PyTorch from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch_support import by_edgec, exported, need_torch, same, saved

need_torch()

import torch  # noqa: E402
import torch.ao.quantization.fx._decomposed  # noqa: E402
from torch import nn  # noqa: E402
from torch_nets import nets, settled  # noqa: E402

import edgec  # noqa: E402
from edgec.diagnostics import EdgecError  # noqa: E402
from edgec.formats import Affine, Fixed, Integer  # noqa: E402
from edgec.frontend.torch import load  # noqa: E402
from edgec.interp import run  # noqa: E402
from edgec.ops import Constant, Conv, Dequantize, Input, Normalize, Quantize, Softmax  # noqa: E402

SMALL = nets(full=False)


@pytest.mark.parametrize("name", SMALL)
def test_networks(name: str) -> None:
    """From memory and from a file that was saved as it was exported: the same graph, PyTorch's numbers."""
    torch.manual_seed(3)
    module, example = SMALL[name]()
    settled(module, 3)
    graph = edgec.from_torch(module, example)
    stored = load(saved(exported(module, example)))
    torch.manual_seed(4)
    inputs = [torch.randn(x.shape) for x in example]
    with torch.no_grad():
        wanted = module(*inputs)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for each in (graph, stored):
        for got, theirs in zip(by_edgec(each, inputs), wanted, strict=True):
            same(got, theirs, name)


def test_high_level_operators_stay_whole() -> None:
    torch.manual_seed(0)
    module, example = SMALL["ViT"]()
    graph = edgec.from_torch(module.eval(), example)
    kinds = [type(op) for op in graph.ops]
    assert kinds.count(Normalize) == 5 and kinds.count(Softmax) == 2 and kinds.count(Conv) == 1
    functions = [op.function for op in graph.ops if hasattr(op, "function")]
    assert functions.count("gelu") == 2


def test_operators_without_an_importer_are_taken_apart() -> None:
    """Only what is not supported whole is decomposed: the layer beside it stays."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm = nn.Linear(6, 6), nn.LayerNorm(6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.einsum("bi,bj->bij", self.norm(self.fc(x)), x)
            return torch.nn.functional.glu(y, 2).addcmul(y[:, :, :3], y[:, :, 3:])

    torch.manual_seed(0)
    module, x = Net().eval(), torch.randn(2, 6)
    with pytest.raises(EdgecError) as caught:
        load(saved(exported(module, (x,))))
    assert {d.op for d in caught.value.diagnostics} == {
        "aten.einsum.default",
        "aten.glu.default",
        "aten.addcmul.default",
    }
    graph = edgec.from_torch(module, x)
    assert sum(isinstance(op, Normalize) for op in graph.ops) == 1
    same(by_edgec(graph, [x])[0], module(x), "net")


def test_names_of_the_graph() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()
    x = torch.zeros(1, 1, 4, 4)
    graph = edgec.from_torch(module, x)
    assert graph.name == "Sequential" and [i.name for i in graph.inputs] == ["input"]
    assert [op.loc for op in graph.ops if not isinstance(op, Input)] == [
        ("0.weight",), ("0.bias",), ("0",), ("1",), ("2",), ("3.weight",), ("3.bias",), ("3",),
    ]  # fmt: skip
    named = edgec.from_torch(module, x, name="net", input_names=["image"], output_names=["score"])
    assert (named.name, named.inputs[0].name, named.outputs[0][0]) == ("net", "image", "score")
    with pytest.raises(EdgecError, match="two outputs of one name"):
        edgec.from_torch(module, x, output_names=["a", "a"])
    for wrong in ({"input_names": ["a", "b"]}, {"output_names": []}):
        with pytest.raises(EdgecError, match="names for 1") as caught:
            edgec.from_torch(module, x, **wrong)
        assert caught.value.code == "E0204"


def test_inputs_and_outputs_of_every_kind() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.arange(6.0).reshape(2, 3), persistent=False)

        def forward(self, a: torch.Tensor, more: dict[str, torch.Tensor], factor: float = 2.0):
            y = a * more["b"] + self.table + torch.tensor([1.0, 2.0, 3.0])
            return {"same": (y, y), "nothing": None, "table": self.table * 2, "input": a, "index": y.argmax(1)}

    example = (torch.randn(2, 3), {"b": torch.randn(2, 3)})
    module = Net().eval()
    graph = edgec.from_torch(module, example)
    assert [i.shape for i in graph.inputs] == [(2, 3), (2, 3)]
    wanted = module(*example)
    expected = [*wanted["same"], wanted["table"], wanted["input"], wanted["index"]]
    for got, theirs in zip(by_edgec(graph, [example[0], example[1]["b"]]), expected, strict=True):
        same(got, theirs, "net")
    assert any(isinstance(op, Constant) and op.loc == ("table",) for op in graph.ops)


def test_the_same_module_twice() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.relu(self.fc(x)))

    module, x = Net().eval(), torch.randn(1, 3)
    graph = edgec.from_torch(module, x)
    names = [op.loc[0] for op in graph.ops if op.loc and not isinstance(op, Constant)]
    assert len(set(names)) == 3 and names[0].startswith("fc") and names[2].startswith("fc")
    same(by_edgec(graph, [x])[0], module(x), "net")


def test_writes_in_place_from_a_module() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            y[:, 0] += 1
            y.clamp_(min=0)
            return y + torch.relu_(y[:, 1:2])

    module, x = Net().eval(), torch.randn(2, 3)
    wanted = module(x.clone())
    try:
        graph = edgec.from_torch(module, x)
    except EdgecError as error:  # a copy into a slice has no importer: refused by name, never ignored
        assert all(d.code == "E0303" for d in error.diagnostics), str(error)
    else:
        same(by_edgec(graph, [x])[0], wanted, "net")


def test_dynamic_sizes() -> None:
    """A program exported for any batch and length, fixed at import."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv1d(2, 4, 3, padding=1), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, _, t = x.shape
            y = self.conv(x).reshape(n, -1, t // 2, 2).transpose(1, 2)
            y = y.reshape(n * (t // 2), 4, 2).amax(2)
            return self.fc(y).view(n, t // 2, 3)

    module = Net().eval()
    batch, half = torch.export.Dim("batch", min=1, max=16), torch.export.Dim("half", min=2, max=32)
    with torch.no_grad():
        program = torch.export.export(module, (torch.randn(3, 2, 8),), dynamic_shapes=({0: batch, 2: 2 * half},))
    data = saved(program)
    with pytest.raises(EdgecError) as caught:
        load(data)
    assert [d.code for d in caught.value.diagnostics] == ["E0305", "E0305"]
    graph = load(data, batch=2, dims={"x:2": 12})
    x = torch.randn(2, 2, 12)
    same(by_edgec(graph, [x])[0], module(x), "net")
    with pytest.raises(EdgecError, match="cannot be 13"):
        load(data, batch=2, dims={"x:2": 13})
    assert edgec.from_torch(program, batch=2, dims={"x:2": 12}).inputs[0].shape == (2, 2, 12)


def test_arithmetic_of_dynamic_sizes() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, c, t = x.shape
            torch._check(t != 7)
            y = x.reshape(n * t, c)[: t + 1 - (t % 3)].sum(0) * (t // 2)
            return y + (t - 1) if t >= 4 and t > 3 and n < 100 and n <= 99 and t == t else y

    length = torch.export.Dim("length", min=8, max=32)
    with torch.no_grad():
        program = torch.export.export(
            Net(), (torch.randn(3, 2, 8),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=16), 2: length},)
        )
    x = torch.randn(2, 2, 10)
    graph = load(saved(program), batch=2, dims={"x:2": 10})
    same(by_edgec(graph, [x])[0], Net()(x), "net")


QUANTISED = (0.05, 3, -128, 127, torch.int8)


class Quantised(nn.Module):
    """What PyTorch 2 export quantisation leaves: float operators between quantisers, weights as codes."""

    def __init__(self) -> None:
        super().__init__()
        generator = np.random.default_rng(5)
        self.register_buffer("w", torch.from_numpy(generator.integers(-127, 128, (4, 2, 3, 3))).to(torch.int8))
        self.register_buffer("s", torch.tensor([0.01, 0.02, 0.015, 0.005]))
        self.register_buffer("z", torch.zeros(4, dtype=torch.int64))
        self.bias = nn.Parameter(torch.from_numpy(generator.standard_normal(4).astype(np.float32)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q = torch.ops.quantized_decomposed
        x = q.dequantize_per_tensor(q.quantize_per_tensor(x, *QUANTISED), *QUANTISED)
        w = q.dequantize_per_channel(self.w, self.s, self.z, 0, -127, 127, torch.int8)
        y = torch.relu(torch.conv2d(x, w, self.bias))
        codes = q.quantize_per_tensor(y, 0.125, -128, -128, 127, torch.int8)
        return codes, q.dequantize_per_tensor(codes, 0.125, -128, -128, 127, torch.int8)


def test_quantised_programs_give_the_same_codes() -> None:
    module, x = Quantised().eval(), torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(1)) * 3
    graph = edgec.from_torch(module, x)
    first, second = [op for op in graph.ops if isinstance(op, Quantize)]
    assert first.format == Affine(Integer(8), (float(np.float32(0.05)),), (3,), None)
    assert second.format == Affine(Integer(8), (0.125,), (-128,), None)
    weights = next(op for op in graph.ops if isinstance(op, Dequantize) and isinstance(op.x, Constant))
    assert weights.format.is_float and weights.x.format.axis == 0
    np.testing.assert_array_equal(weights.x.data, module.w.numpy())
    codes, values = module(x)
    result = run(graph, {"x": x.numpy()[None]})
    ours = list(result.values())
    np.testing.assert_array_equal(ours[0][0], codes.numpy())
    np.testing.assert_array_equal(ours[1][0], values.detach().numpy())


def test_codes_differ_at_ties_of_the_quotient_only() -> None:
    """PyTorch multiplies by the rounded inverse of the scale, the IR divides: 3e5 values, more than usual at ties."""

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.0371, 0, -128, 127, torch.int8)

    generator = np.random.default_rng(2)
    ties = (generator.integers(-128, 127, 100_000) + 0.5) * 0.0371
    values = np.concatenate([generator.uniform(-5, 5, 200_000), ties]).astype(np.float32)
    x = torch.from_numpy(values)
    graph = edgec.from_torch(Net().eval(), x)
    ours = next(iter(run(graph, {graph.inputs[0].name: values[None]}).values()))[0]
    theirs = Net()(x).numpy()
    quotient = values.astype(np.float64) / np.float64(np.float32(0.0371))
    distance = np.abs(np.abs(quotient - np.rint(quotient)) - 0.5)
    differ = ours != theirs
    assert differ[200_000:].any() and not differ[distance > np.spacing(np.float32(128)) * 2].any()
    assert np.abs(ours.astype(int) - theirs).max() == 1
    power = torch.quantize_per_tensor(x, 0.0625, 0, torch.qint8).int_repr().numpy()

    class Power(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.0625, 0, -128, 127, torch.int8)

    graph = edgec.from_torch(Power().eval(), x)
    quantiser = next(op for op in graph.ops if isinstance(op, Quantize))
    assert quantiser.format == Fixed(8, 4)
    np.testing.assert_array_equal(next(iter(run(graph, {graph.inputs[0].name: values[None]}).values()))[0], power)


def test_a_quantised_program_builds(tmp_path: Path) -> None:
    """From PyTorch's quantised program to integer hardware, from the file, as a user does it."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("w", torch.tensor([[3, -7, 100, 25], [-128, 64, 1, 0]], dtype=torch.int8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q = torch.ops.quantized_decomposed
            x = q.dequantize_per_tensor(
                q.quantize_per_tensor(x, 0.125, 0, -128, 127, torch.int8), 0.125, 0, -128, 127, torch.int8
            )
            w = q.dequantize_per_tensor(self.w, 1 / 64, 0, -128, 127, torch.int8)
            y = torch.relu(nn.functional.linear(x, w))
            return q.dequantize_per_tensor(
                q.quantize_per_tensor(y, 0.25, 0, 0, 127, torch.uint8), 0.25, 0, 0, 127, torch.uint8
            )

    module, x = Net().eval(), torch.randn(1, 4)
    path = tmp_path / "net.pt2"
    torch.export.save(exported(module, (x,)), path)
    artefact = edgec.build(path, "gate-equivalents", tmp_path / "out")
    assert (tmp_path / "out/manifest.json").is_file() and artefact is not None
