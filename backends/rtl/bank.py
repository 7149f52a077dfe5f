"""The register bank of loaded weights: which constants it holds, where, and the network's identity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgec.graph import Graph
from edgec.ops import Constant, Conv, Dense, MultiThreshold, Op
from edgec.text import Printer


@dataclass(frozen=True)
class Entry:
    """One constant in the bank: word `address`, `words` long, elements of `element_bits` packed without gaps."""

    constant: Constant
    name: str
    layer: str
    role: str
    address: int

    @property
    def element_bits(self) -> int:
        return self.constant.format.bits

    @property
    def bits(self) -> int:
        return self.constant.data.size * self.element_bits

    @property
    def words(self) -> int:
        return -(-self.bits // 32)

    def as_dict(self) -> dict[str, Any]:
        fmt = self.constant.format
        return {
            "name": f"{self.layer}.{self.role}",
            "constant": self.name,
            "layer": self.layer,
            "role": self.role,
            "address": self.address,
            "words": self.words,
            "elements": self.constant.data.size,
            "element_bits": self.element_bits,
            "shape": list(self.constant.shape),
            "format": str(fmt),
        }


def bank_entries(graph: Graph) -> list[Entry]:
    """Weights, biases and thresholds in the order of the graph, each at a fresh word address."""
    names = Printer(graph).names
    entries: list[Entry] = []
    seen: set[Constant] = set()
    for op in graph.ops:
        operands: list[tuple[str, Any]] = []
        if isinstance(op, Conv | Dense):
            operands = [("weights", op.w), ("bias", op.b)]
        elif isinstance(op, MultiThreshold):
            operands = [("thresholds", op.thresholds)]
        for role, constant in operands:
            if isinstance(constant, Constant) and constant not in seen:
                seen.add(constant)
                address = entries[-1].address + entries[-1].words if entries else 0
                layer = op.loc[-1] if op.loc else names[op]
                entries.append(Entry(constant, names[constant], layer, role, address))
    return entries


def network_id(graph: Graph, entries: list[Entry], options: Mapping[str, Any]) -> str:
    """16 hexadecimal digits from the structure: ops, formats, shapes and every constant that is not in the bank."""
    loaded = {e.constant for e in entries}
    numbers = {op: i for i, op in enumerate(graph.ops)}
    digest = hashlib.sha256(repr(sorted(options.items())).encode())
    for op in graph.ops:
        facts: list[str] = [op.mnemonic, str(op.type)]
        for name, value in op.fields():
            if isinstance(value, np.ndarray):
                facts.append("loaded" if op in loaded else hashlib.sha256(value.tobytes()).hexdigest())
            elif name != "name":
                shown = [numbers[v] for v in value] if _ops(value) else value
                facts.append(f"{name}={numbers[value] if isinstance(value, Op) else shown}")
        digest.update("|".join(facts).encode() + b"\n")
    digest.update(repr([numbers[o] for _, o in graph.outputs]).encode())
    return digest.hexdigest()[:16]


def _ops(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and hasattr(value[0], "operands")


def register_map(entries: list[Entry], network: str) -> str:
    """The register map as a document."""
    lines = [
        "# Register map",
        "",
        f"Network id `{network}`. One 32-bit word an address, written in one clock cycle with `wr_en`; the bank cannot",
        "be read back. The elements of a tensor are packed in row-major order without gaps, the first in the lowest",
        "bits; the last word of a tensor is padded with zeros.",
        "",
        "| address | words | tensor | shape | format | bits an element |",
        "|---|---|---|---|---|---|",
    ]
    for e in entries:
        shape = "x".join(map(str, e.constant.shape))
        last = e.address + e.words - 1
        lines.append(
            f"| 0x{e.address:04x} - 0x{last:04x} | {e.words} | {e.layer} {e.role} | {shape} | {e.constant.format} "
            f"| {e.element_bits} |"
        )
    total = sum(e.bits for e in entries)
    lines += ["", f"{total} bits in {entries[-1].address + entries[-1].words if entries else 0} words.", ""]
    return "\n".join(lines)
