// Counts the routes of a mapped .npy file of bytes, [token][layer][rank], as a plain loop: what
// RouteCounter counts, without checks of the ids; the distinct expert sets only with -DSETS, for at
// most 64 experts.
// cc -O3 -march=native -DLAYERS=12 -DEXPERTS=8 -DTOP_K=2 -DSETS -o count_routes count_routes.c
// count_routes FILE DATA_OFFSET TOKENS COUNTS; prints wall and CPU nanoseconds, distinct sets.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int64_t choices[LAYERS][EXPERTS];
static int64_t first_choices[LAYERS][EXPERTS];
static int64_t first_pairs[LAYERS][EXPERTS][EXPERTS];
static int64_t pair_units[LAYERS][EXPERTS][EXPERTS];
static int64_t together[LAYERS][EXPERTS][EXPERTS];

static int64_t distinct_sets;

#ifdef SETS
typedef struct {
  uint64_t set;
  int64_t tokens;  // 0: free
} entry;

static struct {
  entry *entries;
  uint64_t mask;
  uint64_t size;
} sets[LAYERS];

static void add_set(int layer, uint64_t set, int64_t tokens) {
  uint64_t hash = set * 0x9e3779b97f4a7c15u;
  uint64_t slot = (hash ^ hash >> 32) & sets[layer].mask;
  while (sets[layer].entries[slot].tokens != 0 && sets[layer].entries[slot].set != set) {
    slot = (slot + 1) & sets[layer].mask;
  }
  entry *at = &sets[layer].entries[slot];
  at->set = set;
  sets[layer].size += at->tokens == 0;
  at->tokens += tokens;
}

static void make_room(int layer) {
  if (sets[layer].size * 2 <= sets[layer].mask && sets[layer].entries != NULL) return;
  entry *old = sets[layer].entries;
  const uint64_t slots = old == NULL ? 0 : sets[layer].mask + 1;
  sets[layer].mask = old == NULL ? 15 : 2 * slots - 1;
  sets[layer].size = 0;
  sets[layer].entries = calloc(sets[layer].mask + 1, sizeof(entry));
  if (sets[layer].entries == NULL) abort();
  for (uint64_t i = 0; i < slots; i++) {
    if (old[i].tokens != 0) add_set(layer, old[i].set, old[i].tokens);
  }
  free(old);
}
#endif

static void count(const uint8_t *restrict trace, int64_t tokens) {
  const int64_t units = (2 * (1 << 20) / (TOP_K * TOP_K) + 1) / 2;
  for (int64_t t = 0; t < tokens; t++) {
    const uint8_t *token = trace + t * (LAYERS * TOP_K);
    for (int layer = 0; layer < LAYERS; layer++) {
      const uint8_t *here = token + layer * TOP_K;
#ifdef SETS
      uint64_t set = 0;
      for (int i = 0; i < TOP_K; i++) set |= (uint64_t)1 << here[i];
      make_room(layer);
      add_set(layer, set, 1);
#endif
      first_choices[layer][here[0]]++;
      for (int i = 0; i < TOP_K; i++) {
        choices[layer][here[i]]++;
        for (int j = 0; j < i; j++) {
          const int a = here[i], b = here[j];
          together[layer][a < b ? a : b][a < b ? b : a]++;
        }
      }
      if (layer + 1 < LAYERS) {
        const uint8_t *next = here + TOP_K;
        first_pairs[layer][here[0]][next[0]]++;
        for (int i = 0; i < TOP_K; i++) {
          for (int j = 0; j < TOP_K; j++) {
            pair_units[layer][here[i]][next[j]] += units;
          }
        }
      }
    }
  }
}

static int64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "count_routes FILE DATA_OFFSET TOKENS COUNTS\n");
    return 2;
  }
  const int64_t offset = atoll(argv[2]), tokens = atoll(argv[3]);
  const int file = open(argv[1], O_RDONLY);
  const int64_t wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
  const int64_t bytes = offset + tokens * LAYERS * TOP_K;
  const uint8_t *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  if (file < 0 || map == MAP_FAILED) {
    perror(argv[1]);
    return 1;
  }
  count(map + offset, tokens);
  const int64_t wall_end = now(CLOCK_MONOTONIC), cpu_end = now(CLOCK_PROCESS_CPUTIME_ID);
#ifdef SETS
  for (int layer = 0; layer < LAYERS; layer++) distinct_sets += sets[layer].size;
#endif
  printf("%lld %lld %lld\n", (long long)(wall_end - wall), (long long)(cpu_end - cpu),
         (long long)distinct_sets);
  FILE *out = fopen(argv[4], "wb");
  if (out == NULL || fwrite(choices, sizeof choices, 1, out) != 1 ||
      fwrite(first_choices, sizeof first_choices, 1, out) != 1 ||
      fwrite(first_pairs, sizeof first_pairs, 1, out) != 1 ||
      fwrite(pair_units, sizeof pair_units, 1, out) != 1 ||
      fwrite(together, sizeof together, 1, out) != 1 || fclose(out) != 0) {
    perror(argv[4]);
    return 1;
  }
  return 0;
}
