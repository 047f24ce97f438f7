/* Runs kernels one after the other, the blocks of each on a pool of threads that stays between runs.
 *
 * Each thread goes through a stretch of blocks, one after the other, so that what a block fetches for the next one is there. Who
 * has none left takes half of another's. Which thread computes a block changes nothing in its result, so results are the same bits
 * for any number of threads. A kernel is finished when its blocks are, whoever computed them: a thread that is still
 * being woken, or that the system does not let run, is waited for only while it has a block. Runs of one library take turns.
 * The pool ends when the library is unloaded.
 */
#ifndef UNMOOR_THREADS_H
#define UNMOOR_THREADS_H

#if !defined(__wasm__)
#include <pthread.h>
#include <stdatomic.h>
#endif
#include <stdbool.h>
#include <stdint.h>

/* A kernel computes blocks begin to end - 1. */
typedef void (*unmoor_kernel)(const void *arguments, int64_t begin, int64_t end);

typedef struct {
  unmoor_kernel kernel;
  int64_t blocks;
#if !defined(__wasm__)
  _Atomic int64_t begun; /* stretches that threads have asked for: may exceed all there are */
  _Atomic int64_t finished;
#endif
} unmoor_launch;

enum { UNMOOR_MOST_THREADS = 256, UNMOOR_SPINS = 4000, UNMOOR_STACK = 4 << 20 };

static inline int64_t unmoor_larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* To the next multiple of 64. */
static inline int64_t unmoor_align(int64_t bytes) { return (bytes + 63) / 64 * 64; }

static inline bool unmoor_is_aligned(const void *pointer, uintptr_t alignment) {
  return pointer != 0 && (uintptr_t)pointer % alignment == 0;
}

#if defined(__wasm__)

/* WebAssembly without threads: the caller computes all blocks. */
static void unmoor_run_launches(unmoor_launch *launches, int32_t count, const void *arguments, int32_t threads) {
  (void)threads;
  for (int32_t i = 0; i < count; i++) {
    if (launches[i].blocks > 0) launches[i].kernel(arguments, 0, launches[i].blocks);
  }
}

#else

static inline void unmoor_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static struct {
  pthread_mutex_t turn;  /* one run at a time */
  pthread_mutex_t mutex; /* of the two conditions and of what has no other order */
  pthread_cond_t work;   /* a run begins, or the pool ends */
  pthread_cond_t step;   /* what a thread waits for within a run has come */
  pthread_t threads[UNMOOR_MOST_THREADS];
  int32_t started; /* threads of the pool */
  bool ending;
  _Atomic int64_t run; /* number of the last run */
  _Atomic int32_t asleep; /* threads that wait for `step` */
  /* The current run. */
  bool open; /* threads may join */
  unmoor_launch *launches;
  int32_t launch_count;
  const void *arguments;
  int32_t members; /* threads that may take part, the caller among them */
  struct {
    _Alignas(64) _Atomic uint64_t stretch;
  } left[UNMOOR_MOST_THREADS]; /* by thread: what it has before it */
  _Atomic int64_t inside; /* threads of the pool that take part and have not left */
} unmoor_pool = {
  .turn = PTHREAD_MUTEX_INITIALIZER,
  .mutex = PTHREAD_MUTEX_INITIALIZER,
  .work = PTHREAD_COND_INITIALIZER,
  .step = PTHREAD_COND_INITIALIZER,
};

/* Looks at a counter for a moment: to sleep and be woken takes longer than a small kernel. Returned: whether it came to a number. */
static bool unmoor_watch(_Atomic int64_t *counter, int64_t number) {
  for (int32_t i = 0; i < UNMOOR_SPINS; i++) {
    if (atomic_load_explicit(counter, memory_order_acquire) == number) return true;
    unmoor_pause();
  }
  return false;
}

/* Waits until a counter has come to a number. */
static void unmoor_await(_Atomic int64_t *counter, int64_t number) {
  if (unmoor_watch(counter, number)) return;
  pthread_mutex_lock(&unmoor_pool.mutex);
  atomic_fetch_add(&unmoor_pool.asleep, 1);
  while (atomic_load(counter) != number) pthread_cond_wait(&unmoor_pool.step, &unmoor_pool.mutex);
  atomic_fetch_sub(&unmoor_pool.asleep, 1);
  pthread_mutex_unlock(&unmoor_pool.mutex);
}

