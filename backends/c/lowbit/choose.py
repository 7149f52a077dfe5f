"""Which layers keep their weights as packed codes: the bytes that this saves against the cycles that it costs.

Both forms of every layer are scheduled and written, so that the bytes are those of the arrays in the sources, and the
cycles those of the work that the estimate prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgec.backends.c.constants import Constants
from edgec.backends.c.emit import function
from edgec.backends.c.family import Family, matched
from edgec.backends.c.lowbit.decode import book_of
from edgec.backends.c.mac_weights import codes_of
from edgec.backends.c.schedule import Schedule, Step, scheduled
from edgec.backends.c.work import work
from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, Op

if TYPE_CHECKING:
    from edgec.target import Target

Want = Literal["auto", "size", "speed", "none"]
BITS = "activations are single bits: exclusive or and count"
LEAST_BYTES = 64
"""What has to be saved, since reading codes takes some machine code."""
MORE_CYCLES = 0.1
"""The share of its cycles that a layer may take longer for smaller weights under `auto`."""


@dataclass(frozen=True)
class Form:
    """Bytes of constants of a layer's step, and its cycles where the target has prices."""

    bytes: int
    cycles: float | None


@dataclass(frozen=True)
class Choice:
    """What was decided for a layer, and why."""

    op: Op
    packed: bool
    row: dict[str, object]


def choices(
    graph: Graph, name: str, families: Sequence[Family], how: tuple[str, str, int], target: Target | None, want: Want
) -> list[Choice]:
    """One for every layer of constant integer weights; none where no layer has so few different weights, or with
    `none`. `how` are the precision of functions, where transformed weights are and the number of threads, as in
    `scheduled`."""
    if want == "none":
        return []
    plain = scheduled(graph, name, families, *how)
    layers = {s: reason(s.ops, families) for s in plain.steps if _weighted(s.ops[0])}
    able = {s.ops[0] for s, why in layers.items() if why is None}
    if not able and BITS not in layers.values():
        return []
    packed = scheduled(graph, name, families, *how, able)
    small = {s.ops[0]: s for s in packed.steps}
    found = []
    for step, why in layers.items():
        op = step.ops[0]
        if why is BITS:
            found.append(Choice(op, False, _row(step, "single bits", why, None, measured(plain, step, target))))
            continue
        if why is not None:
            found.append(Choice(op, False, _row(step, "bytes", why)))
            continue
        forms = measured(plain, step, target), measured(packed, small[op], target)
        take, why = decided(*forms, want)
        book = codes_of(op)
        assert book is not None
        label = f"{book.width}-bit codes" if take else "bytes"
        found.append(Choice(op, take, _row(step, label, why, *forms)))
    return found


def decided(plain: Form, packed: Form, want: Want) -> tuple[bool, str]:
    """Whether codes are taken, and why."""
    saved = plain.bytes - packed.bytes
    if saved < LEAST_BYTES:
        return False, f"codes and their table save no {LEAST_BYTES} B"
    if want == "size":
        return True, f"{saved} B less"
    if plain.cycles is None or packed.cycles is None:
        return False, f"{saved} B more; this target has no prices to weigh them against cycles"
    more = packed.cycles / plain.cycles - 1 if plain.cycles else 0.0
    share = f"{abs(more):.1%} {'more' if more >= 0 else 'fewer'} cycles"
    most = 0.0 if want == "speed" else MORE_CYCLES
    why = f"{share} for {saved} B less"
    return more <= most, why if more <= most else f"{why}, {most:.0%} at most"


def reason(ops: tuple[Op, ...], families: Sequence[Family]) -> str | None:
    """What keeps the weights of a layer from being codes, None for nothing."""
    if codes_of(ops[0]) is None:
        return "more than 16 different weights"
    found = matched(families, ops)
    if found is None:
        return None
    family, layer = found
    if family.packs:
        return BITS
    if layer.depthwise:
        return "its vector code reads bytes"
    coded = matched([f for f in families if f.codes], ops)
    if coded is not None and book_of(coded[1]) is None:
        return "16 different weights, none of them the 0 that stands behind runs that fill no vector"
    return None


def measured(schedule: Schedule, step: Step, target: Target | None) -> Form:
    """A step as it was scheduled."""
    constants = Constants("net")
    function(schedule, step, constants, "net")
    guards = [f"NET_{family.guard}" for family in schedule.families]
    return Form(constants.bytes(guards), _priced(work(schedule, step), target))


def _priced(counts: Mapping[str, float], target: Target | None) -> float | None:
    if target is None or any(f"cycles.{kind}" not in target.constants for kind in counts):
        return None
    return sum(target.constants[f"cycles.{kind}"].nominal * count for kind, count in counts.items())


def _weighted(op: Op) -> bool:
    return isinstance(op, Conv | Dense) and isinstance(op.w, Constant) and not op.w.format.is_float


def _row(step: Step, form: str, why: str, plain: Form | None = None, packed: Form | None = None) -> dict[str, object]:
    layers = dict.fromkeys(n for op in step.ops for n in op.loc)
    row: dict[str, object] = {"layer": ", ".join(layers) or step.result.label, "weights": form}
    for label, found in (("as bytes", plain), ("as codes", packed)):
        row[f"B {label}"] = None if found is None else found.bytes
        row[f"cycles {label}"] = None if found is None or found.cycles is None else round(found.cycles)
    return row | {"why": why}
