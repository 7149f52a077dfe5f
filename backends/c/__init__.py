"""The C backend: a graph to plain C99 without a heap or a runtime library. See docs/c.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgec.backend import BuildPlan
from edgec.diagnostics import Diagnostic
from edgec.graph import Graph

if TYPE_CHECKING:
    import numpy as np

    from edgec.target import Target


def plan(graph: Graph, target: Target, options: Mapping[str, Any]) -> BuildPlan:
    """The build plan of `graph`. Options: `name`, the prefix of all names; `threads`, for how many large steps
    are split; `low_bits`, which weights become codes."""
    from edgec.backends.c.design import make_plan

    return make_plan(graph, target, options)


def simulation_files(
    built: BuildPlan, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The test program for `sim/`, and what the manifest says of it."""
    from edgec.backends.c.testbench import simulation_files as files

    return files(built.interface, inputs, outputs)


def unsupported(graph: Graph, target: Target, options: Mapping[str, Any]) -> list[Diagnostic]:
    """Everything of `graph` that has no C code, at once."""
    from edgec.backends.c.design import unsupported as missing
    from edgec.backends.c.fold import folded

    return missing(folded(graph))
