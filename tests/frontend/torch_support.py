"""Helpers of the tests with PyTorch: what to do without it, and the comparison with the interpreter."""

from __future__ import annotations

import importlib.util
import io
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgec.formats import Format
from edgec.graph import Graph
from edgec.interp import run


def need_torch() -> None:
    """Without PyTorch a test module skips at a desk, where `-ra` shows it, and fails in continuous integration."""
    if importlib.util.find_spec("torch") is None:
        if os.environ.get("CI"):
            pytest.fail("torch is not installed, and CI is set: every package must be there", pytrace=False)
        pytest.skip("torch is not installed", allow_module_level=True)


def saved(program: Any) -> bytes:
    """The .pt2 file of an exported program."""
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, buffer)
    return buffer.getvalue()


def exported(module: Any, example: Sequence[Any]) -> Any:
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(module, tuple(example))


def flat(results: Any) -> list[Any]:
    """The tensors of a nest of lists and tuples."""
    return [t for r in results for t in flat(r)] if isinstance(results, list | tuple) else [results]


def by_edgec(graph: Graph, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Real values of all outputs for one frame."""
    frames = {i.name: x.numpy()[None] for i, x in zip(graph.inputs, inputs, strict=True)}
    codes = run(graph, frames)
    return [_real(op.format, codes[name])[0] for name, op in graph.outputs]


def _real(fmt: Format, codes: np.ndarray) -> np.ndarray:
    return codes if fmt.is_float else fmt.decode(codes)


def same(ours: np.ndarray, theirs: Any, name: str, tolerance: float = 1e-5) -> None:
    """Equal shapes, and values within `tolerance` of the largest."""
    wanted = theirs.detach().numpy()
    assert ours.shape == wanted.shape, name
    if not wanted.size:
        return
    limit = tolerance * max(float(np.abs(wanted.astype(np.float64)).max()), 1e-3)
    worst = float(np.abs(ours.astype(np.float64) - wanted.astype(np.float64)).max())
    assert worst <= limit, f"{name}: differs by {worst}, allowed {limit}"
