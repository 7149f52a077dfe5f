"""binary16 in C99, which has no such type: kept as its bits, computed in binary32.

Arm's compilers have one, `__fp16`, which their processors convert in an instruction: to the same bits, but for NaN."""

from __future__ import annotations

import re

HARDWARE = "defined(__ARM_FP16_FORMAT_IEEE) && defined(__ARM_FP) && (__ARM_FP & 2)"
FROM_HALF = """\
static inline float @from_half(uint16_t h) {
  union { uint16_t u; __fp16 f; } v;
  v.u = h;
  return (float)v.f;
}
#else
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
  union { uint16_t u; __fp16 f; } v;
  v.f = (__fp16)x;
  return v.u;
}
#else
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


BESIDE = re.compile(r"(^#if (\w+)$(?:(?!^#endif$).)*?^#else$(.*?)^#endif$)", re.M | re.S)
"""Plain code behind vector code, as `emit` writes them."""


def helpers(code: str, name: str) -> list[str]:
    """The functions of the model `name` that `code` calls, `@` for the prefix of their names; compilers complain about
    any other, so that those of plain code stand where there is no vector code beside it."""
    choice = f"#if {HARDWARE} && !defined({name.upper()}_PORTABLE)\n"
    rounds = _callers(code, "round_half")
    found = []
    for text, callers in (
        (f"{choice}{FROM_HALF}#endif\n", _callers(code, "from_half") + rounds),
        (f"{choice}{TO_HALF}#endif\n", _callers(code, "to_half") + rounds),
        (ROUND_HALF, rounds),
    ):
        if "" in callers:
            found.append(text)
        elif callers:
            condition = " || ".join(f"!{guard}" for guard in dict.fromkeys(callers))
            found.append(f"#if {condition}\n{text}#endif\n")
    return found


def _callers(code: str, function: str) -> list[str]:
    """The macros without which calls of a function are compiled, "" for calls that always are."""
    guards, rest, call = [], code, f"_{function}("
    for whole, guard, plain in BESIDE.findall(code):
        rest = rest.replace(whole, "")
        guards += [guard] * (call in plain)
    return guards + [""] * (call in rest)
