"""Sections and symbols of an ELF object or program: what takes memory, what is called. ELF-32 and ELF-64, both orders.

Source: System V Application Binary Interface, chapters "Object Files", "Sections", "Symbol Table".
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgec.diagnostics import EdgecError

WRITE, ALLOC, EXECUTE = 1, 2, 4
_SYMBOL_TABLE, _NOTE, _UNWIND = 2, 7, 0x70000001  # SHT_SYMTAB, SHT_NOTE, SHT_ARM_EXIDX (also SHT_X86_64_UNWIND)
_UNDEFINED, _UNNAMED = 0, (0, 3, 4)  # SHN_UNDEF; types without a name of their own: none, section, file


@dataclass(frozen=True)
class Section:
    """A section: its type, flags (WRITE, ALLOC, EXECUTE) and bytes in memory."""

    name: str
    type: int
    flags: int
    size: int


@dataclass(frozen=True)
class Symbol:
    """A symbol; `section` is None where it is undefined."""

    name: str
    value: int
    size: int
    section: int | None


@dataclass(frozen=True)
class Elf:
    """What `read_elf` found."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    @property
    def undefined(self) -> frozenset[str]:
        """Names that others have to define."""
        return frozenset(s.name for s in self.symbols if s.section is None and s.name)

    @property
    def code(self) -> int:
        """Bytes of instructions."""
        return sum(s.size for s in self.sections if s.flags & ALLOC and s.flags & EXECUTE)

    @property
    def constants(self) -> int:
        """Bytes that are only read; without notes and tables for unwinding."""
        return sum(s.size for s in self.sections if s.flags & (ALLOC | WRITE | EXECUTE) == ALLOC and not _apart(s))

    @property
    def data(self) -> int:
        """Bytes that can be written."""
        return sum(s.size for s in self.sections if s.flags & ALLOC and s.flags & WRITE)


def _apart(section: Section) -> bool:
    return section.type in (_NOTE, _UNWIND) or section.name.startswith((".eh_frame", ".ARM.", ".rel.", ".rela."))


def read_elf(path: str | Path) -> Elf:
    """Read the file; raises E0202 where there is none, E0701 for one that is no ELF file or cut off."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise EdgecError("E0202", f"{file} cannot be read", why=error.strerror) from None
    if data[:4] != b"\x7fELF" or len(data) < 52 or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise EdgecError("E0701", f"{file} is no ELF file")
    try:
        return _parse(data)
    except (struct.error, IndexError, ValueError) as error:
        raise EdgecError("E0701", f"{file} is damaged", why=str(error)) from None


def _parse(data: bytes) -> Elf:
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    at = struct.unpack_from(f"{order}Q" if wide else f"{order}I", data, 40 if wide else 32)[0]
    step, count, names = struct.unpack_from(f"{order}3H", data, 58 if wide else 46)
    layout = struct.Struct(f"{order}2I4Q2I2Q" if wide else f"{order}10I")
    heads = [layout.unpack_from(data, at + k * step) for k in range(count)]
    # name, type, flags, address, offset, size, link, info, alignment, size of an entry
    text = _part(data, heads[names])
    sections = tuple(Section(_string(text, h[0]), h[1], h[2], h[5]) for h in heads)
    symbols: list[Symbol] = []
    for head in heads:
        if head[1] == _SYMBOL_TABLE:
            symbols += _symbols(_part(data, head), _part(data, heads[head[6]]), wide, order)
    return Elf(sections, tuple(symbols))


def _part(data: bytes, head: Iterable[int]) -> bytes:
    values = list(head)
    part = data[values[4] : values[4] + values[5]]
    if len(part) != values[5]:
        raise ValueError("a section lies outside the file")
    return part


def _symbols(table: bytes, text: bytes, wide: bool, order: str) -> list[Symbol]:
    entry = struct.Struct(f"{order}I2BH2Q" if wide else f"{order}3I2BH")
    found = []
    for fields in entry.iter_unpack(table[: len(table) // entry.size * entry.size]):
        name, kind, section, value, size = (
            (fields[0], fields[1], fields[3], fields[4], fields[5])
            if wide
            else (fields[0], fields[3], fields[5], fields[1], fields[2])
        )
        if kind & 15 not in _UNNAMED or (section == _UNDEFINED and name):
            found.append(Symbol(_string(text, name), value, size, None if section == _UNDEFINED else section))
    return found


def _string(text: bytes, at: int) -> str:
    return text[at : text.index(b"\0", at)].decode("utf-8", errors="replace")
