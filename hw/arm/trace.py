"""Cycles of executed code: basic blocks as QEMU counted them, each priced by LLVM's model of the core's pipeline.

A block costs what one more repetition of it costs once the pipeline is full: (cycles of 2 N repetitions less those of
N) / N, as llvm-mca simulates them. Loops of A cores are simulated as they run, all their blocks one behind the other
(`loops`); another block is taken to overlap with those around it as it does with itself. Every access hits the first
cache and every branch is predicted: what a board adds to that is in one factor a core, `cycles.trace_scale` of its
target (docs/estimates-arm.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgec.diagnostics import EdgecError
from edgec.hw.arm.loops import in_loops
from edgec.hw.arm.plugin import Block
from edgec.hw.arm.timings import m4_cycles
from edgec.hw.tools.doctor import require_tools
from edgec.hw.tools.process import run

REPETITIONS = 100
PAGE = 4096
"""Bytes of a page; QEMU translates no block beyond its end."""
COVERED = 0.99
"""Share of the executed instructions whose blocks are simulated; the others are taken to be like these."""
A64, V7EM, V81M = "aarch64-linux-gnu", "thumbv7em-none-eabihf", "thumbv8.1m.main-none-eabihf"
PIPELINES = {
    "cortex-a53": (A64, "cortex-a55"),
    "cortex-a55": (A64, "cortex-a55"),
    "cortex-a72": (A64, "cortex-a72"),
    "cortex-a76": (A64, "neoverse-n1"),
    "cortex-a78": (A64, "neoverse-n1"),
    "cortex-x1": (A64, "neoverse-v1"),
    "cortex-a510": (A64, "cortex-a510"),
    "cortex-a710": (A64, "neoverse-n2"),
    "cortex-m4": (V7EM, "cortex-m4"),
    "cortex-m7": (V7EM, "cortex-m7"),
    "cortex-m55": (V81M, "cortex-m55"),
}
"""LLVM's target and processor by core. Its own model of the A53 does not forward accumulators, which makes chains of
multiply-accumulates two to three times too slow; its A76, A78 and X1 are the A57. Neoverse N1 is an A76, which the A78
resembles, and Neoverse V1 an X1 with SVE. Neoverse N2 is an A710. Code for the M4 is only disassembled: `timings` has
its cycles."""


@dataclass(frozen=True)
class Trace:
    """`cycles` and `instructions` of all blocks; of the latter, the share that was `simulated`."""

    cycles: float
    instructions: int
    simulated: float


def trace(blocks: Sequence[Block], core: str) -> Trace:
    """Cycles of `blocks` on `core`, unscaled. Raises E0204 for a core without a model, E06xx for the tools."""
    blocks = joined(blocks)
    circles = core in PIPELINES and PIPELINES[core][0] == A64
    units = in_loops(blocks) if circles else [[block] for block in blocks]
    everything = sum(map(_executed, units))
    chosen = _covering(units, COVERED * everything)
    covered = sum(map(_executed, chosen))
    if not covered:
        return Trace(0.0, 0, 1.0)
    each = block_cycles([b"".join(b.code for b in unit) for unit in chosen], core)
    cycles = sum(_executed(u) / sum(b.instructions for b in u) * c for u, c in zip(chosen, each, strict=True))
    return Trace(cycles * everything / covered, everything, covered / everything)


def _executed(unit: Sequence[Block]) -> int:
    return sum(b.executions * b.instructions for b in set(unit))


def joined(blocks: Sequence[Block]) -> list[Block]:
    """Blocks that QEMU cut where a page of memory ends, whole again: what lies behind the end belongs to all blocks
    that lead there, if it was executed as often as these together."""
    found = {(b.address, len(b.code)): b for b in blocks}
    starts = {b.address: b for b in blocks}
    for page in sorted(a for a in starts if a % PAGE == 0):
        rest = starts[page]
        leading = [b for b in found.values() if b.address + len(b.code) == page]
        if sum(b.executions for b in leading) != rest.executions:
            continue
        del found[rest.address, len(rest.code)]
        for b in leading:
            del found[b.address, len(b.code)]
            block = Block(b.address, b.executions, b.instructions + rest.instructions, b.code + rest.code)
            found[b.address, len(block.code)] = block
    return sorted(found.values(), key=lambda b: b.address)


def _covering(units: Sequence[list[Block]], wanted: float) -> list[list[Block]]:
    """Those with most instructions executed, until these are `wanted`."""
    chosen, covered = [], 0
    for unit in sorted(units, key=lambda u: (-_executed(u), u[0].address)):
        if covered >= wanted:
            break
        chosen.append(unit)
        covered += _executed(unit)
    return chosen


def block_cycles(codes: Sequence[bytes], core: str) -> list[float]:
    """Cycles of one more repetition of every block of machine code, on a full pipeline of `core`."""
    if core not in PIPELINES:
        raise EdgecError("E0204", f"there is no model of the pipeline of {core}", remedy=f"of {', '.join(PIPELINES)}")
    triple, cpu = PIPELINES[core]
    if triple != A64:
        codes = [whole(code) for code in codes]
    found = disassembled(codes, triple, cpu)
    if core == "cortex-m4":
        return [m4_cycles(lines) for lines in found]
    texts = [[simulable(line) for line in lines] for lines in found]
    once, twice = (_simulated(texts, triple, cpu, n) for n in (REPETITIONS, 2 * REPETITIONS))
    return [(b - a) / REPETITIONS for a, b in zip(once, twice, strict=True)]


def disassembled(codes: Sequence[bytes], triple: str, cpu: str) -> list[list[str]]:
    """The instructions of every block, one a line; raises E0602 where the disassembler returns another number."""
    marker = b"\x40\x4b\x8b\xd2" if triple == A64 else b"\x45\xf6\x5a\x20"  # a move of 0x5a5a into register 0
    data = b"".join(code + marker for code in codes)
    text = " ".join(f"0x{byte:02x}" for byte in data)
    words = [_tool("llvm-mc"), "--disassemble", f"-triple={triple}", *_processor(triple, cpu)]
    done = run(words, timeout=120, stdin=text.encode(), apart=True)
    found: list[list[str]] = [[]]
    for line in done.stdout.decode().splitlines():
        words = line.split("//")[0].split("@")[0].strip()
        if not words or words.startswith("."):
            continue
        if re.fullmatch(r"movw?(..)?\s+[xr]0, #23130", words):
            found.append([])
        else:
            found[-1].append(words)
    if len(found) != len(codes) + 1 or found[-1]:
        raise EdgecError("E0602", f"llvm-mc found {len(found) - 1} blocks of code, not {len(codes)}", op="llvm-mc")
    return found[:-1]


def whole(code: bytes) -> bytes:
    """Thumb code without a last instruction of which only the first half is there: QEMU 7.2 gives no more of one that
    crosses a page, which ends its block."""
    at = 0
    while at < len(code):
        wide = code[at + 1] >> 3 in (0b11101, 0b11110, 0b11111)
        if at + 2 + 2 * wide > len(code):
            return code[:at]
        at += 2 + 2 * wide
    return code


def simulable(instruction: str) -> str:
    """The instruction as llvm-mca takes it: calls, for which it assumes 100 cycles, are jumps. Loads of a vector
    register that move their pointer on do so before they load: as LLVM's A57 and Neoverse N2 have it, the pointer would
    come with what is loaded, five and six cycles later."""
    name, _, operands = instruction.partition("\t")
    if name == "ldr":
        return re.sub(r"^ldr\t([bhsdq]\d+), \[(\w+)\], (#-?\d+)$", r"ldr\t\1, [\2, \3]!", instruction)
    jump = {"bl": "b", "blr": "br", "blx": "bx" if operands.startswith(("r", "lr")) else "b"}.get(name)
    return f"{jump}\t{operands}" if jump else instruction


def _simulated(texts: list[list[str]], triple: str, cpu: str, repetitions: int) -> list[float]:
    """Cycles of that many repetitions of every block. Instructions that the model does not know cost nothing."""
    source = "".join(
        f"# LLVM-MCA-BEGIN {k}\n" + "".join(f"{line}\n" for line in lines) + "# LLVM-MCA-END\n"
        for k, lines in enumerate(texts)
    )
    words = [_tool("llvm-mca"), f"-mtriple={triple}", *_processor(triple, cpu), f"-iterations={repetitions}", "-json"]
    words += ["-instruction-info=0", "-resource-pressure=0", "-skip-unsupported-instructions=any"]
    done = run(words, timeout=600, stdin=source.encode(), apart=True)
    regions: list[dict[str, Any]] = json.loads(done.stdout)["CodeRegions"]
    cycles = {region["Name"]: float(region["SummaryView"]["TotalCycles"]) for region in regions}
    return [cycles.get(str(k), 0.0) for k in range(len(texts))]


def _processor(triple: str, cpu: str) -> list[str]:
    return [f"-mcpu={cpu}", *(["-mattr=+all"] if triple == A64 else [])]


def _tool(name: str) -> Any:
    return require_tools([name])[name].executable()
