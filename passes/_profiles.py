"""Numeric profiles: the arithmetic of known chips, as tables of formats that a network must already have."""

from __future__ import annotations

from dataclasses import dataclass

from edgec.formats import Fixed, Format
from edgec.rounding import Rounding


@dataclass(frozen=True)
class LayerRule:
    """The stated arithmetic of one kind of layer: formats that are required, and the rounding of each product."""

    inputs: Format
    weights: Format
    product_frac: int
    rounding: Rounding
    result: Format


@dataclass(frozen=True)
class Profile:
    """Rules for convolutions and dense layers, and where they are from."""

    conv: LayerRule
    dense: LayerRule
    source: str


_WEIGHTS = Fixed(6, 1)
_PIXELS = Fixed(8, 1, signed_=False)

PROFILES: dict[str, Profile | None] = {
    # Arithmetic as the network states it.
    "exact": None,
    # The HGCAL ECON-T encoder (arXiv 2105.01683). The rules were recovered from the published test vectors of the
    # fabricated chip and reproduce all of their 3564 output words: weights and biases have 6 bits, 5 of them
    # fraction; each product of a convolution is floored to 7 fraction bits and each product of the dense layer to 8
    # before it is added; the convolution gives 8 bits with 7 fraction bits, the dense layer 9 bits with 8.
    "econ-t": Profile(
        conv=LayerRule(_PIXELS, _WEIGHTS, 7, "floor", Fixed(8, 1, signed_=False)),
        dense=LayerRule(_PIXELS, _WEIGHTS, 8, "floor", Fixed(9, 1, signed_=False)),
        source="arXiv 2105.01683; test vectors of the ECON-T chip",
    ),
}
