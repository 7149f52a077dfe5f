"""The families of vector code, and which of them does a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from edgec.backends.c.constants import Constants
from edgec.backends.c.dot import steps as dot
from edgec.backends.c.dsp import steps as dsp
from edgec.backends.c.fp16 import match as fp16_match
from edgec.backends.c.fp16 import steps as fp16
from edgec.backends.c.fp32 import match as fp32_match
from edgec.backends.c.fp32 import matmul as fp32_matmul
from edgec.backends.c.fp32 import recurrent as fp32_recurrent
from edgec.backends.c.fp32 import steps as fp32
from edgec.backends.c.fp32 import sums as fp32_sums
from edgec.backends.c.fp32 import transposed as fp32_transposed
from edgec.backends.c.i8mm import steps as i8mm
from edgec.backends.c.int8 import match as int8_match
from edgec.backends.c.int8 import sums as int8_sums
from edgec.backends.c.int16 import match as int16_match
from edgec.backends.c.int16 import steps as int16
from edgec.backends.c.lowbit import binary
from edgec.backends.c.lowbit import steps as bits
from edgec.backends.c.mcu import match as mcu_match
from edgec.backends.c.mve import steps as mve
from edgec.backends.c.neon import steps as neon
from edgec.backends.c.vector.layer import Layer
from edgec.backends.c.vector.order import Order, decided
from edgec.backends.c.view import View
from edgec.ops import Add, Cast, ConvTranspose, Gru, Lstm, MatMul, Mul, Op, Requantize, Rnn, Sub


@dataclass(frozen=True)
class Family:
    """`options`: those of a target that has the instructions, one of them; `guard`: the end of the macro that says
    whether the compiler has them, which `condition` of the preprocessor decides.

    `match` makes the layer of a step's ops where the family can do it, `body` writes its statements, and `workspace`
    says how many bytes they need. `orders`: how Winograd's method could do a layer, where the family has it."""

    options: tuple[str, ...]
    guard: str
    condition: str
    match: Callable[[tuple[Op, ...]], Layer | None]
    body: Callable[[Any, View, View, Constants, str, int], list[str]]
    workspace: Callable[[Any, View], int]
    orders: Callable[[Any], tuple[Order, ...]] = lambda layer: ()
    narrowed: Callable[[Any], tuple[Layer, int] | None] = lambda layer: None
    """The layer with weights that are stored in fewer bytes and expanded in every inference, and how many fewer."""
    header: str = "arm_neon.h"
    """What the code includes."""
    others: Mapping[type[Op], Any] = field(default_factory=dict)
    """First ops of steps that are no such layers, and the modules that do them: `can(ops)` says whether for the ops of
    a step, `suits(ops, views)` whether for tensors that lie so, `room(ops, views)` how many elements of scratch memory
    it takes, and `body(writer)` writes the statements."""
    packs: bool = False
    """Whether it takes its operand as it lies and packs it itself."""
    codes: bool = False
    """Whether its tiles can have weights that are stored as codes."""


_BYTES = partial(int8_match.matched, even=True, grouped=True, exact=True)
_DOT = "defined(__ARM_NEON) && defined(__ARM_FEATURE_DOTPROD)"
_NEON = "defined(__ARM_NEON) && defined(__aarch64__)"
_FML = "defined(__ARM_NEON) && defined(__ARM_FEATURE_FP16_FML)"
_I8MM = "defined(__ARM_NEON) && defined(__ARM_FEATURE_MATMUL_INT8)"
_DSP = "defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN)"
_MVE = "defined(__ARM_FEATURE_MVE) && !defined(__ARM_BIG_ENDIAN)"
_FLOATS = {
    ConvTranspose: fp32_transposed, MatMul: fp32_matmul,
    Rnn: fp32_recurrent, Gru: fp32_recurrent, Lstm: fp32_recurrent,
    Add: fp32_sums, Sub: fp32_sums, Mul: fp32_sums,
}  # fmt: skip
_SUMS: dict[type[Op], Any] = dict.fromkeys((Add, Sub, Requantize, Cast), int8_sums)
FAMILIES = (
    Family(("i8mm",), "I8MM", _I8MM, i8mm.matched, i8mm.body, i8mm.workspace),
    Family(("dotprod",), "DOT", _DOT, _BYTES, dot.body, dot.workspace, codes=True),
    Family(("neon",), "NEON", _NEON, _BYTES, neon.body, neon.workspace, neon.orders, codes=True),
    Family(("dsp",), "DSP", _DSP, mcu_match.without_halo, dsp.body, dsp.workspace, header="arm_acle.h"),
    Family(("mve",), "MVE", _MVE, mcu_match.matched, mve.body, mve.workspace, header="arm_mve.h"),
    Family(("neon", "dotprod"), "NEON", _NEON, binary.matched, bits.body, bits.workspace, packs=True),
    Family(("neon", "dotprod"), "NEON", _NEON, int16_match.matched, int16.body, int16.workspace, others=_SUMS),
    Family(("fp16fml",), "FML", _FML, fp16.matched_long, fp16.body_long, fp16.workspace, fp16.orders),
    Family(("neon", "dotprod"), "NEON", _NEON, fp16_match.matched, fp16.body, fp16.workspace, fp16.orders),
    Family(
        ("neon", "dotprod"),
        "NEON",
        _NEON,
        fp32_match.matched,
        fp32.body,
        fp32.workspace,
        fp32.orders,
        fp32.narrowed,
        others=_FLOATS,
    ),
)
"""The first that can do a step does it."""


def families_of(options: Mapping[str, Any]) -> tuple[Family, ...]:
    """The families whose instructions a target has, by its options."""
    return tuple(family for family in FAMILIES if any(options.get(option) for option in family.options))


def other(families: Sequence[Family], ops: tuple[Op, ...]) -> Family | None:
    """The family that does a step which is no convolution or dense layer."""
    first = type(ops[0])
    return next((f for f in families if first in f.others and f.others[first].can(ops)), None)


def matched(families: Sequence[Family], ops: tuple[Op, ...]) -> tuple[Family, Layer] | None:
    """The family that does a step, and the layer as it sees it."""
    for family in families:
        if (layer := family.match(ops)) is not None:
            return family, layer
    return None


def sized(chosen: Mapping[Op, tuple[Family, Layer]], winograd: str, space: float) -> dict[Op, tuple[Family, Layer]]:
    """The layers of steps with the weights that they store: `space` is the bytes that these may add to the packed ones,
    and below 0 where the model is larger than it may be. `winograd` is one of `edgec.options.WINOGRAD`."""
    orders = decided({op: family.orders(layer) for op, (family, layer) in chosen.items()}, winograd, space)
    found = {op: (f, replace(layer, winograd=orders.get(op))) for op, (f, layer) in chosen.items()}
    for op, (family, layer) in found.items():
        if space < 0 and (smaller := family.narrowed(layer)) is not None:
            found[op] = family, smaller[0]
            space += smaller[1]
    return found
