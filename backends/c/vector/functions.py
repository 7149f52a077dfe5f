"""C functions that steps share, with the helpers that they call in front of them."""

from __future__ import annotations

from edgec.backends.c.constants import Constants

LOAD_F16 = """\
static inline float32x4_t @load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
"""
STORE_F16 = """\
static inline void @store_f16(uint16_t *p, float32x4_t v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
"""
RESCALED = """\
/* Sums of up to 47 bits times m, shifted right by 16 more than -r: the low 16 bits of a sum are multiplied apart. */
static inline int32x2_t @rescaled(int64x2_t s, int32x2_t m, int64x2_t r) {
  const int32x2_t high = vshrn_n_s64(s, 16), low = vand_s32(vmovn_s64(s), vdup_n_s32(0xffff));
  const int64x2_t product = vaddq_s64(vmull_s32(high, m), vshrq_n_s64(vmull_s32(low, m), 16));
  return vqmovn_s64(vrshlq_s64(product, r));
}
"""
STORE_WORD = "static inline void @store_word(int8_t *p, int32_t v) { memcpy(p, &v, 4); }\n"
WITH_OFFSET = """\
/* Sums of four channels times multipliers plus offsets, in 64 bits, shifted right by -r, halves up. */
static inline int16x4_t @with_offset(int32x4_t s, int32x4_t m, int32x4_t r, const int32_t *offsets) {
  const int64x2_t low = vmlal_s32(vreinterpretq_s64_s32(vld1q_s32(offsets)), vget_low_s32(s), vget_low_s32(m));
  const int64x2_t high = vmlal_high_s32(vreinterpretq_s64_s32(vld1q_s32(offsets + 4)), s, m);
  const int32x2_t first = vqmovn_s64(vrshlq_s64(low, vmovl_s32(vget_low_s32(r))));
  return vqmovn_s32(vqmovn_high_s64(first, vrshlq_s64(high, vmovl_high_s32(r))));
}
"""
LOAD_FOUR = """\
#if defined(__clang__) || !defined(__GNUC__) || __GNUC__ < 10
/* Clang pairs loads, and copies vectors that are loaded together; older compilers cannot. */
#define LOAD_FOUR_(p) {{vld1q_f32(p), vld1q_f32((p) + 4), vld1q_f32((p) + 8), vld1q_f32((p) + 12)}}
#else
#define LOAD_FOUR_(p) vld1q_f32_x4(p)
#endif
"""
FENCE = """\
/* GCC loads what a whole turn of a loop needs ahead, and then lacks registers for it: no load passes this. */
#if defined(__GNUC__) && !defined(__clang__)
#define FENCE_ __asm__ volatile("" ::: "memory");
#else
#define FENCE_
#endif
"""
EARLY = """\
/* Clang makes one instruction of two loads, where they are together; GCC lacks registers for what is loaded early. */
#if defined(__clang__)
#define EARLY_(load) load
#define LATE_(load)
#else
#define EARLY_(load)
#define LATE_(load) load
#endif
"""
DONE = """\
/* Clang, for cores that issue in order, loads and multiplies ahead and then keeps sums in memory: a sum is complete
   here, and what is loaded later is loaded behind it. */
#if defined(__clang__)
#define DONE_(sum) __asm__ volatile("" : "+w"(sum));
#else
#define DONE_(sum)
#endif
"""
TWICE = """\
/* Clang writes two turns of a loop as one. */
#if defined(__clang__)
#define TWICE_ _Pragma("clang loop unroll_count(2)")
#else
#define TWICE_
#endif
"""
NOINLINE = """\
#if defined(__GNUC__)
#define NOINLINE_ __attribute__((noinline))
/* Loads stay on their side of it, of Clang too: early ones would need registers that there are not. */
#define IN_ORDER_ __asm__ volatile("" ::: "memory")
/* Clang sees which constants a pointer points to, loads them in front of the loop and keeps them on the stack. */
#define UNKNOWN_(p) __asm__ volatile("" : "+r"(p))
#else
#define NOINLINE_
#define UNKNOWN_(p) (void)0
#define IN_ORDER_ (void)0
#endif
"""
HELPERS = {
    "@store_word(": ("store_word", STORE_WORD),
    "@with_offset(": ("with_offset", WITH_OFFSET),
    "@rescaled(": ("rescaled", RESCALED),
    "@load_f16(": ("load_f16", LOAD_F16),
    "@store_f16(": ("store_f16", STORE_F16),
    "FENCE_": ("fence", FENCE),
    "EARLY_(": ("early", EARLY),
    "DONE_(": ("done", DONE),
    "TWICE_": ("twice", TWICE),
    "LOAD_FOUR_(": ("load_four", LOAD_FOUR),
}
"""What calls a helper -> its name and text."""


def add(constants: Constants, name: str, text: str) -> None:
    """Add a function, with the helpers that it calls in front of it."""
    constants.function("noinline", NOINLINE)
    for call, helper in HELPERS.items():
        if call in text:
            constants.function(*helper)
    constants.function(name, text)
