"""What is refused of PyTorch's programs, and what the message says."""

from __future__ import annotations

import pytest
from torch_support import exported, need_torch, saved

need_torch()

import torch  # noqa: E402
import torch.ao.quantization.fx._decomposed  # noqa: E402
from torch import nn  # noqa: E402

import edgec  # noqa: E402
from edgec.diagnostics import EdgecError  # noqa: E402
from edgec.frontend.torch import load  # noqa: E402

SYMMETRIC = torch.ops.quantized_decomposed.choose_qparams_symmetric.tensor


class Call(nn.Module):
    """A module of one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor):
        return self.function(*inputs)


def refusal(module: nn.Module, *example: torch.Tensor) -> EdgecError:
    with pytest.raises(EdgecError) as caught:
        edgec.from_torch(module, example)
    return caught.value


def test_training_mode() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout())
    error = refusal(module, torch.zeros(1, 3))
    assert error.code == "E0304" and "model.eval()" in str(error)
    module.eval()
    module[1].train()  # one layer left in training mode
    error = refusal(module, torch.zeros(1, 3))
    assert error.diagnostics[0].layer == "1"


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Dropout(0.3), (1, 3)),
        (nn.BatchNorm2d(3), (2, 3, 4, 4)),
        (nn.BatchNorm1d(3, track_running_stats=False), (2, 3, 4)),
        (nn.InstanceNorm1d(3, track_running_stats=True), (2, 3, 4)),
        (nn.LSTM(3, 4, 2, dropout=0.5), (5, 1, 3)),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
@pytest.mark.parametrize("decomposed", [False, True])
def test_programs_exported_in_training_mode(layer: nn.Module, shape: tuple[int, ...], decomposed: bool) -> None:
    program = exported(nn.Sequential(layer) if not isinstance(layer, nn.LSTM) else layer, (torch.randn(shape),))
    if decomposed:
        if isinstance(layer, nn.LSTM):
            return  # dropout between layers becomes random numbers, see test_random_numbers
        program = program.run_decompositions()
    with pytest.raises(EdgecError) as caught:
        load(saved(program))
    text = str(caught.value)
    assert caught.value.code in ("E0303", "E0304")
    assert "eval()" in text or "random" in text, text


def test_random_numbers() -> None:
    error = refusal(Call(lambda x: x + torch.rand_like(x)).eval(), torch.zeros(2))
    assert error.code == "E0303" and "random numbers" in str(error)


def test_state_between_calls() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("state", torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.state.mul_(0.9).add_(x)
            return self.state * 2

    module = Counter().eval()
    error = refusal(module, torch.zeros(3))
    assert "'state'" in str(error) and "make the state an input and an output" in str(error)
    with pytest.raises(EdgecError, match="writes the buffer"):
        load(saved(exported(module, (torch.zeros(3),))))


def test_control_flow_that_depends_on_data() -> None:
    error = refusal(Call(lambda x: x * 2 if x.sum() > 0 else x).eval(), torch.zeros(3))
    assert error.code == "E0308" and "data-dependent" in str(error)
    branch = Call(lambda x: torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x + 1, (x,))).eval()
    error = refusal(branch, torch.zeros(3))
    assert error.code == "E0303" and "control flow" in str(error)


@pytest.mark.parametrize(
    "source, example, code, what",
    [
        (nn.Linear(2, 2).eval(), None, "E0204", "example_inputs"),
        ({"weight": torch.zeros(1)}, None, "E0204", "not dict"),
        ("net.pt", None, "E0204", "not str"),
        (nn.Linear(2, 2).eval(), (torch.zeros(1, 3),), "E0308", "torch.export cannot"),
        (nn.Linear(2, 2).eval().to(torch.bfloat16), (torch.zeros(1, 2, dtype=torch.bfloat16),), "E0304", "bfloat16"),
        (nn.Embedding(4, 2).eval(), (torch.zeros(1, dtype=torch.int64),), "E0307", "index"),
        (nn.LSTM(2, 2, proj_size=1).eval(), (torch.zeros(3, 1, 2),), "E0304", "projections"),
        (nn.MaxPool2d(2, return_indices=True).eval(), (torch.zeros(1, 1, 4, 4),), "E0304", "index of a maximum"),
        (nn.ReplicationPad2d(1).eval(), (torch.zeros(1, 1, 4, 4, dtype=torch.complex64),), "E0304", "complex64"),
        (Call(lambda x: x.to(torch.int32)).eval(), (torch.zeros(2),), "E0304", "PyTorch truncates"),
        (Call(lambda x, w: torch.conv1d(x, w)).eval(), (torch.zeros(1, 1, 4), torch.zeros(1, 1, 2)), "E0307", "weight"),
        (Call(lambda x: x[x > 0]).eval(), (torch.zeros(2),), "E03", ""),
        (Call(lambda x: (x, 3)).eval(), (torch.zeros(2),), "E0304", "no tensor"),
        (Call(lambda x: torch.topk(x, 2).values).eval(), (torch.zeros(4),), "E0303", "topk"),
        (
            Call(lambda x: nn.functional.scaled_dot_product_attention(x, x, x, torch.zeros(2, 2) > 0)).eval(),
            (torch.zeros(1, 2, 2),),
            "E0304",
            "a whole row",
        ),
        (
            Call(lambda x: torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.1, 0, -100, 90, torch.int8)).eval(),
            (torch.zeros(2),),
            "E0304",
            "codes from -100 to 90",
        ),
        (
            Call(
                lambda x: torch.ops.quantized_decomposed.choose_qparams.tensor(x, 0, 255, 1e-5, torch.uint8)[0] * x
            ).eval(),
            (torch.ones(2),),
            "E0304",
            "quantise statically",
        ),
        (
            Call(lambda x: SYMMETRIC(x, -127, 127, 1e-5, torch.int8)[0] * x).eval(),
            (torch.ones(2),),
            "E0304",
            "quantise statically",
        ),
    ],
)  # fmt: skip
def test_refusals(source: object, example: tuple[torch.Tensor, ...] | None, code: str, what: str) -> None:
    with pytest.raises(EdgecError) as caught:
        edgec.from_torch(source, example)
    assert caught.value.code.startswith(code) and what in str(caught.value), str(caught.value)


def test_a_program_takes_no_example_inputs() -> None:
    program = exported(nn.Linear(2, 2).eval(), (torch.zeros(1, 2),))
    assert edgec.from_torch(program).name == "model"
    with pytest.raises(EdgecError, match="has its shapes already"):
        edgec.from_torch(program, (torch.zeros(1, 2),))


def test_all_refusals_at_once_with_the_path_of_the_module() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stage = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 2, proj_size=1).eval())

        def forward(self, x: torch.Tensor):
            y = self.stage[0](x)
            values, _ = torch.sort(y)
            return values, torch.cumsum(y, 0), self.stage[1](y.repeat(200, 1, 1).expand(-1, -1, -1).repeat(3, 1, 1))[0]

    error = refusal(Net().eval(), torch.zeros(1, 4))
    found = {(d.code, d.layer) for d in error.diagnostics}
    assert ("E0303", "sort") in found and ("E0303", "cumsum") in found
    assert any(code == "E0304" and str(layer).startswith("stage.1") for code, layer in found)
