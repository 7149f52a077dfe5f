/* Runs the golden frames in several threads, and compares the scores with those of the reference. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"
#include "digits_golden.h"
#include "pool.h"

static DIGITS_ALIGNED uint8_t arena[DIGITS_ARENA_BYTES];

int main(int argc, char **argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 4;
  pool_t pool;
  if (pool_start(&pool, threads) != 0) {
    fprintf(stderr, "no %d threads\n", threads);
    return 2;
  }
  const digits_threads by = {pool_run, &pool};
  int wrong = 0;
  for (int frame = 0; frame < DIGITS_GOLDEN_FRAMES; frame++) {
    int8_t scores[DIGITS_OUTPUT_SCORES_ELEMENTS];
    if (digits_run_parallel(digits_golden_in_image + frame * DIGITS_INPUT_IMAGE_ELEMENTS, scores, arena, &by) != 0) {
      return 2;
    }
    wrong += memcmp(scores, digits_golden_out_scores + frame * DIGITS_OUTPUT_SCORES_ELEMENTS, sizeof scores) != 0;
  }
  pool_stop(&pool);
  printf("%d frames in %d threads, %d wrong\n", DIGITS_GOLDEN_FRAMES, threads, wrong);
  return wrong != 0;
}
