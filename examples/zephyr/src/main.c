/* Classifies the golden frames under Zephyr. */

#include <string.h>

#include <zephyr/kernel.h>

#include "digits.h"
#include "digits_golden.h"

static DIGITS_ALIGNED uint8_t arena[DIGITS_ARENA_BYTES];

int main(void) {
  int wrong = 0;
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
    printk("frame %d: a %d\n", frame, best);
  }
  printk("%d of %d frames differ from the reference\n", wrong, DIGITS_GOLDEN_FRAMES);
  return wrong != 0;
}