/* Adds to a counter, and wakes who sleeps until it has come to a number. Whoever falls asleep meanwhile sees the sum. */
static void unmoor_advance(_Atomic int64_t *counter, int64_t more, int64_t number) {
  if (atomic_fetch_add(counter, more) + more != number || atomic_load(&unmoor_pool.asleep) == 0) return;
  pthread_mutex_lock(&unmoor_pool.mutex);
  pthread_cond_broadcast(&unmoor_pool.step);
  pthread_mutex_unlock(&unmoor_pool.mutex);
}

/* A stretch in one word, which changes at once: ranges of blocks `from` to `to` - 1 of a launch. None comes twice within a run. */
static inline uint64_t unmoor_stretch(int64_t launch, int64_t from, int64_t to) {
  return (uint64_t)launch << 44 | (uint64_t)from << 22 | (uint64_t)to;
}
static inline int64_t unmoor_launch_of(uint64_t stretch) { return (int64_t)(stretch >> 44); }
static inline int64_t unmoor_from(uint64_t stretch) { return (int64_t)(stretch >> 22 & 0x3fffff); }
static inline int64_t unmoor_to(uint64_t stretch) { return (int64_t)(stretch & 0x3fffff); }

static bool unmoor_exchange(_Atomic uint64_t *word, uint64_t *found, uint64_t wanted) {
  return atomic_compare_exchange_weak_explicit(word, found, wanted, memory_order_relaxed, memory_order_relaxed);
}

/* Takes half of the longest stretch that is left of a launch. Returned: whether there was one. */
static bool unmoor_take_half(int32_t own, int64_t launch) {
  for (;;) {
    int32_t other = -1;
    int64_t most = 0;
    uint64_t stretch = 0;
    for (int32_t i = 0; i < unmoor_pool.members; i++) {
      const uint64_t found = atomic_load_explicit(&unmoor_pool.left[i].stretch, memory_order_relaxed);
      const int64_t ranges = unmoor_launch_of(found) == launch ? unmoor_to(found) - unmoor_from(found) : 0;
      if (ranges <= most) continue;
      other = i;
      most = ranges;
      stretch = found;
    }
    if (other < 0) return false;
    const int64_t from = unmoor_from(stretch), to = unmoor_to(stretch), half = from + most / 2;
    if (unmoor_exchange(&unmoor_pool.left[other].stretch, &stretch, unmoor_stretch(launch, from, half))) {
      const uint64_t rest = unmoor_stretch(launch, half, to);
      atomic_store_explicit(&unmoor_pool.left[own].stretch, rest, memory_order_relaxed);
      return true;
    }
  }
}

/* The next range for a thread, of so many that a launch has; -1 where none is left to begin. */
static int64_t unmoor_next(int32_t own, int64_t number, int64_t ranges) {
  const int64_t members = unmoor_pool.members;
  _Atomic int64_t *const begun = &unmoor_pool.launches[number].begun;
  _Atomic uint64_t *const mine = &unmoor_pool.left[own].stretch;
  for (;;) {
    uint64_t stretch = atomic_load_explicit(mine, memory_order_relaxed);
    while (unmoor_from(stretch) < unmoor_to(stretch)) {
      const int64_t from = unmoor_from(stretch);
      if (unmoor_exchange(mine, &stretch, unmoor_stretch(number, from + 1, unmoor_to(stretch)))) return from;
    }
    /* Those of threads that have not come yet are begun by others. */
    const int64_t part = atomic_fetch_add_explicit(begun, 1, memory_order_relaxed);
    if (part < members) {
      const uint64_t whole = unmoor_stretch(number, ranges * part / members, ranges * (part + 1) / members);
      atomic_store_explicit(mine, whole, memory_order_relaxed);
    } else if (!unmoor_take_half(own, number))
      return -1;
  }
}

