"""Damaged artefacts: single words of golden files changed, files damaged, and files replaced with their hashes.

The self-test of verification hands these to the very functions that check a user's artefact.
"""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgec.artefact import LATER, MANIFEST, SUMS, Artefact, sha256, to_json
from edgec.cosimulation import WEIGHTS
from edgec.driver import npz
from edgec.formats import Format
from edgec.mutants import sign_extend
from edgec.verification import read_npz

IDENTITY, FIRST_WORD = 8, 20
"""Byte offsets of the network id and of the first word in a weight image."""


@dataclass(frozen=True)
class Tampered(Artefact):
    """An artefact some of whose files read differently from what lies on the disk."""

    changed: Mapping[str, bytes] = field(default_factory=dict)

    def read(self, name: str) -> bytes:
        return self.changed[name] if name in self.changed else super().read(name)


@dataclass(frozen=True)
class WordFlip:
    """One bit of the word at `place` ([frame, *element]) of array `name` in the golden file `file`, and the result."""

    file: str
    name: str
    place: tuple[int, ...]
    bit: int
    arrays: Mapping[str, np.ndarray]

    def artefact(self, original: Artefact) -> Tampered:
        return Tampered(original.path, original.manifest, {self.file: npz(dict(self.arrays))})

    def __str__(self) -> str:
        return f"{self.file}, {self.name}{list(self.place)}: bit {self.bit} flipped"


def flip_word(
    artefact: Artefact, file: str, generator: np.random.Generator, formats: Mapping[str, Format] | None = None
) -> WordFlip:
    """A random bit of a random word of a golden file; with `formats`, by array, a bit of the code, not of its word."""
    arrays = read_npz(artefact, file)
    names = [n for n in sorted(arrays) if arrays[n].size]
    name = names[int(generator.integers(len(names)))]
    words = arrays[name].copy()
    place = tuple(int(generator.integers(n)) for n in words.shape)
    fmt = (formats or {}).get(name)
    bit = int(generator.integers(fmt.bits if fmt else 8 * words.dtype.itemsize))
    as_bits = words.view(f"u{words.dtype.itemsize}")
    as_bits[place] ^= as_bits.dtype.type(1 << bit)
    if fmt and not fmt.is_float:
        words[place] = sign_extend(int(words[place]), fmt.bits, fmt.code_range[0] < 0)
    return WordFlip(file, name, place, bit, {**arrays, name: words})


@dataclass(frozen=True)
class FileFault:
    """Damage to a copy of an artefact on disk: `apply(folder)` does it, one of `codes` must come of it."""

    what: str
    codes: tuple[str, ...]
    apply: Callable[[Path], object]
    names: str = ""
    """What the error must mention."""


def file_faults(artefact: Artefact, generator: np.random.Generator) -> Iterator[FileFault]:
    """One damaged file of every kind, files missing and added, and files replaced together with their hashes."""
    kinds: dict[tuple[str, str], str] = {}
    for name in sorted([*artefact.manifest["files"], MANIFEST, SUMS]):
        path = artefact.path / name
        if path.stat().st_size:
            kinds.setdefault((name.partition("/")[0], path.suffix), name)
    for name in kinds.values():
        bit = int(generator.integers(8 * (artefact.path / name).stat().st_size))
        codes = ("E0701", "E0704") if name in (MANIFEST, SUMS) else ("E0701",)
        mention = "" if name in (MANIFEST, SUMS) else name
        yield FileFault(f"{name}: bit {bit} flipped", codes, _flip(name, bit), mention)
    some = kinds[min(kinds)]
    yield FileFault(f"{some} removed", ("E0701",), lambda f: (f / some).unlink(), some)
    yield FileFault("a file added", ("E0701",), lambda f: (f / "extra").write_text("extra"), "extra")
    yield FileFault("golden outputs replaced, with hashes", ("E0501",), _resealed(_change_outputs))
    if (artefact.path / WEIGHTS).is_file():
        bits = 32 * artefact.manifest["interface"]["register_words"]
        bit = 8 * FIRST_WORD + int(generator.integers(bits))
        flip = _flip(WEIGHTS, bit)
        yield FileFault(f"weight image: bit {bit} flipped, with hashes", ("E0702",), _resealed(flip))
        sealed = _resealed(_checksummed(flip))
        yield FileFault(f"weight image: bit {bit} flipped, with checksum and hashes", ("E0702",), sealed)
        other = _resealed(_checksummed(_flip(WEIGHTS, 8 * IDENTITY + int(generator.integers(64)))))
        yield FileFault("weight image of another network, with checksum and hashes", ("E0703",), other)


def copy_artefact(artefact: Artefact, folder: Path) -> Path:
    """A copy of the artefact as the folder `folder`, replacing what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in [*artefact.manifest["files"], MANIFEST, SUMS]:  # not what a user built in sim/
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artefact.path / name, folder / name)
    return folder


def reseal(folder: Path) -> None:
    """Write manifest and sums anew for what lies in `folder`, as somebody who replaces files could."""
    document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    present = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (MANIFEST, SUMS, *LATER))
    data = {p.relative_to(folder).as_posix(): p.read_bytes() for p in present}
    document["files"] = {name: {"bytes": len(d), "sha256": sha256(d)} for name, d in data.items()}
    data[MANIFEST] = to_json(document)
    (folder / MANIFEST).write_bytes(data[MANIFEST])
    (folder / SUMS).write_text("".join(f"{sha256(data[name])}  {name}\n" for name in sorted(data)))


def _flip(name: str, bit: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(data)

    return apply


def _resealed(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        change(folder)
        reseal(folder)

    return apply


def _checksummed(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        change(folder)
        body = (folder / WEIGHTS).read_bytes()[:-4]
        (folder / WEIGHTS).write_bytes(body + struct.pack("<I", zlib.crc32(body)))

    return apply


def _change_outputs(folder: Path) -> None:
    file = "golden/outputs.npz"
    changed = flip_word(Artefact.open(folder), file, np.random.default_rng(0))
    (folder / file).write_bytes(npz(dict(changed.arrays)))
