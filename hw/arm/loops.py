"""Loops of several basic blocks, found in A64 code and in how often it was executed.

A block that is simulated as if it followed itself waits for registers that it wrote itself a turn before. In a loop of
several blocks another one has written them: places of a depthwise window, whose columns change their registers from
place to place, waited for each other so. The blocks of such a loop are simulated one behind the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgec.hw.arm.plugin import Block

ALIKE = 2
"""Blocks of a loop are not executed more than so many times as often as each other."""


def in_loops(blocks: Sequence[Block]) -> list[list[Block]]:
    """Every block once: with those of its loop, in the order of execution, or alone.

    A block is taken to be followed by the successor that is executed most often; loops are the circles of these."""
    starts: dict[int, Block] = {}
    for block in blocks:
        starts.setdefault(block.address, block)
    following: dict[int, int] = {}
    for address, block in starts.items():
        known = [starts[a] for a in successors(block) if a in starts]
        if known:
            following[address] = max(known, key=lambda b: b.executions).address
    found, looping, seen = [], set(), set()
    for address in starts:
        path, at = [], address
        while at not in seen and at in following:
            seen.add(at)
            path.append(at)
            at = following[at]
        circle = [starts[a] for a in path[path.index(at) :]] if at in path else []
        counts = [b.executions for b in circle]
        if len(circle) > 1 and max(counts) <= ALIKE * min(counts):
            found.append(circle)
            looping |= {id(b) for b in circle}
    return found + [[b] for b in blocks if id(b) not in looping]


def successors(block: Block) -> list[int]:
    """Where an A64 block goes on: behind its end, at the target of its branch, or either. Nowhere known: behind calls
    and returns. Arm Architecture Reference Manual for A-profile, C4.1.93, branches."""
    end = block.address + len(block.code)
    word = int.from_bytes(block.code[-4:], "little")

    def target(first: int, bits: int) -> int:
        offset = word >> first & (1 << bits) - 1
        return end - 4 + 4 * (offset - (offset >> bits - 1 << bits))

    if word >> 26 == 0b000101:  # B
        return [target(0, 26)]
    if word >> 26 == 0b100101 or word >> 25 == 0b1101011:  # BL, BR, BLR, RET
        return []
    if word >> 25 == 0b0101010 or word >> 25 & 0b0111111 == 0b0011010:  # B.cond, CBZ, CBNZ
        return [end, target(5, 19)]
    if word >> 25 & 0b0111111 == 0b0011011:  # TBZ, TBNZ
        return [end, target(5, 14)]
    return [end]
