"""Which cell library: a Liberty file of the user's, an installed one, or the shipped gate-equivalent library.

`gate-equivalents` is written from the constants of the target files and needs no technology; `osu018` is looked for
where Debian's package qflow-tech-osu018 puts it. Anything else is a path, plain or compressed with gzip.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.liberty import Cell, Library, parse_liberty

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
SIZE_LIMIT = 1 << 30
_SPECIAL = re.compile(
    r"\b(?:is_isolation_cell|is_level_shifter|always_on|retention_cell|switch_cell_type)\s*:\s*\"?(?!false)\w"
    r"|\btest_cell\b"
)

TARGETS = (
    (r"osu018", "asic180nm"),
    (r"sky130_fd_sc_hd", "asic130nm"),
    (r"sg13g2", "asic130nm-ihp"),
    (r"edgec_gate_equivalents", "gate-equivalents"),
)
"""Libraries whose cell sizes a shipped target has: a pattern of the library's name, and the target."""


@dataclass(frozen=True)
class SynthesisLibrary:
    """A Liberty file in memory. `name` is its folder in an artefact, `title` the name in the file."""

    name: str
    text: str
    cells: Library
    source: str

    @property
    def title(self) -> str:
        return self.cells.name

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def area(self, cell: str) -> float:
        """In the unit of the file, um2 as a rule; E0214 for a cell that the library lacks."""
        return self.cells.cell(cell).area

    def is_flip_flop(self, cell: str) -> bool:
        state = self.cells.cell(cell).sequential
        return state is not None and state.kind == "ff"

    @cached_property
    def flip_flops(self) -> list[str]:
        return [name for name in self.cells if self.is_flip_flop(name)]

    def smallest(self, inputs: int, tables: tuple[int, ...]) -> tuple[Cell, tuple[str, ...]] | None:
        """The smallest gate of that many inputs with just these functions, and its outputs in their order.

        The functions must be symmetric, or the order of the inputs would matter."""
        fitting = []
        for name in self.cells:
            if name in self.unwanted:
                continue
            cell = self.cells[name]
            found = {o.pin: o.table for o in cell.outputs.values() if sorted(o.inputs) == sorted(cell.inputs)}
            gate = cell.sequential is None and len(cell.inputs) == inputs and len(found) == len(cell.outputs)
            if gate and sorted(found.values()) == sorted(tables):
                outputs = tuple(next(p for p in found if found[p] == t) for t in tables)
                fitting.append((cell.area, name, cell, outputs))
        return min(fitting, key=lambda f: f[:2])[2:] if fitting else None

    @cached_property
    def nand2(self) -> Cell:
        """The gate equivalent: the smallest two-input NAND; E0213 without one."""
        found = self.smallest(2, (0b0111,))
        if found is None or found[0].area <= 0:
            raise EdgecError("E0213", f"{self.source} has no two-input NAND with an area, which is the gate equivalent")
        return found[0]

    def check(self) -> None:
        """E0213 unless designs can be mapped onto it: areas, a two-input NAND, an inverter and a flip-flop."""
        for name in self.cells:
            if not 0 <= self.area(name) < math.inf:
                raise EdgecError("E0213", f"{self.source}: the area of cell {name} is {self.area(name):g}")
        _ = self.nand2
        if self.smallest(1, (0b01,)) is None:
            raise EdgecError("E0213", f"{self.source} has no inverter")
        if all(name in self.unwanted for name in self.flip_flops):
            raise EdgecError("E0213", f"{self.source} has no flip-flop", why="registers cannot be mapped")

    @property
    def target(self) -> str | None:
        """The shipped target with this library's sizes."""
        return next((target for pattern, target in TARGETS if re.search(pattern, self.title)), None)

    @cached_property
    def unwanted(self) -> frozenset[str]:
        """Cells that logic must not be mapped to: marked so, or for isolation, retention, three states, scan."""
        names = set()
        for name, body in self.cells.bodies.items():
            cell = self.cells[name]
            if cell.dont_use or cell.unsupported or any(True for _ in _SPECIAL.finditer(body)):
                names.add(name)
        return frozenset(names)


def load_library(choice: str | Path | None = None) -> SynthesisLibrary:
    """The library `choice`: a name, a path, or None for osu018 where it is installed, else gate-equivalents.

    Raises E0202 (no such file), E0213 (no Liberty file)."""
    if choice is None:
        choice = "osu018" if OSU018.is_file() else "gate-equivalents"
    named = NAMED.get(str(choice))
    if named is not None:
        data, source = named()
        return _library(data, source, str(choice))
    path = Path(choice)
    try:
        if not path.is_file():
            raise EdgecError(
                "E0202",
                f"no Liberty file {path}",
                remedy=f"give a .lib or .lib.gz, or one of {', '.join(sorted(NAMED))}",
            )
        data = path.read_bytes()
    except OSError as error:
        raise EdgecError("E0202", f"{path} cannot be read", why=error.strerror or str(error)) from None
    return _library(data, path.name, None)


def _library(data: bytes, source: str, name: str | None) -> SynthesisLibrary:
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                data = stream.read(SIZE_LIMIT)
        except (OSError, EOFError, zlib.error) as error:
            raise EdgecError("E0213", f"{source} is damaged", why=str(error)) from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    try:
        cells = parse_liberty(text, source=source)
    except EdgecError as error:
        first = error.diagnostics[0]
        raise EdgecError(first.code, f"{source}: {first.what}", why=first.why, remedy=first.remedy) from error
    return SynthesisLibrary(name or identifier(cells.name), text, cells, source)


def identifier(title: str) -> str:
    """A folder name from the name of a library."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", title).strip("._") or "library"


def _osu018() -> tuple[bytes, str]:
    if not OSU018.is_file():
        raise EdgecError(
            "E0601",
            "the library osu018 is not installed",
            op="osu018",
            why=f"no file {OSU018}",
            remedy="Debian: apt-get install qflow-tech-osu018; or --liberty gate-equivalents, which needs nothing",
        )
    return OSU018.read_bytes(), OSU018.name


def _gate_equivalents() -> tuple[bytes, str]:
    return resources.files("edgec.hw.synth").joinpath("gate_equivalents.lib").read_bytes(), "gate_equivalents.lib"


NAMED: dict[str, Callable[[], tuple[bytes, str]]] = {"osu018": _osu018, "gate-equivalents": _gate_equivalents}
