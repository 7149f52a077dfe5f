"""Functions in single precision: exp, tanh, erf and what is made of them, without a branch, so that compilers make
vectors of them, and cores without binary64 need no emulation.

The interpreter computes these in binary64 and rounds once; here the error is up to two units in the last place of the
result, or of 1 for those of tanh and erf. So only floats on which no integer depends are computed this way.

Coefficients: minimax fits to the functions (`bench/single_functions.py` finds them, and measures the errors over all
of binary32).
"""

from __future__ import annotations

from edgec.formats import TupleType
from edgec.graph import Graph
from edgec.ops import Op

EXP = """\
static inline float @exp_f32(float x) { /* 2^n times the exponential of what is left, at most ln(2) / 2 */
  union { float f; uint32_t u; } bits, half, rest;
  const float inside = x < -110.0f ? -110.0f : x > 90.0f ? 90.0f : x;
  bits.f = inside * 0x1.715476p+0f + 0x1.8p+23f; /* the sum's last bits are n */
  const float n = bits.f - 0x1.8p+23f;
  const float r = (inside - n * 0x1.62ep-1f) - n * 0x1.0bfbe8p-15f;
  const float p = (((0x1.6a2252p-10f * r + 0x1.123b04p-7f) * r + 0x1.5558f8p-5f) * r + 0x1.555490p-3f) * r
                  + 0x1.fffffcp-2f;
  const uint32_t m = bits.u - 0x4b3fff00u; /* n + 256; two factors, as one may be too large or small for a float */
  half.u = ((m >> 1) - 1u) << 23;
  rest.u = (m - (m >> 1) - 1u) << 23;
  return (p * (r * r) + r + 1.0f) * half.f * rest.f;
}
"""
SIGMOID = """\
static inline float @sigmoid_f32(float x) {
  const float e = @exp_f32(-fabsf(x));
  return (x >= 0 ? 1.0f : e) / (1.0f + e);
}
"""
TANH = """\
static inline float @tanh_f32(float x) {
  const float a = fabsf(x), z = x * x;
  const float p = (((-0x1.722ae0p-8f * z + 0x1.5157f4p-6f) * z - 0x1.b81dc0p-5f) * z + 0x1.110646p-3f) * z
                  - 0x1.55552ep-2f;
  const float near = p * z * a + a, far = 1.0f - 2.0f / (@exp_f32(2.0f * a) + 1.0f);
  return copysignf(a < 0.625f ? near : far, x);
}
"""
ERF = """\
static inline float @erf_f32(float x) {
  const float a = fabsf(x) > 4.0f ? 4.0f : fabsf(x), z = a * a;
  const float p = (((((0x1.496a28p-14f * z - 0x1.a3f6fcp-11f) * z + 0x1.5405b2p-8f) * z - 0x1.b7f90cp-6f) * z
                    + 0x1.ce2cf8p-4f) * z - 0x1.81273ep-2f) * z + 0x1.20dd74p+0f;
  const float q = (((((0x1.938bf6p-13f * a - 0x1.8a55c4p-9f) * a + 0x1.69e24ap-6f) * a - 0x1.a882c2p-4f) * a
                    - 0x1.4668a2p-1f) * a - 0x1.20a234p+0f) * a - 0x1.0099cep-12f;
  return copysignf(a < 0.96875f ? p * a : 1.0f - @exp_f32(q), x);
}
"""
TEXTS = {"exp": EXP, "sigmoid": SIGMOID, "tanh": TANH, "erf": ERF}
CALLS = {
    "exp": "@exp_f32({x})",
    "sigmoid": "@sigmoid_f32({x})",
    "tanh": "@tanh_f32({x})",
    "erf": "@erf_f32({x})",
    "gelu": "0.5f * {x} * (1.0f + @erf_f32({x} * 0x1.6a09e6p-1f))",
    "gelu_tanh": "0.5f * {x} * (1.0f + @tanh_f32(0x1.988454p-1f * ({x} + 0x1.6e4e26p-5f * {x} * {x} * {x})))",
}
"""Functions of one operand as expressions."""


def helpers(code: str) -> list[str]:
    """The functions that `code` calls, `@` for the prefix of their names; compilers complain about any other."""
    wanted = {name for name in TEXTS if f"_{name}_f32(" in code}
    if wanted:
        wanted.add("exp")
    return [text for name, text in TEXTS.items() if name in wanted]


def without_integers(graph: Graph) -> set[Op]:
    """The ops on which only floats depend, whose results are allowed a small error."""
    users: dict[Op, list[Op]] = {}
    for op in graph.ops:
        for operand in op.operands:
            users.setdefault(operand, []).append(op)
    found: set[Op] = set()
    for op in reversed(graph.ops):
        kinds = op.type.elements if isinstance(op.type, TupleType) else (op.tensor,)
        if all(kind.format.is_float for kind in kinds) and all(user in found for user in users.get(op, ())):
            found.add(op)
    return found
