/* A few POSIX threads that run pieces of work, for any model: `digits_threads` is {pool_run, &pool}. */
#ifndef POOL_H
#define POOL_H

#include <pthread.h>
#include <stdint.h>

#define POOL_MOST 64

typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t begun, ended;
  pthread_t threads[POOL_MOST];
  int count, stop;
  /* the work at hand: pieces from `next` on are not begun, `left` are not ended */
  void (*piece)(void *context, int32_t i);
  void *context;
  int32_t next, pieces, left;
} pool_t;

/* Starts `threads` threads, of which one is the caller's. Returns 0, or -1 if the system does not give so many. */
int pool_start(pool_t *pool, int threads);

/* Runs piece(context, i) for all i below `pieces` in all threads, and returns when all have returned. */
void pool_run(void *pool, int32_t pieces, void (*piece)(void *context, int32_t i), void *context);

void pool_stop(pool_t *pool);

#endif
