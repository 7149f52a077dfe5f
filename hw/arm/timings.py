"""Cycles of Cortex-M4 code by the table of its manual: one instruction after the other, nothing in parallel.

LLVM's model of this core overlaps what the core does not: a double load takes one cycle there, and so does a branch
that is taken. Source: Arm Cortex-M4 Technical Reference Manual (DDI 0439), instruction set summary and load/store
timings. Memory has no wait states; a division, whose time depends on the numbers, is taken at the middle of its range,
and so is the refilling of the pipeline behind a branch. Words across the bounds of words would take another cycle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

REFILL = 2
"""Cycles behind a branch that is taken, of 1 to 3."""
DIVISION = 7
"""Of 2 to 12."""
CONDITION = "(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
BRANCH = re.compile(f"(b|bl|bx|blx){CONDITION}|cbn?z")
SEVERAL = re.compile("v?(ldm|stm|push|pop)")
FUSED = re.compile("v(fn?m|n?ml)[as]")


def m4_cycles(lines: Sequence[str]) -> float:
    """Cycles of a basic block; the branch at its end is taken."""
    total, after = 0, ""
    for line in lines:
        name, _, operands = line.partition("\t")
        name = name.split(".")[0]
        total += _one(name, operands, after)
        after = name
    return float(total)


def _one(name: str, operands: str, after: str) -> int:
    jumps = name.startswith(("pop", "ldr", "ldm", "mov")) and re.search(r"\bpc\b", operands.split("[")[0])
    refill = REFILL if jumps else 0
    if BRANCH.fullmatch(name):
        return 1 + REFILL
    if name in ("tbb", "tbh"):
        return 2 + REFILL
    if SEVERAL.match(name):
        registers = re.findall(r"\b(?:[rsd]\d+|sb|sl|fp|ip|sp|lr|pc)\b", operands[operands.find("{") :])
        return 1 + sum(2 if r.startswith("d") else 1 for r in registers) + refill
    if name.startswith(("ldrd", "strd")):
        return 3
    if name.startswith(("vldr", "vstr")):
        return 3 if operands.startswith("d") else 2
    if name.startswith("ldr"):  # the address of a load overlaps with the data of the access before it
        return (1 if _single(after) else 2) + refill
    if name.startswith(("sdiv", "udiv")):
        return DIVISION
    if name.startswith(("vdiv", "vsqrt")):
        return 14
    if FUSED.match(name):
        return 3
    return 1 + refill


def _single(name: str) -> bool:
    return name.startswith(("ldr", "str")) and not name.startswith(("ldrd", "strd"))
