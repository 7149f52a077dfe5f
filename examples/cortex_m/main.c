/* Classifies the golden frames on a Cortex-M4 without an operating system; results go to the host by semihosting. */

#include <stdio.h>
#include <string.h>

#include "digits.h"
#include "digits_golden.h"

static DIGITS_ALIGNED uint8_t arena[DIGITS_ARENA_BYTES];

int main(int argc, char **argv) {
  (void)argc;
  (void)argv;
  int wrong = 0;
  printf("arena %d bytes, constants %d bytes\n", DIGITS_ARENA_BYTES, DIGITS_CONSTANT_BYTES);
  for (int frame = 0; frame < DIGITS_GOLDEN_FRAMES; frame++) {
    int8_t scores[DIGITS_OUTPUT_SCORES_ELEMENTS];
    if (digits_run(digits_golden_in_image + frame * DIGITS_INPUT_IMAGE_ELEMENTS, scores, arena) != 0) {
      return 2;
    }
    int best = 0;
    for (int i = 1; i < DIGITS_OUTPUT_SCORES_ELEMENTS; i++) {
      best = scores[i] > scores[best] ? i : best;
    }
    wrong += memcmp(scores, digits_golden_out_scores + frame * DIGITS_OUTPUT_SCORES_ELEMENTS, sizeof scores) != 0;
    printf("frame %d: a %d\n", frame, best);
  }
  printf("%d of %d frames differ from the reference\n", wrong, DIGITS_GOLDEN_FRAMES);
  return wrong != 0;
}
