"""What every backend returns: a build plan, files in memory with the cost of what was scheduled.

A backend is a package of `edgec.backends` with a function

    def plan(graph: Graph, target: Target, options: Mapping[str, Any]) -> BuildPlan

and is found by its folder name. Emitters touch no disk and start no tools.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edgec.diagnostics import EdgecError, nearest


@dataclass(frozen=True)
class Kernel:
    """One scheduled piece of hardware or code with its own cost record; `hw` prices exactly this.

    `cells` counts circuit elements (`full_adder`, `half_adder`, `and2`, `or2`, `xor2`, `inv`, `mux2`,
    `dff`, `dff_enable`, ...); `state` the flip-flops by class (`weight`, `data`, `control`). `cycles` is the
    latency this kernel adds; `path` the cells on its longest combinational path in order of kind -> count.
    """

    name: str
    layers: tuple[str, ...]
    op: str
    stage: int
    cycles: int
    macs: int = 0
    macs_nominal: int = 0
    cells: Mapping[str, int] = field(default_factory=dict)
    state: Mapping[str, int] = field(default_factory=dict)
    path: Mapping[str, int] = field(default_factory=dict)
    weight_bits: int = 0
    output_bits: int = 0


@dataclass(frozen=True)
class BuildPlan:
    """Files (relative path -> bytes), what is needed to use them, and what they cost.

    `interface` is plain data for the manifest: ports, layout of inputs and outputs on them, latency, initiation
    interval, register map, probes of inner layers. `network_id` identifies the structure without the weights.
    """

    backend: str
    files: Mapping[str, bytes]
    kernels: tuple[Kernel, ...]
    interface: Mapping[str, Any]
    required_tools: tuple[str, ...] = ()
    network_id: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and contents of all files."""
        h = hashlib.sha256()
        for name in sorted(self.files):
            h.update(f"{len(name)} {name} {len(self.files[name])}\n".encode())
            h.update(self.files[name])
        return h.hexdigest()


def backend_names() -> tuple[str, ...]:
    """All backends, by the folders of `edgec.backends`."""
    package = importlib.import_module("edgec.backends")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.ispkg))


def load_backend(name: str) -> Callable[..., BuildPlan]:
    """The `plan` function of backend `name`."""
    if name not in backend_names():
        raise EdgecError("E0206", f"the target asks for backend {name!r}", remedy=nearest(name, backend_names()))
    return importlib.import_module(f"edgec.backends.{name}").plan
