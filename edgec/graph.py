"""The graph: named outputs over immutable ops, and the one driver that rewrites it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from edgec.diagnostics import EdgecError
from edgec.ops import Constant, Input, Op

Uses = Callable[[Op], int]
Rule = Callable[[Op, Uses], Op | None]


@dataclass(frozen=True, eq=False)
class Graph:
    """Inputs and named outputs; what no output needs is absent. Every stage of a pipeline is such a graph.

    `meta` holds small facts about the source (producer, opset, numeric profile) as strings.
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[tuple[str, Op], ...]
    meta: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, names in (("input", [i.name for i in self.inputs]), ("output", [n for n, _ in self.outputs])):
            if len(set(names)) != len(names):
                raise EdgecError("E0102", f"two {kind}s of one name among {', '.join(names)}")
        if not self.outputs:
            raise EdgecError("E0102", "a graph needs an output")
        known = set(self.inputs)
        for op in self.ops:
            if isinstance(op, Input) and op not in known:
                raise EdgecError("E0102", f"the graph uses input {op.name!r}, which is not among its inputs")

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """All reachable ops, operands before users, in a deterministic order; unused inputs come first."""
        seen: dict[Op, None] = dict.fromkeys(self.inputs)
        for _, output in self.outputs:
            for op in topological(output, seen):
                seen[op] = None
        return tuple(seen)

    @cached_property
    def users(self) -> Mapping[Op, tuple[Op, ...]]:
        """The ops that use an op as operand, in order; outputs are not counted here."""
        users: dict[Op, list[Op]] = {op: [] for op in self.ops}
        for op in self.ops:
            for operand in dict.fromkeys(op.operands):
                users[operand].append(op)
        return {op: tuple(u) for op, u in users.items()}

    def use_count(self, op: Op) -> int:
        """How many ops and outputs read `op`."""
        return len(self.users.get(op, ())) + sum(o is op for _, o in self.outputs)

    def with_outputs(self, outputs: Iterable[tuple[str, Op]], **changes: Any) -> Graph:
        return replace(self, outputs=tuple(outputs), **changes)

    def input(self, name: str) -> Input:
        for candidate in self.inputs:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    @property
    def parameters(self) -> int:
        """Number of constant elements that ops with weights read."""
        return sum(op.tensor.size for op in self.ops if isinstance(op, Constant))


def topological(output: Op, done: Mapping[Op, None] | None = None) -> Iterator[Op]:
    """Ops below `output` in operand-first order without recursion, those in `done` left out."""
    visited = set(done or ())
    stack: list[tuple[Op, bool]] = [(output, False)]
    while stack:
        op, ready = stack.pop()
        if ready:
            yield op
            continue
        if op in visited:
            continue
        visited.add(op)
        stack.append((op, True))
        stack.extend((o, False) for o in reversed(op.operands) if o not in visited)


def rewrite(graph: Graph, rule: Rule, *, limit: int = 64) -> Graph:
    """Apply `rule(op, uses)` bottom up until it returns None (or the op itself) for every op.

    A rule sees an op whose operands are rewritten already, and `uses(op)` tells how often an operand is read, what
    it replaced included (fusing an op that is read twice would compute it twice). What the rule returns is offered
    to it again, at most `limit` times; new ops without `loc` inherit that of the op they replace.
    """
    mapping: dict[Op, Op] = {}
    origin: dict[Op, Op] = {}
    reads: dict[Op, int] = {}  # of what ops became; several may have become one

    def uses(op: Op) -> int:
        return reads[op] if op in reads else graph.use_count(origin.get(op, op)) or 1

    for op in graph.ops:
        new = op.with_operands(mapping[o] for o in op.operands)
        if new is not op:
            origin[new] = op
        for _ in range(limit):
            changed = rule(new, uses)
            if changed is None or changed is new:
                break
            if not changed.loc and new.loc and not isinstance(changed, Input | Constant):
                changed = changed.replace(loc=new.loc, type=changed.type)
            origin.setdefault(changed, op)
            new = changed
        else:
            raise EdgecError("E0102", f"a rewrite rule does not come to an end after {limit} steps", layer=new.label)
        removed = any(mapping[o] is new for o in op.operands)  # its own read of what replaces it is gone
        reads[new] = reads.get(new, 0) + graph.use_count(op) - removed
        mapping[op] = new
    inputs = tuple(i for i in (mapping[i] for i in graph.inputs) if isinstance(i, Input))
    return replace(graph, inputs=inputs, outputs=tuple((n, mapping[o]) for n, o in graph.outputs))
