"""Applies a named numeric profile: the arithmetic of a known chip on a network made for it.

A profile adds the rounding of each product before it is summed, which no importer can know. It changes results, so
the formats of every layer are compared with those that the profile states, and a network that differs is refused
(E0314) with the layer and the formats. `passes/_profiles.py` has the table with sources.
"""

from __future__ import annotations

from edgec.diagnostics import Diagnostic, EdgecError, nearest
from edgec.formats import Format, Quantizer, smallest_fixed
from edgec.graph import Graph, Uses, rewrite
from edgec.ops import Cast, Constant, Conv, Dense, MaxPool, Op, Relu, Reshape, Transpose, centered_range
from edgec.ops.mac import product_range
from edgec.passes._profiles import PROFILES, LayerRule
from edgec.pipeline import Context
from edgec.rounding import shift_round


def apply(graph: Graph, context: Context, *, profile: str = "exact") -> Graph:
    """`graph` with the products of every layer rounded as `profile` states; raises E0204 and E0314."""
    if profile not in PROFILES:
        raise EdgecError("E0204", f"unknown numeric profile {profile!r}", remedy=nearest(profile, PROFILES))
    rules = PROFILES[profile]
    if rules is None:
        return graph
    chosen = {
        op: rules.conv if isinstance(op, Conv) else rules.dense for op in graph.ops if isinstance(op, Conv | Dense)
    }
    problems = [d for op, rule in chosen.items() for d in _misfits(graph, op, rule, profile)]
    if not chosen:
        problems = [Diagnostic("E0314", f"profile {profile}: the network has no convolution or dense layer")]
    if problems:
        raise EdgecError.of(problems)

    def rule(op: Op, uses: Uses) -> Op | None:
        if isinstance(op, Conv | Dense) and op.product is None:
            return op.replace(product=product_quantizer(op, rules.conv if isinstance(op, Conv) else rules.dense))
        return None

    new = rewrite(graph, rule)
    return Graph(new.name, new.inputs, new.outputs, {**new.meta, "numerics": profile})


def product_quantizer(op: Conv | Dense, rule: LayerRule) -> Quantizer:
    """The rounding of the products of `op`, with enough integer bits for all of them."""
    frac = (op.x.format.frac or 0) + (op.w.format.frac or 0)
    ends = product_range(centered_range(op.x.format), centered_range(op.w.format))
    lo, hi = (int(shift_round(v, frac - rule.product_frac, rule.rounding)) for v in ends)  # type: ignore[arg-type]
    return Quantizer(smallest_fixed(lo, hi, rule.product_frac), rule.rounding, "saturate")


def _misfits(graph: Graph, op: Conv | Dense, rule: LayerRule, profile: str) -> list[Diagnostic]:
    """Diagnostics for the formats of `op` that are not the profile's."""
    found: list[tuple[str, Format, Format]] = [
        ("input", op.x.format, rule.inputs),
        ("weights", op.w.format, rule.weights),
    ]
    if isinstance(op.b, Constant) and not _holds(op.b, rule.weights):
        found.append(("bias", op.b.format, rule.weights))
    results = _results(graph, op)
    found += [("result", r.format, rule.result) for r in results]
    problems = [
        Diagnostic("E0314", f"profile {profile}: {what} in {has}, not {wants}", op.label, op.mnemonic)
        for what, has, wants in found
        if has != wants
    ]
    if op.product is not None or op.acc is not None or op.out is not None:
        what = f"profile {profile}: the layer states its own rounding"
        problems.append(Diagnostic("E0314", what, op.label, op.mnemonic))
    if not results:
        what = f"profile {profile}: the result is not quantised to {rule.result}"
        problems.append(Diagnostic("E0314", what, op.label, op.mnemonic))
    return problems


def _holds(bias: Constant, fmt: Format) -> bool:
    """Whether every value of `bias` is one of `fmt` (a pass may have chosen a narrower format)."""
    return bool((fmt.decode(fmt.encode(bias.values)) == bias.values).all())


def _results(graph: Graph, op: Op) -> list[Cast]:
    """The casts that the result of `op` reaches through activations and moves."""
    casts: list[Cast] = []
    stack = list(graph.users[op])
    while stack:
        user = stack.pop()
        if isinstance(user, Cast):
            casts.append(user)
        elif isinstance(user, Relu | Reshape | Transpose | MaxPool):
            stack.extend(graph.users[user])
    return casts
