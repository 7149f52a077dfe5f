"""What the tests of Arm programs share: small C programs whose instructions are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgec.diagnostics import EdgecError

# The loop is written in assembly: two instructions an iteration, in A64 and in Thumb.
LOOP = r"""
#include <stdio.h>
#include <stdlib.h>
#include "edgec_region.h"
int main(int argc, char **argv) {
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    int c, sum = 0;
    while ((c = getchar()) != EOF) sum += c;
    edgec_region();
    __asm__ volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(n) :: "cc");
    edgec_region();
    printf("sum %d of %d words, left %lu, half %.2f\n", sum, argc - 1, n, sum / 2.0);
    fputs("to stderr\n", stderr);
    return argc > 2 ? atoi(argv[2]) : 0;
}
"""
# Both markers in one block, then a region that spans calls; `five` has five instructions and the return.
PARTS = r"""
#include "edgec_region.h"
__attribute__((naked, noinline)) void five(void) { __asm__ volatile("nop\n nop\n nop\n nop\n nop\n %s"); }
int main(void) {
    edgec_region();
    __asm__ volatile("nop\n nop\n nop");
    edgec_region();
    five();
    edgec_region();
    five();
    five();
    edgec_region();
    return 0;
}
"""
HANG = 'int main(void) { for (;;) __asm__ volatile(""); }'
SDOT = r"""
#include <arm_neon.h>
#include <stdio.h>
int main(void) {
    volatile signed char a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = i - 8, b[i] = 3 * i - 20;
    int32x4_t sum = vdotq_s32(vdupq_n_s32(0), vld1q_s8((const signed char *)a), vld1q_s8((const signed char *)b));
    printf("%d %d %d %d\n", sum[0], sum[1], sum[2], sum[3]);
    return 0;
}
"""


def sdot_words() -> list[int]:
    """What SDOT prints."""
    products = [(i - 8) * (3 * i - 20) for i in range(16)]
    return [sum(products[4 * lane : 4 * lane + 4]) for lane in range(4)]


def source(folder: Path, text: str, name: str = "program.c") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def fails(code: str, action: Callable[[], object]) -> EdgecError:
    with pytest.raises(EdgecError) as caught:
        action()
    assert caught.value.code == code, caught.value
    return caught.value
