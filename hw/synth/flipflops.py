"""Flip-flops of a mapped netlist by class: weights, data, control.

The class follows from the hardware that holds the state: everything in a register bank is a weight, registers of
the valid chain are control, all other registers hold data. A copy or a voter inside a module belongs to its module.
"""

from __future__ import annotations

from collections import Counter

from edgec.hw.synth.libraries import SynthesisLibrary
from edgec.hw.synth.netlist import Netlist

CLASSES = ("weight", "data", "control")


def state_class(path: tuple[str, ...], bases: tuple[str, ...]) -> str:
    """The class of state below the instances `path` of modules `bases`."""
    if any("bank" in base for base in bases if base.startswith("edgec_")):
        return "weight"
    if any(name.startswith("r_valid") for name in path):
        return "control"
    return "data"


def count_by_class(netlist: Netlist, library: SynthesisLibrary, module: str, path: tuple[str, ...]) -> Counter[str]:
    """Flip-flops of one instance (`path` from the top) of `module` and everything below it, by class."""
    result: Counter[str] = Counter()
    bases = (netlist.base[module],)

    def visit(name: str, where: tuple[str, ...], above: tuple[str, ...]) -> None:
        for kind, count in netlist.cells(name).items():
            if kind not in netlist.modules and library.is_flip_flop(kind):
                result[state_class(where, above)] += count
        for instance, kind in netlist.instances(name).items():
            visit(kind, (*where, instance), (*above, netlist.base[kind]))

    if any(library.is_flip_flop(kind) for kind in netlist.total(module)):
        visit(module, path, bases)
    return result
