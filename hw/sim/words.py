"""Between arrays of integers and the packed 32-bit words of a hardware port.

Element 0 lies in the lowest bits of a port, and bit 0 of word 0 is bit 0 of the port. A port may hold several tensors
one after another (`Field`), each with elements of one width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgec.hw.sim.ports import WORD, words_for

Integers = NDArray[np.integer]


class Field(NamedTuple):
    """`elements` integers of `bits` (1..64) bits each, two's complement if `signed`."""

    elements: int
    bits: int
    signed: bool


def pack_words(values: Integers, bits: int) -> NDArray[np.uint32]:
    """Pack integers [frames, elements] of `bits` bits each into words [frames, words]; see `pack_fields`."""
    return pack_fields([(values, bits)])


def pack_fields(fields: Sequence[tuple[Integers, int]]) -> NDArray[np.uint32]:
    """Pack tensors ([frames, elements], bits), the first one lowest, into words [frames, words].

    Raises ValueError for a value that `bits` bits hold neither as signed nor as unsigned.
    """
    ones = np.concatenate([_to_bits(np.asarray(values), bits) for values, bits in fields], axis=1)
    padded = np.zeros((ones.shape[0], words_for(ones.shape[1]) * WORD), np.uint8)
    padded[:, : ones.shape[1]] = ones
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32, copy=False)


def unpack_words(words: NDArray[np.uint32], elements: int, bits: int, *, signed: bool) -> Integers:
    """The inverse of `pack_words`: words [frames, words] to integers [frames, elements]."""
    return unpack_fields(words, [Field(elements, bits, signed)])[0]


def unpack_fields(words: NDArray[np.uint32], fields: Sequence[Field]) -> list[Integers]:
    """The inverse of `pack_fields`: int64 arrays (uint64 for unsigned fields of 64 bits) of [frames, elements]."""
    words = np.ascontiguousarray(words, dtype="<u4")
    total = sum(f.elements * f.bits for f in fields)
    if words.ndim != 2 or words.shape[1] != words_for(total):
        raise ValueError(f"words of shape {words.shape} do not hold {total} bits a frame")
    ones = np.unpackbits(words.view(np.uint8), axis=1, count=total, bitorder="little")
    ends = np.cumsum([f.elements * f.bits for f in fields])[:-1]
    return [_from_bits(part, f) for part, f in zip(np.split(ones, ends, axis=1), fields, strict=True)]


def _container(bits: int) -> int:
    """Bytes of the smallest machine integer that holds `bits` bits."""
    if not 1 <= bits <= 64:
        raise ValueError(f"{bits} bits an element: 1 to 64 are supported")
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)


def _to_bits(values: Integers, bits: int) -> NDArray[np.uint8]:
    size = _container(bits)
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise ValueError(f"integers [frames, elements] are needed, not {values.dtype} {values.shape}")
    if values.size and (int(values.min()) < -(1 << (bits - 1)) or int(values.max()) >= 1 << bits):
        raise ValueError(f"a value does not fit into {bits} bits: {values.min()} to {values.max()}")
    frames, elements = values.shape
    as_bytes = np.ascontiguousarray(values.astype(f"<u{size}")).view(np.uint8).reshape(frames, elements, size)
    ones = np.unpackbits(as_bytes, axis=2, count=bits, bitorder="little")
    return ones.reshape(frames, elements * bits)


def _from_bits(ones: NDArray[np.uint8], field: Field) -> Integers:
    size = _container(field.bits)
    ones = ones.reshape(ones.shape[0], field.elements, field.bits)
    wide = np.zeros((*ones.shape[:2], 8 * size), np.uint8)
    wide[:, :, : field.bits] = ones
    if field.signed:
        wide[:, :, field.bits :] = ones[:, :, -1:]
    raw = np.packbits(wide, axis=2, bitorder="little").view(f"<{'i' if field.signed else 'u'}{size}")
    kept_unsigned = field.bits == 64 and not field.signed
    return raw[:, :, 0].astype(np.uint64 if kept_unsigned else np.int64)
