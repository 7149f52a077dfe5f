"""The RTL backend: an integer graph to a spatial SystemVerilog pipeline with every adder counted.

One frame enters every clock cycle; every computing layer is one pipeline stage. See docs/rtl.md.
"""

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
    """The build plan of `graph`.

    Options: `name`, `weights` (fixed or loaded), `constant_sharing`, `clock_mhz`, `max_area_kge`."""
    if options.get("mode") == "folded":
        from edgec.backends.rtl.folded.design import make_plan as make_folded

        return make_folded(graph, target, options)
    from edgec.backends.rtl.design import make_plan

    return make_plan(graph, target, options)


def simulation_files(
    built: BuildPlan, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Test bench and Verilator library for `sim/`, and what the manifest says of them."""
    if built.interface.get("mode") == "folded":
        from edgec.backends.rtl.folded.testbench import simulation_files as stream_files

        return stream_files(built.interface, inputs, outputs)
    from edgec.backends.rtl.testbench import simulation_files as files

    return files(built.interface, built.files, built.network_id, inputs, outputs)


def unsupported(graph: Graph, target: Target, options: Mapping[str, Any]) -> list[Diagnostic]:
    """Everything of `graph` that the backend cannot build, at once."""
    if options.get("mode") == "folded":
        from edgec.backends.rtl.folded import support as folded

        return folded.unsupported(graph, options)
    from edgec.backends.rtl import support

    return support.unsupported(graph, options.get("weights") == "loaded")