static void unmoor_take_part(int32_t own) {
  const int64_t members = unmoor_pool.members;
  const int32_t count = unmoor_pool.launch_count;
  for (int32_t i = 0; i < count; i++) {
    unmoor_launch *const launch = &unmoor_pool.launches[i];
    const int64_t blocks = launch->blocks;
    if (blocks <= 0) continue;
    /* Single blocks balance best; of very many, ranges are taken. */
    const int64_t range = unmoor_larger(1, blocks / (members * 256));
    const int64_t ranges = (blocks + range - 1) / range;
    for (int64_t at; (at = unmoor_next(own, i, ranges)) >= 0;) {
      const int64_t begin = at * range;
      const int64_t end = blocks - begin < range ? blocks : begin + range;
      launch->kernel(unmoor_pool.arguments, begin, end);
      unmoor_advance(&launch->finished, end - begin, blocks);
    }
    unmoor_await(&launch->finished, blocks);
  }
}

static void *unmoor_worker(void *number) {
  const int32_t own = (int32_t)(intptr_t)number;
  int64_t seen = 0;
  pthread_mutex_lock(&unmoor_pool.mutex);
  for (;;) {
    while (!unmoor_pool.ending && (!unmoor_pool.open || unmoor_pool.run == seen || own >= unmoor_pool.members)) {
      pthread_cond_wait(&unmoor_pool.work, &unmoor_pool.mutex);
    }
    if (unmoor_pool.ending) break;
    seen = unmoor_pool.run;
    atomic_fetch_add(&unmoor_pool.inside, 1);
    pthread_mutex_unlock(&unmoor_pool.mutex);
    unmoor_take_part(own);
    unmoor_advance(&unmoor_pool.inside, -1, 0);
    unmoor_watch(&unmoor_pool.run, seen + 1); /* the layers of a model follow closely */
    pthread_mutex_lock(&unmoor_pool.mutex);
  }
  pthread_mutex_unlock(&unmoor_pool.mutex);
  return 0;
}

/* Starts threads that are still lacking; fewer where the system refuses. */
static int32_t unmoor_start(int32_t wanted) {
  if (wanted > UNMOOR_MOST_THREADS) wanted = UNMOOR_MOST_THREADS;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return 1;
  pthread_attr_setstacksize(&attributes, UNMOOR_STACK);
  while (unmoor_pool.started + 1 < wanted) {
    const int32_t number = unmoor_pool.started + 1;
    if (pthread_create(&unmoor_pool.threads[number], &attributes, unmoor_worker, (void *)(intptr_t)number) != 0) break;
    unmoor_pool.started = number;
  }
  pthread_attr_destroy(&attributes);
  return unmoor_pool.started + 1 < wanted ? unmoor_pool.started + 1 : wanted;
}

static void unmoor_run_launches(unmoor_launch *launches, int32_t count, const void *arguments, int32_t threads) {
  if (threads == 1) {
    for (int32_t i = 0; i < count; i++) {
      if (launches[i].blocks > 0) launches[i].kernel(arguments, 0, launches[i].blocks);
    }
    return;
  }
  pthread_mutex_lock(&unmoor_pool.turn);
  const int32_t members = unmoor_start(threads);
  pthread_mutex_lock(&unmoor_pool.mutex);
  unmoor_pool.launches = launches;
  unmoor_pool.launch_count = count;
  unmoor_pool.arguments = arguments;
  unmoor_pool.members = members;
  unmoor_pool.open = true;
  unmoor_pool.run++;
  pthread_cond_broadcast(&unmoor_pool.work);
  pthread_mutex_unlock(&unmoor_pool.mutex);
  unmoor_take_part(0);
  pthread_mutex_lock(&unmoor_pool.mutex);
  unmoor_pool.open = false;
  pthread_mutex_unlock(&unmoor_pool.mutex);
  /* The launches are the caller's: nobody may look at them any more. */
  unmoor_await(&unmoor_pool.inside, 0);
  pthread_mutex_unlock(&unmoor_pool.turn);
}

__attribute__((destructor)) static void unmoor_end(void) {
  pthread_mutex_lock(&unmoor_pool.mutex);
  unmoor_pool.ending = true;
  pthread_cond_broadcast(&unmoor_pool.work);
  pthread_mutex_unlock(&unmoor_pool.mutex);
  for (int32_t i = 1; i <= unmoor_pool.started; i++) pthread_join(unmoor_pool.threads[i], 0);
}

#endif

#endif
