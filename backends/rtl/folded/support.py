"""What the folded mode can build; everything it cannot is listed at once, with what helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgec.backends.rtl import support as spatial
from edgec.backends.rtl.folded.layers import ELEMENTWISE, LIGHT, WINDOWED, Planner, is_join, pad_code
from edgec.backends.rtl.folded.streams import MOVES
from edgec.diagnostics import Diagnostic, EdgecError
from edgec.graph import Graph
from edgec.ops import Add, AvgPool, Constant, Conv, Dense, Input, MaxPool, Mul, MultiThreshold, Op, Sub

SPATIAL = "--mode spatial builds it"
Problem = tuple[str, str | None, str | None]


def unsupported(graph: Graph, options: Mapping[str, Any]) -> list[Diagnostic]:
    """One diagnostic for every op of `graph` that the folded mode cannot build."""
    problems = []
    if options.get("weights") == "loaded":
        why = "its weights are read-only memories"
        problems.append(Diagnostic("E0310", "loaded weights in the folded mode", why=why, remedy="--weights fixed"))
    if options.get("harden") is not None:
        why = "its primitives hold plain registers"
        problems.append(Diagnostic("E0310", "hardening of the folded mode", why=why, remedy=SPATIAL))
    if options.get("constant_sharing", "auto") != "auto":
        why = "its weights come from memories: there is no network of constants"
        what = f"--constant-sharing {options['constant_sharing']} in the folded mode"
        problems.append(Diagnostic("E0310", what, why=why, remedy=SPATIAL))
    for what, found in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        if len(found) != 1:
            why = "a folded design has one stream in and one out"
            problems.append(Diagnostic("E0310", f"a network with {len(found)} {what}", why=why, remedy=SPATIAL))
    for op in graph.ops:
        if isinstance(op, Constant):
            continue
        problem = _problem(op)
        if problem is not None:
            what, why, remedy = problem
            problems.append(Diagnostic("E0310", what, op.label, op.mnemonic, why, remedy))
    # Formats are those of the spatial mode.
    known = {d.layer for d in problems}
    problems += [d for d in spatial.unsupported(graph) if d.layer not in known or d.code != "E0310"]
    if not problems:
        try:
            Planner(graph)
        except EdgecError as error:
            problems += error.diagnostics
    return problems


def _problem(op: Op) -> Problem | None:
    if isinstance(op, (Input, *MOVES)):
        return None
    if not isinstance(op, WINDOWED + ELEMENTWISE + LIGHT):
        why = "folded layers are conv, dense, max_pool, avg_pool, add, sub, mul and what works element by element"
        return f"{op.mnemonic} has no folded form", why, SPATIAL
    shape = op.shape
    if not 2 <= len(shape) <= 4 or shape[0] != 1:
        why = "tensors are [1, channels], [1, channels, columns] or [1, channels, rows, columns]"
        return f"{op.mnemonic} gives {list(shape)}", why, "--batch 1, or --mode spatial"
    if isinstance(op, Conv | MaxPool | AvgPool) and any(d != 1 for d in op.dilations):
        return f"{op.mnemonic} with dilations {list(op.dilations)}", "windows are dense", SPATIAL
    if isinstance(op, Conv):
        return _conv_problem(op)
    if isinstance(op, Dense) and len(op.x.shape) != 2:
        return f"dense over {list(op.x.shape)}", "a folded dense layer reads [1, elements]", SPATIAL
    if isinstance(op, AvgPool) and (any(op.pads) or op.ceil_mode):
        return "avg_pool with a border", "its windows would have different divisors", SPATIAL
    if isinstance(op, MultiThreshold) and isinstance(op.sign, Constant) and np.unique(op.sign.data).size > 1:
        return "multi_threshold with a sign per channel", "lanes share one comparison", SPATIAL
    if is_join(op):
        assert isinstance(op, Add | Sub | Mul)
        if op.x.shape != op.y.shape:
            return f"{op.mnemonic} of {list(op.x.shape)} and {list(op.y.shape)}", "streams must match", SPATIAL
    return None


def _conv_problem(op: Conv) -> Problem | None:
    channels, outputs = op.x.shape[1], op.shape[1]
    if op.groups != 1 and not op.groups == channels == outputs:
        why = "folded convolutions are full, or depthwise with one output a channel"
        return f"a convolution of {channels} to {outputs} channels in {op.groups} groups", why, SPATIAL
    if any(op.pads) and pad_code(op) is None:
        return f"a border around {op.x.format}", "the format has no code for zero", "a convolution without pads"
    return None
