"""The counting plugin: compiled once with this machine's compiler, given to QEMU, its file read back.

The plugin uses version 1 of QEMU's plugin interface (QEMU 7.2 to 8.2); QEMU 9 and later have another one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgec.diagnostics import EdgecError
from edgec.hw.tools.cache import compile_once
from edgec.hw.tools.doctor import require_tools
from edgec.hw.tools.process import run
from edgec.hw.tools.tool import VERSION_TIMEOUT, Tool, numbers

SOURCE = Path(__file__).with_name("native") / "edgec_count.c"
FLAGS = ("-O2", "-std=c11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread")
QEMU_TOO_NEW = (9,)
MOST_REGIONS = 1 << 16
MAGIC = b"EDGECCNT"
_HEADER = struct.Struct("=4Q")  # instructions in all, closed regions, whether one is open, blocks
_BLOCK = struct.Struct("=2Q2I")  # address, executions, instructions, bytes


@dataclass(frozen=True)
class Block:
    """Straight-line code at `address`, executed `executions` times: `instructions` in the bytes `code`.

    Blocks are QEMU's: they overlap where a jump goes into the middle of another one. Where a region marker cuts a
    block, its parts are blocks of their own.
    """

    address: int
    executions: int
    instructions: int
    code: bytes


@dataclass(frozen=True)
class Counts:
    """What one run executed: instructions of the whole program and of the marked regions, blocks in address order."""

    total: int
    regions: int
    open: bool
    blocks: tuple[Block, ...]
    each: tuple[int, ...] = ()
    """Executed instructions of every region in order, of the first 65,536."""

    @property
    def instructions(self) -> int:
        """Executed instructions: of the marked regions, or of the whole program where nothing is marked."""
        return sum(b.executions * b.instructions for b in self.blocks)


def plugin_option(qemu: Tool, out: Path) -> list[str]:
    """QEMU's options that load the plugin and let it write `out`; raises E0605 where this QEMU cannot."""
    version, remedy = str(qemu.version), "run without counting (count=False), or use QEMU 7.2 to 8.2"
    if numbers(version) >= QEMU_TOO_NEW:
        raise EdgecError("E0605", f"{qemu.name} {version} has another plugin interface", op=qemu.name, remedy=remedy)
    if not _has_plugins(qemu.executable()):
        raise EdgecError(
            "E0605",
            f"{qemu.name} cannot count: {qemu.executable()} was built without plugins",
            op=qemu.name,
            why="statically linked builds (Debian: qemu-user-static) have none",
            remedy=qemu.remedy,
        )
    library = compile_once(require_tools(["cc"])["cc"], "qemu", "edgec_count", [SOURCE], FLAGS)
    quoted = [str(path).replace(",", ",,") for path in (library, out)]
    return ["-plugin", f"file={quoted[0]},out={quoted[1]}"]


@lru_cache
def _has_plugins(program: Path) -> bool:
    return "-plugin" in run([program, "--help"], timeout=VERSION_TIMEOUT).output


def read_counts(path: Path) -> Counts:
    """Read the plugin's file; raises E0602 where it is missing or not whole."""
    data = path.read_bytes() if path.is_file() else b""
    at = len(MAGIC) + _HEADER.size
    if data[: len(MAGIC)] != MAGIC or len(data) < at:
        raise EdgecError("E0602", "the counting plugin wrote nothing", why="QEMU did not end by itself")
    total, regions, still_open, count = _HEADER.unpack_from(data, len(MAGIC))
    blocks: list[Block] = []
    for _ in range(count):
        if at + _BLOCK.size > len(data):
            raise EdgecError("E0602", "the file of the counting plugin is cut off")
        address, executions, instructions, size = _BLOCK.unpack_from(data, at)
        at += _BLOCK.size
        blocks.append(Block(address, executions, instructions, data[at : at + size]))
        at += size
    listed = min(regions, MOST_REGIONS)
    if at + 8 * listed != len(data):
        raise EdgecError("E0602", "the file of the counting plugin is cut off")
    ends = struct.unpack_from(f"={listed}Q", data, at)
    each = tuple(end - start for start, end in zip((0, *ends), ends, strict=False))
    blocks.sort(key=lambda b: (b.address, b.code))
    return Counts(total, regions, bool(still_open), tuple(blocks), each)
