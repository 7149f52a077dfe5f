"""Chooses how far every layer is folded: no slower than a number of cycles a frame, and no larger than it must be.

The slowest layer decides the throughput, so every layer gets the smallest array that is fast enough; the number of
cycles is the one asked for, or the smallest one whose design fits an area.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from edgec.backends.rtl.circuit.cost import gate_equivalents
from edgec.backends.rtl.folded.arrays import Array
from edgec.backends.rtl.folded.cores import Core
from edgec.backends.rtl.folded.layers import Layer
from edgec.backends.rtl.folded.network import Fold
from edgec.diagnostics import EdgecError, nearest

FLIP_FLOP = 6.0
"""Gate equivalents of a flip-flop, to compare foldings."""


@dataclass(frozen=True)
class Choice:
    """A folding of one array: cycles a frame, area in gate equivalents (for comparison only)."""

    cycles: int
    area: float
    pe: int
    simd: int


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def array_cycles(array: Array, pe: int, simd: int) -> int:
    """Cycles that the array needs for a frame: those of its products, or those in which its input comes."""
    words = array.channels // (pe if array.by_channel else simd)
    if array.collects:
        return array.size[0] * array.size[1] * words
    steps = array.taps * (1 if array.by_channel else words)
    top, left, bottom, right = array.pads
    pixels = (array.size[0] + top + bottom) * (array.size[1] + left + right)
    return max(array.out_size[0] * array.out_size[1] * (array.outputs // pe) * steps, pixels * words)


def choices(core: Core) -> list[Choice]:
    """All foldings of an array that are the smallest at their speed, from the slowest to the fastest."""
    array = core.array
    assert array is not None
    found = []
    for simd in [1] if array.by_channel else divisors(array.channels):
        element = gate_equivalents(core.element(simd).cells)
        weight = array.weight_interval.width * simd if array.weights is not None else 0
        sums = 2 * array.register.width  # the sum, and its place in the serialiser
        for pe in divisors(array.outputs):
            area = pe * (element + FLIP_FLOP * (weight + sums)) + FLIP_FLOP * array.x.width * max(simd, pe)
            found.append(Choice(array_cycles(array, pe, simd), area, pe, simd))
    best: list[Choice] = []
    for choice in sorted(found, key=lambda c: (c.cycles, c.area, c.pe)):
        if not best or choice.area < best[-1].area:
            best.append(choice)
    return best[::-1]


def smallest_lanes(number: int, elements: int, cycles: int) -> int:
    """The smallest divisor of `number` with which `elements` pass in `cycles` (or all at once)."""
    return next((d for d in divisors(number) if elements <= d * cycles), number)


class Folder:
    """Foldings of a list of layers; `overrides` maps globs over layer names to `PExSIMD` (or `LANES`)."""

    def __init__(self, layers: Sequence[Layer], cores: Mapping[Layer, Core], overrides: Mapping[str, str]) -> None:
        self.layers, self.cores = layers, cores
        self.choices = {la: choices(cores[la]) for la in layers if cores[la].array is not None}
        self.fixed: dict[Layer, tuple[int, ...]] = {}
        for pattern, text in overrides.items():
            matched = [la for la in layers if any(fnmatchcase(n, pattern) for n in names(la))]
            if not matched:
                known = [n for la in layers for n in names(la)]
                raise EdgecError("E0204", f"folding {pattern!r} matches no layer", remedy=nearest(pattern, known))
            for layer in matched:
                self.fixed[layer] = self.parse(layer, text)

    def parse(self, layer: Layer, text: str) -> tuple[int, ...]:
        array = self.cores[layer].array
        limits: list[int]
        if array is None:
            limits = [layer.output.channels]
        elif array.by_channel:
            limits = [array.outputs]
        else:
            limits = [array.outputs, array.channels]
        parts = text.lower().split("x")
        numbers = [int(p) if p.isdecimal() else 0 for p in parts]
        legal = len(numbers) == len(limits) and all(n > 0 and m % n == 0 for n, m in zip(numbers, limits, strict=True))
        if not legal:
            form = " x ".join(f"a divisor of {m}" for m in limits)
            raise EdgecError("E0204", f"folding {text!r} of {layer.label}", why=f"it must be {form}")
        return tuple(numbers)

    def bounds(self) -> list[int]:
        """All numbers of cycles at which some layer changes its folding, ascending."""
        found = {c.cycles for cs in self.choices.values() for c in cs}
        for layer in self.layers:
            if layer not in self.choices:
                found |= {layer.output.elements // d for d in divisors(layer.output.channels)}
        return sorted(found)

    def fold(self, cycles: int) -> dict[Layer, Fold]:
        """Every layer as small as it can be at `cycles` a frame."""
        return {layer: self.one(layer, cycles) for layer in self.layers}

    def one(self, layer: Layer, cycles: int) -> Fold:
        output = layer.output
        fixed = self.fixed.get(layer)
        if layer not in self.choices:
            lanes = fixed[0] if fixed else smallest_lanes(output.channels, output.elements, cycles)
            return Fold(lanes, 1, lanes)
        if fixed:
            pe, simd = (*fixed, 1)[:2]
        else:
            options = self.choices[layer]
            chosen = next((c for c in options if c.cycles <= cycles), options[-1])
            pe, simd = chosen.pe, chosen.simd
        array = self.cores[layer].array
        assert array is not None
        return Fold(pe, simd, smallest_lanes(pe, output.elements, max(cycles, array_cycles(array, pe, simd))))


def names(layer: Layer) -> list[str]:
    """What an override can call a layer: its source names, and its number."""
    return [*layer.main.loc, f"l{layer.index}"]
