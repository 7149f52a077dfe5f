"""Sums, differences and products of two tensors of binary32 in vector code, with clamps behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edgec.backends.c.fp32.finish import clamped, held
from edgec.backends.c.fp32.match import clamp_of
from edgec.backends.c.scalar import number
from edgec.backends.c.vector.functions import add
from edgec.backends.c.vector.runs import calls, run_of
from edgec.backends.c.view import View
from edgec.backends.c.writer import Writer
from edgec.formats import F32
from edgec.ops import Add, Constant, Mul, Op, Sub

SIGNS = {Add: ("add", "+"), Sub: ("sub", "-"), Mul: ("mul", "*")}
STRUCT = """\
/* The clamp behind a sum. */
typedef struct {
  float lo, hi;
} @bounds;
"""


def can(ops: Sequence[Op]) -> bool:
    """Whether both operands are computed, everything is binary32 and clamps are all that is behind."""
    op = ops[0]
    if not isinstance(op, Add | Sub | Mul) or clamp_of(ops) is None:
        return False
    return op.format == F32 and not any(isinstance(x, Constant) or x.format != F32 for x in (op.x, op.y))


def suits(ops: Sequence[Op], views: Mapping[Op, View]) -> bool:
    """Whether operands and the result lie side by side."""
    return run_of(ops[0].operands, ops[-1], views) > 0


def room(ops: Sequence[Op], views: Mapping[Op, View]) -> int:
    """It needs no scratch memory."""
    return 0


def body(w: Writer) -> list[str]:
    """Statements of a step with the operands of `w`."""
    op, bounds = w.step.ops[0], clamp_of(w.step.ops)
    assert bounds is not None
    lo, hi = bounds
    clamp = "low" * (lo > -math.inf) + "high" * (hi < math.inf)
    name = "_".join(filter(None, [f"@{SIGNS[type(op)][0]}_floats", clamp]))  # type: ignore[index]
    w.constants.function("bounds", STRUCT)
    add(w.constants, name, function(name, type(op), clamp))
    head = f"static const @bounds t = {{{number(lo, 'float')}, {number(hi, 'float')}}};"
    return [head, *calls(w, name, op.operands, "&t")]


def function(name: str, kind: type[Op], clamp: str) -> str:
    """n results from operands that lie as they do: 16 at a time, 4, then one by one."""
    word, sign = SIGNS[kind]  # type: ignore[index]

    def four(at: str) -> str:
        return clamped(f"v{word}q_f32(vld1q_f32(x0 + {at}), vld1q_f32(x1 + {at}))", clamp)

    lines = [
        f"NOINLINE_ static void {name}(const float *x0, const float *x1, float *y, int32_t n, const @bounds *t) {{",
        *("  " + line for line in held(clamp)),
        *([] if clamp else ["  (void)t;"]),
        "  int32_t k = 0;",
        "  for (; k + 16 <= n; k += 16) {",
        f"    const float32x4_t {', '.join(f'v{i} = ' + four(f'k + {4 * i}') for i in range(4))};",
        *(f"    vst1q_f32(y + k + {4 * i}, v{i});" for i in range(4)),
        "  }",
        f"  for (; k + 4 <= n; k += 4) {{ vst1q_f32(y + k, {four('k')}); }}",
        "  for (int32_t rest = n - k; rest > 0; rest--, k++) {",
        "    IN_ORDER_; /* too few for a vector loop */",
        f"    {'' if clamp else 'const '}float v = x0[k] {sign} x1[k];",
        *(["    v = v < t->lo ? t->lo : v;"] if "low" in clamp else []),
        *(["    v = v > t->hi ? t->hi : v;"] if "high" in clamp else []),
        "    y[k] = v;",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"
