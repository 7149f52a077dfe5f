"""The parts of a top module that a report has rows for: layer modules, registers of a stage, register banks.

A part stands for a kernel of the build's estimate, so that both can be put side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgec.hw.synth.flipflops import state_class
from edgec.hw.synth.netlist import Netlist

REST = "rest of the top module"
_STAGE = re.compile(r"^r_(?:valid(\d+)|.*_s(\d+))")


@dataclass
class Part:
    """Instances of the top module that make up one kernel; `own` when the top's own cells belong to it."""

    name: str
    layers: tuple[str, ...]
    estimate: Mapping[str, Any] | None
    instances: dict[str, str] = field(default_factory=dict)
    own: bool = False


def split(netlist: Netlist, kernels: Iterable[Mapping[str, Any]]) -> list[Part]:
    """The parts of a design whose estimate lists `kernels` (as in a manifest), in their order; the rest last."""
    parts = {k["name"]: Part(k["name"], tuple(k["layers"]), k) for k in kernels}
    rest = Part(REST, (), None, own=True)
    for instance, module in sorted(netlist.instances(netlist.top).items()):
        name = kernel_name(instance, netlist.base[module], parts)
        (parts[name] if name is not None else rest).instances[instance] = module
    return [*parts.values(), rest]


def kernel_name(instance: str, base: str, names: Mapping[str, Any]) -> str | None:
    """The kernel to which an instance of a module belongs: by name, or as a register of a stage, or as a bank."""
    if base in names:
        return base
    if state_class((instance,), (base,)) == "weight":
        return "register_bank" if "register_bank" in names else None
    found = _STAGE.match(instance)
    if found is not None:
        name = f"stage_{found[1] or found[2]}_registers"
        return name if name in names else None
    return None
