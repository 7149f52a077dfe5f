"""The families of vector code, and which of them does a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgec.backends.c.constants import Constants
from edgec.backends.c.dot import steps as dot
from edgec.backends.c.fp32 import match as fp32_match
from edgec.backends.c.fp32 import steps as fp32
from edgec.backends.c.fp32.recurrent import can as can_recur
from edgec.backends.c.int8 import match as int8_match
from edgec.backends.c.lowbit import binary
from edgec.backends.c.lowbit import steps as bits
from edgec.backends.c.neon import steps as neon
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.view import View
from edgec.ops import Gru, Lstm, Op, Rnn


@dataclass(frozen=True)
class Family:
    """`options`: those of a target that has the instructions, one of them; `guard`: the end of the macro that says
    whether the compiler has them, which `condition` of the preprocessor decides.

    `match` makes the layer of a step's ops where the family can do it, `body` writes its statements, and `workspace`
    says how many bytes they need."""

    options: tuple[str, ...]
    guard: str
    condition: str
    match: Callable[[tuple[Op, ...]], Layer | None]
    body: Callable[[Any, View, View, Constants, str, int], list[str]]
    workspace: Callable[[Any, View], int]
    recurrent: bool = False
    """Whether it does recurrent layers, too."""
    packs: bool = False
    """Whether it takes its operand as it lies and packs it itself."""
    codes: bool = False
    """Whether its tiles can have weights that are stored as codes."""


_DOT = "defined(__ARM_NEON) && defined(__ARM_FEATURE_DOTPROD)"
_NEON = "defined(__ARM_NEON) && defined(__aarch64__)"
FAMILIES = (
    Family(("dotprod",), "DOT", _DOT, int8_match.matched, dot.body, dot.workspace, codes=True),
    Family(("neon",), "NEON", _NEON, int8_match.matched, neon.body, neon.workspace, codes=True),
    Family(("neon", "dotprod"), "NEON", _NEON, binary.matched, bits.body, bits.workspace, packs=True),
    Family(("neon", "dotprod"), "NEON", _NEON, fp32_match.matched, fp32.body, fp32.workspace, recurrent=True),
)
"""The first that can do a step does it."""


def families_of(options: Mapping[str, Any]) -> tuple[Family, ...]:
    """The families whose instructions a target has, by its options."""
    return tuple(family for family in FAMILIES if any(options.get(option) for option in family.options))


def recurrent(families: Sequence[Family], op: Op) -> Family | None:
    """The family that does a recurrent layer."""
    if not isinstance(op, Rnn | Gru | Lstm) or not can_recur(op):
        return None
    return next((family for family in families if family.recurrent), None)


def matched(families: Sequence[Family], ops: tuple[Op, ...]) -> tuple[Family, Layer] | None:
    """The family that does a step, and the layer as it sees it."""
    for family in families:
        if (layer := family.match(ops)) is not None:
            return family, layer
    return None
