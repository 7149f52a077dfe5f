"""Loops of several basic blocks, found in A64 code and in how often each was executed.

A block that is simulated as if it followed itself waits for registers that it wrote itself a turn before. In a loop of
several blocks another one has written them: places of a depthwise window, whose columns change their registers from
place to place, waited for each other so. The blocks of such a loop are simulated one behind the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgec.hw.arm.plugin import Block

ALIKE = 4
"""Blocks that are executed more than so many times as often as others are a loop within theirs."""


def in_loops(blocks: Sequence[Block]) -> list[list[Block]]:
    """The blocks in parts: those of a loop in the order of execution, as often as they are executed in a turn of it, or
    one alone."""
    starts: dict[int, Block] = {}
    for block in blocks:
        starts.setdefault(block.address, block)
    edges = {a: [s for s in successors(b) if s in starts] for a, b in starts.items()}
    found: list[list[int]] = []
    todo = [{a for a in starts if a not in edges[a]}]
    while todo:
        for part in _components(todo.pop(), edges):
            most = max(starts[a].executions for a in part)
            often = {a for a in part if ALIKE * starts[a].executions >= most}
            if len(often) < len(part):
                todo.append(often)
            elif len(part) > 1:
                found.append(_turn(part, edges, {a: starts[a].executions for a in part}))
    looping = {a for turn in found for a in turn}
    alone = [[b] for b in blocks if starts[b.address] is not b or b.address not in looping]
    return [[starts[a] for a in turn] for turn in found] + alone


def _turn(part: set[int], edges: dict[int, list[int]], executions: dict[int, int]) -> list[int]:
    """A way through a loop, from one of its blocks that are executed least often until nothing is left to go to; loops
    within it come before what follows them."""
    least = min(executions.values())
    left = {a: round(n / least) for a, n in executions.items()}
    at = min(a for a in part if executions[a] == least)
    way = []
    while True:
        way.append(at)
        left[at] -= 1
        onward = [a for a in edges[at] if left.get(a, 0) > 0]
        if not onward:
            return way
        at = min(onward, key=lambda a: (-left[a], a > at))


def _components(nodes: set[int], edges: dict[int, list[int]]) -> list[set[int]]:
    """The strongly connected components of some nodes (Kosaraju; Sharir, A strong-connectivity algorithm, 1981)."""
    backward: dict[int, list[int]] = {a: [] for a in nodes}
    for a in nodes:
        for to in edges[a]:
            if to in nodes:
                backward[to].append(a)
    order: list[int] = []
    seen: set[int] = set()
    for first in sorted(nodes):
        path = [(first, iter(edges[first]))] if first not in seen else []
        seen.add(first)
        while path:
            a, onward = path[-1]
            to = next((t for t in onward if t in nodes and t not in seen), None)
            if to is None:
                order.append(a)
                path.pop()
            else:
                seen.add(to)
                path.append((to, iter(edges[to])))
    found, taken = [], set()
    for root in reversed(order):
        if root in taken:
            continue
        part, stack = {root}, [root]
        while stack:
            more = [a for a in backward[stack.pop()] if a not in taken and a not in part]
            part.update(more)
            stack += more
        taken |= part
        found.append(part)
    return found


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
