"""The weight image: what a register bank is loaded with, guarded by a checksum and the network's identity.

Layout, all little endian: magic `EDGECWI1`, network id (8 bytes), number of words N (uint32), N data words
(uint32, for addresses 0 .. N-1), CRC-32 (IEEE 802.3) of everything before it. The network id is a hash of the
structure without the weights, so any training of one network fits its hardware, and no other network does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgec.diagnostics import EdgecError
from edgec.graph import Graph
from edgec.ops import Constant
from edgec.text import Printer

MAGIC = b"EDGECWI1"
_HEADER = struct.Struct("<8s8sI")


def parameter_words(graph: Graph, registers: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The words (uint32) of a register bank for the constants of `graph`.

    A register entry names a constant of the graph's text form (`constant`), its first word address (`address`), the
    number of words and the bits of an element; elements are packed without gaps, the first in the lowest bits.
    """
    from edgec.hw.sim.words import pack_words

    constants = {name: op for op, name in Printer(graph).names.items() if isinstance(op, Constant)}
    words = np.zeros(max((r["address"] + r["words"] for r in registers), default=0), np.uint32)
    for entry in registers:
        op = constants.get(entry["constant"])
        if op is None or op.tensor.size != entry["elements"]:
            raise EdgecError(
                "E0703", f"the graph has no constant {entry['constant']!r} of {entry['elements']} elements"
            )
        data = op.data
        if "transpose" in entry:  # hardware order of axes, where it is not that of the graph
            data = data.transpose(entry["transpose"])
        packed = pack_words(data.reshape(1, -1).astype(np.int64), entry["element_bits"])[0]
        words[entry["address"] : entry["address"] + entry["words"]] = packed
    return words


def make_image(words: np.ndarray, network_id: str) -> bytes:
    """The image of `words` for the network with the hexadecimal `network_id` (16 digits)."""
    body = _HEADER.pack(MAGIC, bytes.fromhex(network_id), len(words)) + words.astype("<u4").tobytes()
    return body + struct.pack("<I", zlib.crc32(body))


def read_image(image: bytes, network_id: str, count: int, source: str = "weight image") -> np.ndarray:
    """The words of `image`, checked: E0702 for damage, E0703 for another network or another number of words."""
    if len(image) < _HEADER.size + 4 or zlib.crc32(image[:-4]) != struct.unpack("<I", image[-4:])[0]:
        raise EdgecError(
            "E0702",
            f"{source} is damaged",
            why="its checksum does not fit its content" if len(image) >= _HEADER.size + 4 else "it is too short",
            remedy="take the file from its build again",
        )
    magic, identity, length = _HEADER.unpack_from(image)
    if magic != MAGIC or len(image) != _HEADER.size + 4 * length + 4:
        raise EdgecError("E0702", f"{source} is no weight image of this version")
    if identity.hex() != network_id:
        raise EdgecError(
            "E0703",
            f"{source} is for another network",
            why=f"its id is {identity.hex()}, the hardware's is {network_id}",
            remedy="use an image that was built from a model of the same structure and formats",
        )
    if length != count:
        raise EdgecError("E0703", f"{source} has {length} words, the hardware's register bank {count}")
    return np.frombuffer(image, "<u4", length, _HEADER.size).astype(np.uint32)
