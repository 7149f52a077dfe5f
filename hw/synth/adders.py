"""The library's adders in the place of `edgec_full_adder` and `edgec_half_adder`, as Verilog.

Adders stay cells through the whole flow: mapping them as logic would tear the compressor trees apart. A library
without an adder cell gets the gates, which then are logic like any other.
"""

from __future__ import annotations

from edgec.hw.synth.libraries import SynthesisLibrary

XOR3, MAJORITY, XOR2, AND2 = 0b10010110, 0b11101000, 0b0110, 0b1000

_FULL_GATES = "assign s = a ^ b ^ ci;\n  assign co = (a & b) | (ci & (a ^ b));"
_HALF_GATES = "assign s = a ^ b;\n  assign co = a & b;"


def adder_cells(library: SynthesisLibrary) -> dict[str, str]:
    """`full_adder` and `half_adder` -> the library's cell, where it has one."""
    found = {
        "full_adder": library.smallest(3, (XOR3, MAJORITY)),
        "half_adder": library.smallest(2, (XOR2, AND2)),
    }
    return {kind: cell[0].name for kind, cell in found.items() if cell is not None}


def adder_modules(library: SynthesisLibrary) -> str:
    """Verilog of the two adder modules."""
    full, half = library.smallest(3, (XOR3, MAJORITY)), library.smallest(2, (XOR2, AND2))
    full_body = half_body = ""
    if full is not None:
        cell, (s, co) = full
        pins = zip((*cell.inputs, s, co), ("a", "b", "ci", "s", "co"), strict=True)
        full_body = f"{escaped(cell.name)} adder ({', '.join(f'.{escaped(p)}({n})' for p, n in pins)});"
    if half is not None:
        cell, (s, co) = half
        pins = zip((*cell.inputs, s, co), ("a", "b", "s", "co"), strict=True)
        half_body = f"{escaped(cell.name)} adder ({', '.join(f'.{escaped(p)}({n})' for p, n in pins)});"
    return (
        "module edgec_full_adder (input wire a, input wire b, input wire ci, output wire s, output wire co);\n"
        f"  {full_body or _FULL_GATES}\nendmodule\n"
        "module edgec_half_adder (input wire a, input wire b, output wire s, output wire co);\n"
        f"  {half_body or _HALF_GATES}\nendmodule\n"
    )


def escaped(name: str) -> str:
    """A Verilog identifier, escaped where it must be."""
    return name if name.replace("_", "a").isalnum() and not name[0].isdigit() else f"\\{name} "
