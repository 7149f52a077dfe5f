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
from typing import TYPE_CHECKING, Any

from edgec.diagnostics import EdgecError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgec.graph import Graph
    from edgec.ops import Op

AND, XOR, MUX, AO22, MAJORITY, HALF_ADDER, FULL_ADDER, INVERTER, TABLE = range(9)
"""Kinds of gates in a `GateNetlist`; operands of MUX: select, high, low; of AO22: a, b, c, d of a b or c d; TABLE is a
MUX that is a node of a look-up table, which synthesis makes other gates of."""


@dataclass(frozen=True, eq=False)
class GateNetlist:
    """Combinational cells on one-bit nets, in any order. Net 0 is the constant 0; a literal is 2 * net + inverted.

    `inputs` are nets, `outputs` literals, in the order of the circuit's ports, lowest bit first. Gate i is of
    `kinds[i]`, reads the literals `operands[i]` [4] and drives the nets `results[i]` [2] (sum and carry of adders; -1:
    none). `children` are netlists inside this one: each with the literals that it reads and the nets that it drives.
    """

    nets: int
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    kinds: NDArray[np.int8]
    operands: NDArray[np.int64]
    results: NDArray[np.int64]
    children: tuple[tuple[GateNetlist, NDArray[np.int64], NDArray[np.int64]], ...] = ()


@dataclass(frozen=True, eq=False)
class Logic:
    """What stands behind a kernel's counts: `gates` makes its netlist when asked, `reads` are the tensors on its inputs
    with the bits of one element, in order; `writes` the same for its outputs. Constants among `reads` hold still."""

    gates: Callable[[], GateNetlist]
    reads: tuple[tuple[Op, int], ...]
    writes: tuple[tuple[Op, int], ...]


@dataclass(frozen=True)
class Kernel:
    """One scheduled piece of hardware or code with its own cost record; `hw` prices exactly this.

    `cells` counts circuit elements (`full_adder`, `half_adder`, `and2`, `or2`, `xor2`, `inv`, `mux2`,
    `dff`, `dff_enable`, ...); `state` the flip-flops by class (`weight`, `data`, `control`). `cycles` is the
    latency this kernel adds; `path` the cells on its longest combinational path in order of kind -> count.
    `activations` is how often its inputs change in one inference (more than once where it is used again and again);
    `constant`: its logic is a network of constant weights. `logic` is the netlist itself, where it is known.
    `memory` counts bits of `rom` and `sram`, `accesses` the bits that are read or written in one inference, `work` the
    operations of code by kind (`mac_i8`, `element`, ...).
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
    activations: float = 1.0
    constant: bool = False
    memory: Mapping[str, int] = field(default_factory=dict)
    accesses: Mapping[str, float] = field(default_factory=dict)
    work: Mapping[str, float] = field(default_factory=dict)
    logic: Logic | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class BuildPlan:
    """Files (relative path -> bytes), what is needed to use them, and what they cost.

    `interface` is plain data for the manifest: ports, layout of inputs and outputs on them, latency, initiation
    interval, register map, probes of inner layers. `network_id` identifies the structure without the weights. `graph`
    is what was scheduled; the `logic` of kernels speaks of its ops. `tables` are rows of what the backend decided, for
    the report.
    """

    backend: str
    files: Mapping[str, bytes]
    kernels: tuple[Kernel, ...]
    interface: Mapping[str, Any]
    required_tools: tuple[str, ...] = ()
    network_id: str = ""
    graph: Graph | None = field(default=None, compare=False, repr=False)
    tables: Mapping[str, list[dict[str, object]]] = field(default_factory=dict)

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
