/* Classifies the golden frames, which are pictures of digits, and compares the scores with those of the reference. */

#include <stdio.h>
#include <string.h>

#include "digits.h"
#include "digits_golden.h"

static DIGITS_ALIGNED uint8_t arena[DIGITS_ARENA_BYTES];

static int largest(const int8_t *scores) {
  int best = 0;
  for (int i = 1; i < DIGITS_OUTPUT_SCORES_ELEMENTS; i++) {
    best = scores[i] > scores[best] ? i : best;
  }
  return best;
}

int main(void) {
  int wrong = 0;
  for (int frame = 0; frame < DIGITS_GOLDEN_FRAMES; frame++) {
    const uint8_t *image = digits_golden_in_image + frame * DIGITS_INPUT_IMAGE_ELEMENTS;
    const int8_t *golden = digits_golden_out_scores + frame * DIGITS_OUTPUT_SCORES_ELEMENTS;
    int8_t scores[DIGITS_OUTPUT_SCORES_ELEMENTS];
    if (digits_run(image, scores, arena) != 0) {
      return 2;
    }
    const int same = memcmp(scores, golden, sizeof scores) == 0;
    wrong += !same;
    printf("frame %d: a %d%s\n", frame, largest(scores), same ? "" : ", but the reference has other scores");
  }
  return wrong != 0;
}
