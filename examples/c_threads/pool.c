#include "pool.h"

/* Takes pieces until none is left; the mutex is held at the beginning and at the end. */
static void work(pool_t *pool) {
  while (pool->next < pool->pieces) {
    const int32_t i = pool->next++;
    void (*piece)(void *, int32_t) = pool->piece;
    void *context = pool->context;
    pthread_mutex_unlock(&pool->mutex);
    piece(context, i);
    pthread_mutex_lock(&pool->mutex);
    if (--pool->left == 0) {
      pthread_cond_signal(&pool->ended);
    }
  }
}

static void *thread(void *context) {
  pool_t *pool = context;
  pthread_mutex_lock(&pool->mutex);
  while (!pool->stop) {
    work(pool);
    if (!pool->stop) {
      pthread_cond_wait(&pool->begun, &pool->mutex);
    }
  }
  pthread_mutex_unlock(&pool->mutex);
  return 0;
}

int pool_start(pool_t *pool, int threads) {
  pool->count = pool->stop = 0;
  pool->next = pool->pieces = pool->left = 0;
  pthread_mutex_init(&pool->mutex, 0);
  pthread_cond_init(&pool->begun, 0);
  pthread_cond_init(&pool->ended, 0);
  while (pool->count < threads - 1 && pool->count < POOL_MOST) {
    if (pthread_create(&pool->threads[pool->count], 0, thread, pool) != 0) {
      pool_stop(pool);
      return -1;
    }
    pool->count++;
  }
  return 0;
}

void pool_run(void *context, int32_t pieces, void (*piece)(void *context, int32_t i), void *operands) {
  pool_t *pool = context;
  pthread_mutex_lock(&pool->mutex);
  pool->piece = piece;
  pool->context = operands;
  pool->next = 0;
  pool->pieces = pool->left = pieces;
  pthread_cond_broadcast(&pool->begun);
  work(pool);
  while (pool->left > 0) {
    pthread_cond_wait(&pool->ended, &pool->mutex);
  }
  pthread_mutex_unlock(&pool->mutex);
}

void pool_stop(pool_t *pool) {
  pthread_mutex_lock(&pool->mutex);
  pool->stop = 1;
  pthread_cond_broadcast(&pool->begun);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->count; i++) {
    pthread_join(pool->threads[i], 0);
  }
  pthread_cond_destroy(&pool->ended);
  pthread_cond_destroy(&pool->begun);
  pthread_mutex_destroy(&pool->mutex);
}
