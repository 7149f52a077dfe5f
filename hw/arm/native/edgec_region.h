/* Marks the region of a program whose instructions are to be counted: the first call begins it, the next ends it.
 *
 * The marker is the hint of number 0x77, in A64 and in Thumb-2. It is not allocated, so every core executes it as a NOP,
 * and no compiler emits it. On other machines the call is nothing. */
#ifndef EDGEC_REGION_H
#define EDGEC_REGION_H

static inline void edgec_region(void)
{
#if defined(__aarch64__)
    __asm__ volatile("hint #0x77" ::: "memory");
#elif defined(__thumb2__)
    __asm__ volatile(".inst.w 0xf3af8077" ::: "memory");
#endif
}

#endif
