"""The yosys commands that map a design onto a library.

Modules stay apart: one neuron is mapped once however many instances it has, and copies of a register that are there
for safety are not merged. Only vectors of adder cells dissolve into what uses them. Logic is mapped for area without
sizing or buffering; the longest path is reported, not optimised.
"""

from __future__ import annotations

from collections.abc import Sequence

ADDER_VECTORS = ("edgec_fa", "edgec_ha", "edgec_ha1", "edgec_full_adder", "edgec_half_adder")
"""Modules that dissolve."""

ABC = "+strash;&get,-n;&dch,-f;&nf;&put;topo;stime,-p"
"""Technology mapping for area, with structural choices; the default script of yosys takes minutes on a neuron."""

ABC_GATES = "+strash;&get,-n;&nf;&put;topo;stime,-p"
"""Where adders are gates too: choices take twice the time on them, and more area."""

ABC_STATE = "+strash;dch;amap,-m;topo;stime,-p"
"""For modules with registers: this mapper finds the multiplexers of clock enables."""

DEFINES = ("EDGEC_CELLS", "EDGEC_LIBRARY_CELLS")


def synthesis_script(
    top: str, sources: Sequence[str], unwanted: Sequence[str], flip_flops: Sequence[str], adders: bool
) -> list[str]:
    """Commands, one a line; `unwanted` and `flip_flops` are cells of the library; `adders`: it has full adders.

    Files stand in the working folder: `library.lib`, `adders.v`, the `sources`."""
    avoid = "".join(f" -dont_use {name}" for name in unwanted)
    defines = " ".join(f"-D {name}" for name in DEFINES)
    dissolve = " ".join(f"={name} =$paramod\\{name}\\* =$paramod$*\\{name}" for name in ADDER_VECTORS)
    return [
        "read_liberty -lib -ignore_miss_func library.lib",
        f"read_verilog -sv {defines} {' '.join(sources)} adders.v",
        f"hierarchy -check -top {top}",
        "setattr -mod -set keep_hierarchy 1 *",
        f"setattr -mod -unset keep_hierarchy {dissolve}",
        "proc",
        "flatten",
        f"synth -top {top} -run begin:fine -nofsm -noshare",
        f"synth -top {top} -run fine:check -noabc",
        "setundef -zero",
        f"dfflibmap{avoid} -liberty library.lib",
        f"select -set state {' '.join(f't:{name}' for name in flip_flops)} %m",
        "select -set logic * @state %d",
        f"abc{avoid} -liberty library.lib -script {ABC if adders else ABC_GATES} @logic",
        f"abc{avoid} -liberty library.lib -script {ABC_STATE} @state",
        "opt_clean -purge",
        "check -mapped -assert",
        "setattr -unset src *",
        "setattr -mod -unset src *",
        "write_json netlist.json",
        "write_verilog -noattr -noexpr netlist.v",
    ]
