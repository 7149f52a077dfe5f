"""Where a particle can strike: every flip-flop of a design, as the artefact's manifest lists its registers.

A register of `bits` bits has one flip-flop a bit, or three where the bit is protected. In the simulated RTL the
flip-flops of a copy are one variable; its instance is a *place*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.hardening import NONE, REGISTER_TMR

WORD = 32


@dataclass(frozen=True)
class Place:
    """One instance that holds flip-flops: `copy` 0 to 2 of protected bits, or 0 of plain ones.

    `bits` are the bits of the register (index into `registers`) that it holds, in the order of the place.
    """

    name: str
    register: int
    copy: int
    protected: bool
    bits: np.ndarray


@dataclass(frozen=True)
class Sites:
    """All flip-flops of a design, numbered class after class; site i is bit `bit[i]` of place `place[i]`."""

    registers: tuple[Mapping[str, Any], ...]
    places: tuple[Place, ...]
    place: np.ndarray
    bit: np.ndarray

    @property
    def count(self) -> int:
        return int(self.place.size)

    def of_class(self, name: str) -> np.ndarray:
        """Numbers of the sites of a class."""
        mine = np.array([self.registers[p.register]["class"] == name for p in self.places], bool)
        return np.flatnonzero(mine[self.place]) if self.count else np.zeros(0, np.int64)

    def positions(self) -> np.ndarray:
        """For every site its position in the register bank (32 * word address + bit); -1 for other classes."""
        parts = []
        for p in self.places:
            address = self.registers[p.register].get("address")
            parts.append(np.full(p.bits.size, -1) if address is None else WORD * address + p.bits)
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def protected(self) -> np.ndarray:
        """Which sites are copies of a protected bit."""
        parts = [np.full(p.bits.size, p.protected) for p in self.places]
        return np.concatenate(parts) if parts else np.zeros(0, bool)


def find_sites(state: Sequence[Mapping[str, Any]]) -> Sites:
    """The sites of a design from the list of its registers (`interface.state` of a manifest)."""
    places: list[Place] = []
    for index, register in enumerate(state):
        places += _bank(index, register) if register["class"] == "weight" else _register(index, register)
    sizes = [p.bits.size for p in places]
    place = np.repeat(np.arange(len(places)), sizes)
    bit = np.concatenate([np.arange(n) for n in sizes]) if sizes else np.zeros(0, np.int64)
    return Sites(tuple(state), tuple(places), place, bit)


def _register(index: int, register: Mapping[str, Any]) -> list[Place]:
    return _copies(index, register["instance"], register["style"], np.arange(register["bits"]))


def _copies(index: int, instance: str, style: str, bits: np.ndarray) -> list[Place]:
    if style == NONE:
        return [Place(instance, index, 0, False, bits)]
    return [Place(f"{instance}.copy{k}", index, k, True, bits) for k in range(3)]


def _bank(index: int, register: Mapping[str, Any]) -> list[Place]:
    """A bank is made of words; each may have protected bits and plain ones."""
    size, style = register["bits"], register["style"]
    mask = np.full(size, style != NONE)
    if "protect" in register:
        ones = np.frombuffer(int(register["protect"], 16).to_bytes(-(-size // 8), "little"), np.uint8)
        mask = np.unpackbits(ones, count=size, bitorder="little").astype(bool)
    places = []
    for low in range(0, size, WORD):
        bits = np.arange(low, min(low + WORD, size))
        hard, plain = bits[mask[bits]], bits[~mask[bits]]
        word = f"{register['instance']}.words[{low // WORD}].word"
        if hard.size:
            block = "tmr" if style == REGISTER_TMR else "scrub"
            places += _copies(index, f"{word}.hard.{block}.bits", style, hard)
        if plain.size:
            places.append(Place(f"{word}.plain.bits", index, 0, False, plain))
    return places
