"""Every operator on drawn shapes, compared with PyTorch: as exported, and as its decompositions leave it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from torch_support import by_edgec, exported, flat, need_torch, same, saved

need_torch()

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch_cases import CASES, Draw  # noqa: E402

from edgec.frontend.torch import load  # noqa: E402
from edgec.frontend.torch.registry import operators  # noqa: E402

ELSEWHERE = {
    "_operator.": "test_torch_archive.py: arithmetic of sizes",
    "aten.sym_": "test_torch_archive.py: arithmetic of sizes",
    "aten._assert_scalar.default": "test_torch_archive.py: arithmetic of sizes",
    "aten._native_batch_norm_legit.default": "test_torch_refusals.py: training mode",
    "aten._native_batch_norm_legit_functional.default": "test_torch_refusals.py: training mode",
    "aten.native_batch_norm.default": "test_torch_refusals.py: training mode",
    "quantized_decomposed.choose_qparams": "test_torch_refusals.py: dynamic quantisation",
}
"""Operators (by the start of their name) that are tested in other files."""
GROUP = 24
"""Operators in one program: exporting costs more than comparing."""
GROUPS = [list(CASES)[i : i + GROUP] for i in range(0, len(CASES), GROUP)]


class Together(nn.Module):
    """Several functions side by side, each with its own inputs."""

    def __init__(self, functions: list[Callable[..., Any]], counts: list[int]) -> None:
        super().__init__()
        self.functions, self.counts = functions, counts

    def forward(self, *inputs: torch.Tensor) -> list[list[torch.Tensor]]:
        rest = iter(inputs)
        return [flat(f(*itertools.islice(rest, n))) for f, n in zip(self.functions, self.counts, strict=True)]


def test_every_operator_has_a_case() -> None:
    untested = [o for o in operators() if o not in CASES and not o.startswith(tuple(ELSEWHERE))]
    assert not untested
    assert set(CASES) <= set(operators())


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g[0].removeprefix("aten."))
def test_operators(group: list[str], seed: int) -> None:
    calls = [CASES[name](Draw(1000 * seed + k)) for k, name in enumerate(group)]
    module = Together([f for f, _ in calls], [len(x) for _, x in calls])
    inputs = [x for _, each in calls for x in each]
    with torch.no_grad():
        wanted = module(*inputs)
    program = exported(module, inputs)
    targets = {str(n.target) for n in program.graph.nodes}
    assert set(group) <= targets, sorted(set(group) - targets)
    labels = [name for name, results in zip(group, wanted, strict=True) for _ in results]
    forms = {"exported": program}
    if seed == 1:
        forms["decomposed"] = program.run_decompositions()
    for form, each in forms.items():
        graph = load(saved(each))
        ours = by_edgec(graph, inputs)
        for name, got, theirs in zip(labels, ours, flat(wanted), strict=True):
            same(got, theirs, f"{name} ({form}, seed {seed})")


def test_nothing_is_written_to_a_tensor_without_elements() -> None:
    aten, x = torch.ops.aten, torch.tensor([[1.0, -2.0, 3.0]])

    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([aten.slice_scatter(x[:, :0], 2 * x[:, :0], 1, 0, 5), x], 1)

    (ours,) = by_edgec(load(saved(exported(Together([function], [1]), (x,)))), [x])
    same(ours, function(x), "slice_scatter")
