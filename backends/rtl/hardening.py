"""Hardened registers in the RTL: which primitive stands for a style, which weight bits are protected, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgec.backends.rtl.bank import Entry
from edgec.diagnostics import EdgecError
from edgec.hardening import (
    CLASSES,
    COPIES,
    FULL_TMR_SCRUB,
    NONE,
    REGISTER_TMR,
    Hardening,
    extra_gate_equivalents,
    parse_hardening,
    register_cells,
)
from edgec.ranking import Ranking
from edgec.target import Target

REGISTERS = {NONE: "edgec_register", REGISTER_TMR: "edgec_register_tmr", FULL_TMR_SCRUB: "edgec_register_scrub"}
"""Modules with the same parameters and ports."""
BANK_STYLES = {NONE: 0, REGISTER_TMR: 1, FULL_TMR_SCRUB: 2}


def hardening_of(options: Mapping[str, Any], loaded: bool) -> Hardening:
    """The hardening that `options["harden"]` asks for; E0204 where it cannot be."""
    hardening = parse_hardening(options.get("harden"))
    hardening.check(loaded)
    if hardening.budget is not None and options.get("ranking") is None:
        raise EdgecError("E0204", f"harden: budget={hardening.budget}", why="it needs a ranking of the weight bits")
    return hardening


def bank_positions(entries: Sequence[Entry]) -> np.ndarray:
    """Positions of all weight bits in the bank (32 * word address + bit), in its order."""
    parts = [32 * e.address + np.arange(e.bits, dtype=np.int64) for e in entries]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def protection(
    hardening: Hardening, entries: Sequence[Entry], ranking: Ranking | None, network_id: str, target: Target
) -> dict[Entry, np.ndarray]:
    """For every entry of the bank which of its bits are protected, [bits] of bool."""
    if hardening.weight == NONE or hardening.budget is None:
        return {e: np.full(e.bits, hardening.weight != NONE) for e in entries}
    assert ranking is not None, "checked by hardening_of"
    positions = bank_positions(entries)
    ranking.check(network_id, positions)
    sizes = {kind: target.constant(f"ge.{kind}").nominal for kind in ("dff", "dff_enable", "voter")}
    count = hardening.budget.bits(positions.size, extra_gate_equivalents(hardening.weight, sizes))
    chosen = np.zeros(32 * (entries[-1].address + entries[-1].words), bool)
    chosen[ranking.positions[:count]] = True
    return {e: chosen[32 * e.address : 32 * e.address + e.bits] for e in entries}


def bits_literal(mask: np.ndarray) -> str:
    """A mask as a Verilog number, bit 0 lowest."""
    return f"{mask.size}'h{mask_hex(mask)}"


def mask_hex(mask: np.ndarray) -> str:
    value = int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")
    return f"{value:0{-(-mask.size // 4)}x}"


def bank_parameters(style: str, mask: np.ndarray) -> str:
    """The parameters of an `edgec_bank` beyond its size; none where nothing is protected."""
    if not mask.any():
        return ""
    text = f", .STYLE({BANK_STYLES[style]})"
    return text if mask.all() else f"{text}, .PROTECT({bits_literal(mask)})"


KIND = {"weight": "dff_enable", "data": "dff_enable", "control": "dff_reset"}
"""The plain flip-flop of every class."""


def state_cells(registers: Sequence[Mapping[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
    """Cells of some registers of the top, and their flip-flops by class."""
    cells: Counter[str] = Counter()
    state: Counter[str] = Counter()
    for register in registers:
        protected, kind = protected_bits(register), KIND[register["class"]]
        cells.update(register_cells(register["style"], kind, protected))
        cells.update(register_cells(NONE, kind, register["bits"] - protected))
        state[register["class"]] += flip_flops(register)
    return dict(cells), dict(state)


def protected_bits(register: Mapping[str, Any]) -> int:
    """How many bits of a register are protected."""
    if register["style"] == NONE:
        return 0
    return int(register["protect"], 16).bit_count() if "protect" in register else register["bits"]


def flip_flops(register: Mapping[str, Any]) -> int:
    """How many flip-flops a register has."""
    protected = protected_bits(register)
    return register["bits"] - protected + COPIES[register["style"]] * protected


def state_counts(registers: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """By class the bits and how many of them are protected."""
    return {
        name: (
            sum(r["bits"] for r in registers if r["class"] == name),
            sum(protected_bits(r) for r in registers if r["class"] == name),
        )
        for name in CLASSES
    }
