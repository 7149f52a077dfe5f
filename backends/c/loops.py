"""Loop nests over tensors: axes in the order of memory, neighbours that lie one behind the other made one loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

INDENT = "  "
SHORTEST = 8
"""Bytes from which on a run is copied by `memcpy`, which compilers make loads and stores of where it is short."""


@dataclass(frozen=True)
class Nest:
    """Loops (variable, count), outermost first; `strides` of every tensor by loop."""

    loops: tuple[tuple[str, int], ...]
    strides: tuple[tuple[int, ...], ...]

    def index(self, tensor: int, offset: int = 0) -> str:
        """The element of a tensor that the loops are at."""
        return affine([(name, s) for (name, _), s in zip(self.loops, self.strides[tensor], strict=True)], offset)

    def write(self, body: Sequence[str], depth: int = 1) -> list[str]:
        lines = []
        for k, (name, count) in enumerate(self.loops):
            lines.append(f"{INDENT * (depth + k)}for (int32_t {name} = 0; {name} < {count}; {name}++) {{")
        inner = depth + len(self.loops)
        lines += [INDENT * inner + line for line in body]
        lines += [INDENT * (depth + k) + "}" for k in reversed(range(len(self.loops)))]
        return lines

    def run(self, size: int) -> int:
        """Elements of `size` bytes that lie one behind the other in both tensors, if they are worth a `memcpy`."""
        if not self.loops or any(strides[-1] != 1 for strides in self.strides[:2]):
            return 1
        count = self.loops[-1][1]
        return count if count * size >= SHORTEST else 1

    def copy(self, target: str, at: int, source: str, start: int, size: int, depth: int = 1) -> list[str]:
        """Copy elements of `size` bytes from tensor 0 to tensor 1; runs without gaps in both as one."""
        if self.run(size) == 1:
            return self.write([f"{target}[{self.index(1, at)}] = {source}[{self.index(0, start)}];"], depth)
        k = len(self.loops) - 1
        outer = Nest(self.loops[:k], tuple(s[:k] for s in self.strides))
        to, of = f"{target} + {outer.index(1, at)}", f"{source} + {outer.index(0, start)}"
        return outer.write([f"memcpy({to}, {of}, {self.loops[k][1] * size});"], depth)


def affine(terms: Sequence[tuple[str, int]], offset: int = 0) -> str:
    """name * stride + ... + offset as C, without what adds nothing."""
    parts = [name if stride == 1 else f"{name} * {stride}" for name, stride in terms if stride > 0]
    parts += [f"({name} * ({stride}))" for name, stride in terms if stride < 0]
    parts += [str(offset)] if offset or not parts else []
    return " + ".join(parts)


def nest(
    shape: Sequence[int], strides: Sequence[Sequence[int]], order: Sequence[int] | None = None, merge: bool = True
) -> Nest:
    """Loops over `shape` for tensors with `strides` (one sequence a tensor), axes in `order`; merged where all allow.

    Without `merge` loop a is named `i{axis}`, and every axis has one, whatever its size."""
    axes = [a for a in (order if order is not None else range(len(shape))) if not merge or shape[a] != 1]
    if not merge:
        return Nest(tuple((f"i{a}", shape[a]) for a in axes), tuple(tuple(t[a] for a in axes) for t in strides))
    merged: list[tuple[int, list[int]]] = []
    for a in axes:
        step = [t[a] for t in strides]
        if merged and all(outer == inner * shape[a] for outer, inner in zip(merged[-1][1], step, strict=True)):
            merged[-1] = (merged[-1][0] * shape[a], step)
        else:
            merged.append((shape[a], step))
    loops = tuple((f"i{k}", count) for k, (count, _) in enumerate(merged))
    return Nest(loops, tuple(tuple(step[t] for _, step in merged) for t in range(len(strides))))
