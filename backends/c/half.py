"""binary16 in C99, which has no such type: kept as its bits, computed in binary32."""

from __future__ import annotations

FROM_HALF = """\
static inline float @from_half(uint16_t h) {
  const uint32_t sign = (uint32_t)(h >> 15) << 31, e = (h >> 10) & 31u, m = h & 1023u;
  union { uint32_t u; float f; } v;
  if (e == 31) { v.u = sign | 0x7f800000u | (m << 13); return v.f; }
  if (e == 0) { v.f = (float)m * 0x1p-24f; v.u |= sign; return v.f; }
  v.u = sign | ((e + 112u) << 23) | (m << 13);
  return v.f;
}
"""

TO_HALF = """\
static inline uint16_t @to_half(float x) {
  union { float f; uint32_t u; } v;
  v.f = x;
  const uint32_t sign = (v.u >> 16) & 0x8000u, a = v.u & 0x7fffffffu;
  if (a > 0x7f800000u) { return (uint16_t)(sign | 0x7e00u); }
  if (a >= 0x477ff000u) { return (uint16_t)(sign | 0x7c00u); }
  if (a < 0x38800000u) { /* subnormal: the unit is 2^-24 */
    union { uint32_t u; float f; } w;
    w.u = a;
    w.f = w.f * 0x1p24f + 0x1p23f;
    return (uint16_t)(sign | ((w.u - 0x4b000000u) & 0xffffu));
  }
  return (uint16_t)(sign | ((a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13));
}
"""

ROUND_HALF = """\
static inline float @round_half(float x) { return @from_half(@to_half(x)); }
"""


def helpers(code: str) -> list[str]:
    """The functions that `code` calls, `@` for the prefix of their names; compilers complain about any other."""
    rounds = "_round_half(" in code
    wanted = (rounds or "_from_half(" in code, rounds or "_to_half(" in code, rounds)
    return [text for text, used in zip((FROM_HALF, TO_HALF, ROUND_HALF), wanted, strict=True) if used]
