"""Every structural pass keeps the function of random networks: exactly, or to float32 rounding where it says so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pass_nets import apply, assert_same, residual_net
from random_nets import dense_net, random_net

from edgec.text import parse_graph, print_graph

EXACT = (("fold-padding", 0.0), ("fold-constants", 1e-6), ("eliminate-identity", 1e-6))
"""Dropping a transpose changes the order in memory, and with it the order in which numpy sums floats."""
ROUNDED = ("fold-batch-norm", "fuse", "fold-constants,fold-batch-norm,fuse,fold-padding")


@pytest.mark.parametrize(("name", "relative"), EXACT)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_exact_passes(name: str, relative: float, seed: int) -> None:
    net = random_net(seed)
    assert_same(net, apply(net, name), relative=relative)


@pytest.mark.parametrize("name", ROUNDED)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_rounded_passes(name: str, seed: int) -> None:
    net = random_net(seed)
    assert_same(net, apply(net, name), relative=1e-5)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_dense_layers(seed: int) -> None:
    net = dense_net(seed)
    after = apply(net, "fold-batch-norm")
    assert [op for op in after.ops if op.mnemonic == "batch_norm"] == []
    assert_same(net, after, relative=1e-5)


@pytest.mark.parametrize("name", (*(n for n, _ in EXACT), *ROUNDED))
def test_passes_are_idempotent_and_print(name: str) -> None:
    once = apply(residual_net(), name)
    text, arrays = print_graph(once)
    assert print_graph(parse_graph(text, arrays))[0] == text
    assert print_graph(apply(once, name))[0] == text
