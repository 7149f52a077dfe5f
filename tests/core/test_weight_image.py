"""The weight image: where every bit of every element lies, and that no damaged or foreign image is taken."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from artefact_support import tiny, two_layers
from hypothesis import given
from hypothesis import strategies as st

from edgec.artefact import Artefact
from edgec.backends.rtl.bank import bank_entries
from edgec.diagnostics import EdgecError
from edgec.formats import Fixed
from edgec.graph import Graph
from edgec.ops import Constant
from edgec.text import Printer
from edgec.weight_image import make_image, parameter_words, read_image

IDENTITY = "0123456789abcdef"
words_ = st.lists(st.integers(0, 2**32 - 1), max_size=40).map(lambda w: np.array(w, np.uint32))


def refusal(image: bytes, identity: str = IDENTITY, count: int = 3) -> EdgecError:
    with pytest.raises(EdgecError) as caught:
        read_image(image, identity, count)
    assert caught.value.exit == 7
    return caught.value


def checksummed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@given(words_, st.binary(min_size=8, max_size=8))
def test_what_is_written_is_read(words: np.ndarray, identity: bytes) -> None:
    image = make_image(words, identity.hex())
    np.testing.assert_array_equal(read_image(image, identity.hex(), len(words)), words)
    assert len(image) == 8 + 8 + 4 + 4 * len(words) + 4


def test_layout() -> None:
    image = make_image(np.array([1, 0x80000000], np.uint32), IDENTITY)
    head = b"EDGECWI1" + bytes.fromhex(IDENTITY) + b"\x02\0\0\0" + b"\x01\0\0\0" + b"\0\0\0\x80"
    assert image == head + zlib.crc32(head).to_bytes(4, "little")


def test_no_single_flipped_bit_passes() -> None:
    image = make_image(np.array([5, 6, 7], np.uint32), IDENTITY)
    for bit in range(8 * len(image)):
        damaged = bytearray(image)
        damaged[bit // 8] ^= 1 << bit % 8
        assert refusal(bytes(damaged)).code == "E0702"


def test_no_cut_or_padded_image_passes() -> None:
    image = make_image(np.array([5, 6, 7], np.uint32), IDENTITY)
    for length in range(len(image)):
        assert refusal(image[:length]).code == "E0702"
    assert refusal(image + b"\0").code == "E0702"


@given(st.binary(max_size=80))
def test_garbage_is_refused(garbage: bytes) -> None:
    assert refusal(garbage).code == "E0702"
    assert refusal(checksummed(garbage)).code == "E0702"


def test_other_networks_are_refused() -> None:
    image = make_image(np.array([5, 6, 7], np.uint32), "0123456789abcdee")
    error = refusal(image)
    assert error.code == "E0703" and "0123456789abcdee" in str(error) and IDENTITY in str(error)
    assert refusal(make_image(np.array([5, 6], np.uint32), IDENTITY)).code == "E0703"


def test_other_versions_are_refused() -> None:
    body = make_image(np.array([5, 6, 7], np.uint32), IDENTITY)[:-4]
    assert refusal(checksummed(b"EDGECWI2" + body[8:])).code == "E0702"
    assert refusal(checksummed(body[:16] + b"\x02\0\0\0" + body[20:])).code == "E0702"


def element_bits(words: np.ndarray, address: int, index: int, bits: int) -> int:
    """The element, bit by bit from the definition in the register map."""
    value = 0
    for bit in range(bits):
        at = index * bits + bit
        value |= (int(words[address + at // 32]) >> at % 32 & 1) << bit
    return value


@pytest.mark.parametrize("graph", [tiny(3), tiny(1, 11, Fixed(5, 1)), two_layers(2)], ids=["tiny", "wide", "two"])
def test_every_element_lies_where_the_register_map_says(graph: Graph) -> None:
    registers = [e.as_dict() for e in bank_entries(graph)]
    words = parameter_words(graph, registers)
    constants = {n: op for op, n in Printer(graph).names.items() if isinstance(op, Constant)}
    assert {r["constant"] for r in registers} == set(constants)
    for entry in registers:
        bits, codes = entry["element_bits"], constants[entry["constant"]].data.ravel()
        found = [element_bits(words, entry["address"], i, bits) for i in range(entry["elements"])]
        assert found == [int(c) & ((1 << bits) - 1) for c in codes]
    assert len(words) == sum(r["words"] for r in registers)


def test_registers_may_have_other_axes() -> None:
    graph = tiny()
    entry = {"constant": "fc_w", "elements": 12, "element_bits": 3, "address": 1, "words": 2, "transpose": [1, 0]}
    words = parameter_words(graph, [entry])
    weights = next(op for op in graph.ops if isinstance(op, Constant) and op.loc == ("fc.w",))
    assert words[0] == 0
    found = [element_bits(words, 1, i, 3) for i in range(12)]
    assert found == [int(c) & 7 for c in weights.data.T.ravel()]


def test_a_graph_of_another_structure_is_refused() -> None:
    registers = [e.as_dict() for e in bank_entries(tiny())]
    with pytest.raises(EdgecError) as caught:
        parameter_words(tiny(0, 5), registers)
    assert caught.value.code == "E0703"


def test_the_identity_is_of_structure_not_of_weights(loaded: Artefact) -> None:
    from edgec.backends.rtl.bank import network_id

    def identity(graph: Graph) -> str:
        return network_id(graph, bank_entries(graph), {"weights": "loaded"})

    assert identity(tiny(0)) == identity(tiny(1)) == loaded.manifest["network_id"]
    others = [tiny(0, 5), tiny(0, 4, Fixed(3, 2)), tiny(0, 4, Fixed(4, 1)), two_layers()]
    assert len({identity(g) for g in [tiny(), *others]}) == 1 + len(others)
