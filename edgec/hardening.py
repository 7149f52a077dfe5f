"""Radiation hardening: which class of flip-flops is triplicated in which style, and how much of the weights.

    weight=full-tmr-scrub,data=register-tmr,control=register-tmr,budget=20%

Classes: `weight` (the register bank), `data` (stage registers), `control` (the chain of valid bits). A style alone
holds for all classes; `full` is the line above without its budget; later items win. docs/hardening.md has the styles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgec.diagnostics import EdgecError, nearest

CLASSES = ("weight", "data", "control")
NONE, REGISTER_TMR, FULL_TMR_SCRUB = STYLES = ("none", "register-tmr", "full-tmr-scrub")
SHORT = {"tmr": REGISTER_TMR, "scrub": FULL_TMR_SCRUB}
FULL = {"weight": FULL_TMR_SCRUB, "data": REGISTER_TMR, "control": REGISTER_TMR}
"""The scheme of the published chip (arXiv 2105.01683): self-correcting weights, one voter behind streaming state."""
UNITS = ("%", "kGE", "bits")


@dataclass(frozen=True)
class Budget:
    """How much of the weights is protected: `amount` % of the bits, kGE of additional area, or bits."""

    amount: float
    unit: str

    def __str__(self) -> str:
        return f"{self.amount:g}{self.unit}"

    def bits(self, total: int, gate_equivalents: float) -> int:
        """Bits of `total` that may be protected when each costs `gate_equivalents` more than an unprotected one."""
        allowed = {
            "%": total * self.amount / 100,
            "kGE": 1e3 * self.amount / gate_equivalents,
            "bits": self.amount,
        }[self.unit]
        return min(total, int(allowed + 1e-9))


@dataclass(frozen=True)
class Hardening:
    """A style for every class. `explicit` are the classes that were named one by one."""

    weight: str = NONE
    data: str = NONE
    control: str = NONE
    budget: Budget | None = None
    explicit: frozenset[str] = frozenset()

    def style(self, name: str) -> str:
        return {"weight": self.weight, "data": self.data, "control": self.control}[name]

    def __bool__(self) -> bool:
        return any(self.style(c) != NONE for c in CLASSES)

    def __str__(self) -> str:
        parts = [f"{c}={self.style(c)}" for c in CLASSES]
        return ",".join(parts + ([f"budget={self.budget}"] if self.budget else []))

    def check(self, loaded: bool) -> None:
        """E0204 when weights are to be hardened by name in a design whose weights are constants."""
        if loaded or self.weight == NONE:
            return
        if "weight" in self.explicit or self.budget is not None:
            why = "with --weights fixed the weights are wiring: there is no flip-flop to protect"
            raise EdgecError("E0204", f"harden: weight={self.weight}", why=why, remedy="--weights loaded")


def parse_hardening(text: str | None) -> Hardening:
    """`text` as on the command line; E0204 names what it does not know. A budget alone is one for scrubbed weights."""
    if text is None:
        return Hardening()
    result = Hardening()
    for item in (part.strip() for part in text.split(",")):
        key, separator, value = (part.strip() for part in item.partition("="))
        if not separator:
            chosen = FULL if key == "full" else dict.fromkeys(CLASSES, _style(key, whole=True))
            result = replace(result, **chosen)
        elif key == "budget":
            result = replace(result, budget=_budget(value))
        elif key in CLASSES:
            result = replace(result, **{key: _style(value)}, explicit=result.explicit | {key})
        else:
            raise _unknown(f"class {key!r}", key, (*CLASSES, "budget"))
    if result == replace(Hardening(), budget=result.budget) and result.budget is not None:
        result = replace(result, weight=FULL["weight"])
    if result.budget is not None and result.weight == NONE:
        raise EdgecError("E0204", f"harden: budget={result.budget}", why="a budget is for hardened weights")
    return result


def _style(text: str, *, whole: bool = False) -> str:
    style = SHORT.get(text, text)
    if style not in STYLES:
        raise _unknown(f"style {text!r}", text, (*STYLES, *SHORT, *(("full",) if whole else ())))
    return style


def _budget(text: str) -> Budget:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|kGE|bits)", text)
    if match is None:
        why = "a number and its unit: 20% (of the weight bits), 50kGE (of additional area) or 2500bits"
        raise EdgecError("E0204", f"harden: budget={text!r}", why=why)
    amount = float(match[1])
    if match[2] == "%" and amount > 100:
        raise EdgecError("E0204", f"harden: budget={text}", why="more than all weight bits")
    return Budget(amount, match[2])


def _unknown(what: str, name: str, known: tuple[str, ...]) -> EdgecError:
    longer = [k for k in known if name and k.startswith(name)]
    remedy = f"did you mean {min(longer, key=len)!r}?" if longer else nearest(name, known)
    return EdgecError("E0204", f"harden: unknown {what}", remedy=remedy)


COPIES = {NONE: 1, REGISTER_TMR: 3, FULL_TMR_SCRUB: 3}
"""Flip-flops a bit."""


def register_cells(style: str, kind: str, bits: int) -> dict[str, int]:
    """Cells of `bits` bits of register in `style`, by the names of the target files.

    `kind` is the plain flip-flop: `dff`, `dff_enable`, `dff_reset` or `dff_enable_reset`. register-tmr decides once
    what comes next, for three flip-flops; full-tmr-scrub decides three times, and votes three times.
    """
    if not bits:
        return {}
    match style:
        case "register-tmr":
            return _sum({kind: bits}, {"dff": 2 * bits}, {"voter": bits})
        case "full-tmr-scrub":
            return {kind: 3 * bits, "voter": 3 * bits}
    return {kind: bits}


def _sum(*parts: Mapping[str, int]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total


def extra_gate_equivalents(style: str, ge: Mapping[str, float], kind: str = "dff_enable") -> float:
    """What one protected bit costs more than a plain one; `ge` are sizes by cell name."""
    return sum(ge[c] * n for c, n in register_cells(style, kind, 1).items()) - ge[kind]


def describe(hardening: Hardening, counts: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """For the manifest: by class the style, the bits, how many of them are protected, and the flip-flops.

    `counts`: class -> (bits, protected bits).
    """
    classes = {}
    for name in CLASSES:
        bits, protected = counts[name]
        style = hardening.style(name) if protected else NONE
        flops = bits - protected + protected * COPIES[style]
        classes[name] = {"style": style, "bits": bits, "protected_bits": protected, "flip_flops": flops}
    return {"budget": str(hardening.budget) if hardening.budget else None, "classes": classes}
