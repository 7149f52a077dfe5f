"""C functions that steps share, with the helpers that they call in front of them."""

from __future__ import annotations

from edgec.backends.c.constants import Constants

STORE_WORD = "static inline void @store_word(int8_t *p, int32_t v) { memcpy(p, &v, 4); }\n"
NOINLINE = """\
#if defined(__GNUC__)
#define NOINLINE_ __attribute__((noinline))
#else
#define NOINLINE_
#endif
"""


def add(constants: Constants, name: str, text: str) -> None:
    """Add a function, with the helpers that it calls in front of it."""
    constants.function("noinline", NOINLINE)
    if "@store_word(" in text:
        constants.function("store_word", STORE_WORD)
    constants.function(name, text)
