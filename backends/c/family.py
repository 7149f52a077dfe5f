"""The families of vector instructions that convolutions of 8-bit integers are written for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgec.backends.c.constants import Constants
from edgec.backends.c.dot import steps as dot
from edgec.backends.c.int8.match import ByteLayer
from edgec.backends.c.neon import steps as neon
from edgec.backends.c.view import View


@dataclass(frozen=True)
class Family:
    """`guard`: the end of the macro that says whether the instructions exist, which `condition` of the preprocessor
    decides; `body` writes the statements of a step, and `workspace` says how many bytes they need."""

    guard: str
    condition: str
    body: Callable[[ByteLayer, View, View, Constants, str, int], list[str]]
    workspace: Callable[[ByteLayer, View], int]


FAMILIES: Mapping[str, Family] = {
    "dotprod": Family("DOT", "defined(__ARM_NEON) && defined(__ARM_FEATURE_DOTPROD)", dot.body, dot.workspace),
    "neon": Family("NEON", "defined(__ARM_NEON) && defined(__aarch64__)", neon.body, neon.workspace),
}
"""By the option of a target, the better one first."""


def family_of(options: Mapping[str, Any]) -> Family | None:
    """The best family that a target's options have."""
    return next((family for option, family in FAMILIES.items() if options.get(option)), None)
