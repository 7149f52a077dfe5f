"""Faults in the C code of an artefact: one bit of a constant of the running program, or one changed statement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgec.artefact import Artefact
from edgec.hw.arm.toolchain import HOST, compile_c
from edgec.hw.sim.c_program import FLAGS, CRun, executed

DECLARATION = re.compile(r"extern const (\w+) (\w+)\[(\d+)\];")
PATCH = """
#include <stdio.h>
static const struct {{ void *data; unsigned long bytes; }} edgec_arrays_[] = {{
{rows}
  {{0, 0}}
}};
/* The file `fault.bin`, where there is one, holds the number of an array, of a byte and of a bit of it. */
__attribute__((constructor)) static void edgec_fault_(void) {{
  unsigned f[3];
  FILE *file = fopen("fault.bin", "rb");
  if (file == 0) {{ return; }}
  if (fread(f, sizeof f, 1, file) == 1 && f[1] < edgec_arrays_[f[0]].bytes) {{
    ((unsigned char *)edgec_arrays_[f[0]].data)[f[1]] ^= (unsigned char)(1u << f[2]);
  }}
  fclose(file);
}}
"""
CHANGES = (
    (re.compile(r" >> (\d+)"), lambda m: f" >> {int(m[1]) - 1}", "a shift by one bit less"),
    (re.compile(r"(\bsum\w*) \+= "), lambda m: f"{m[1]} -= ", "a product taken away"),
    (re.compile(r" > (\d+) \? (\d+) :"), lambda m: f" > {m[1]} ? {int(m[2]) - 1} :", "an upper bound less by one"),
    (
        re.compile(r" < (\(?-?\d+\)?) \? (\d+) :"),
        lambda m: f" < {m[1]} ? {int(m[2]) + 1} :",
        "a lower bound more by one",
    ),
    (re.compile(r"(for \(int32_t \w+ = )0;"), lambda m: f"{m[1]}1;", "a loop without its first turn"),
)
"""Pattern, replacement and what it is: none of them reads or writes outside of a tensor, or loops for ever."""


@dataclass(frozen=True)
class Bit:
    """A bit of a constant array."""

    array: int
    name: str
    byte: int
    bit: int

    def __str__(self) -> str:
        return f"{self.name}, byte {self.byte}: bit {self.bit} flipped"


@dataclass(frozen=True)
class Change:
    """A line of a source in place of another."""

    file: str
    line: int
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


class FaultyProgram:
    """The program of an artefact, compiled for this machine in `folder`, whose constants can be changed in a run."""

    def __init__(self, artefact: Artefact, folder: Path, timeout: float) -> None:
        self.artefact, self.timeout = artefact, timeout
        self.interface: Mapping[str, Any] = artefact.manifest["interface"]
        name = self.interface["name"]
        self.sources = {f: artefact.read(f).decode() for f in (*self.interface["files"], *self.headers)}
        header = self.sources[f"src/{name}_constants.h"]
        rows, self.arrays = [], []
        live = True
        for line in header.splitlines():
            if found := DECLARATION.match(line):
                if live:
                    self.arrays.append(found[2])
                    rows.append(f"  {{{found[2]}, sizeof {found[2]}}},")
            elif line.startswith("#if ") and "defined" not in line:  # no vector code on this machine
                live = line.startswith("#if !")
            elif line.startswith("#endif"):
                live = True
        self.writable = dict(self.sources)
        for file in (f"src/{name}_constants.h", f"src/{name}_constants.c"):
            self.writable[file] = re.sub(r"^(extern )?const ", r"\1", self.sources[file], flags=re.M)
        self.writable[f"src/{name}_constants.c"] += PATCH.format(rows="\n".join(rows))
        self.program = self._compiled(self.writable, folder)

    @property
    def headers(self) -> list[str]:
        name = self.interface["name"]
        return [f"include/{name}.h", f"src/{name}_constants.h"]

    def _compiled(self, sources: Mapping[str, str], folder: Path) -> Path:
        name, main = self.interface["name"], self.interface["testbench"]["file"]
        for file, text in {**sources, main: self.artefact.read(main).decode()}.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        flags = [*FLAGS, f"-D{name.upper()}_TRACE={name}_trace", f"-D{name.upper()}_PORTABLE"]
        return compile_c(
            [folder / f for f in [*self.interface["files"], main]], folder / "program", core=HOST, flags=flags,
            include_dirs=[folder / "include", folder / "src"], timeout=self.timeout,
        )  # fmt: skip

    def run(self, frames: Mapping[str, np.ndarray], fault: Bit | None = None) -> CRun:
        """What the program makes of `frames`, with a bit flipped."""
        file = self.program.parent / "fault.bin"
        words = [] if fault is None else [fault.array, fault.byte, fault.bit]
        file.write_bytes(np.array(words, np.uint32).tobytes())
        return executed(self.program, self.interface, frames, timeout=self.timeout)

    def run_changed(self, frames: Mapping[str, np.ndarray], change: Change, folder: Path) -> CRun:
        """The same of the program with another statement."""
        lines = self.sources[change.file].split("\n")
        lines[change.line - 1] = change.text
        program = self._compiled({**self.sources, change.file: "\n".join(lines)}, folder)
        return executed(program, self.interface, frames, timeout=self.timeout)

    def bit(self, generator: np.random.Generator) -> Bit | None:
        """One bit of the constants at random; None where there are none."""
        sizes = [self._bytes(name) for name in self.arrays]
        if not sum(sizes):
            return None
        array = int(generator.choice(len(sizes), p=np.array(sizes, float) / sum(sizes)))
        return Bit(array, self.arrays[array], int(generator.integers(sizes[array])), int(generator.integers(8)))

    def _bytes(self, name: str) -> int:
        header = self.sources[f"src/{self.interface['name']}_constants.h"]
        found = next(m for m in DECLARATION.finditer(header) if m[2] == name)
        width = {"float": 4, "double": 8}.get(found[1]) or int(re.sub(r"\D", "", found[1])) // 8
        return width * int(found[3])

    def changes(self) -> list[Change]:
        """All statements that can be changed, of the code that this machine runs."""
        file = f"src/{self.interface['name']}.c"
        found, skipped = [], False
        for number, line in enumerate(self.sources[file].split("\n"), 1):
            if line.startswith("#if "):
                skipped = "defined" not in line
            elif line.startswith(("#else", "#endif")):
                skipped = False
            if skipped or not line.startswith("  "):
                continue
            for pattern, new, what in CHANGES:
                for match in pattern.finditer(line):
                    text = line[: match.start()] + new(match) + line[match.end() :]
                    found.append(Change(file, number, what, text))
        return found
