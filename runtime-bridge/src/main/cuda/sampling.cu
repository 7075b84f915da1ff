// The next token of each sequence, and the step to its position.
#include "numbers.cuh"

// Largest logit, ties to the lower id. One block a row.
extern "C" __global__ void __launch_bounds__(1024) argmax(const float* logits, int vocabulary, int* ids) {
  __shared__ float best_of[WARP];
  __shared__ int id_of[WARP];
  const float* row = logits + (size_t)blockIdx.x * vocabulary;
  float best = -INFINITY;
  int id = 0x7fffffff;
  for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
    if (row[i] > best || id == 0x7fffffff) {
      best = row[i];
      id = i;
    }
  }
  for (int round = 0; round < 2; round++) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, best, step);
      const int where = __shfl_xor_sync(0xffffffffu, id, step);
      if (other > best || (other == best && where < id)) {
        best = other;
        id = where;
      }
    }
    if (round == 0) {
      if (threadIdx.x % WARP == 0) {
        best_of[threadIdx.x / WARP] = best;
        id_of[threadIdx.x / WARP] = id;
      }
      __syncthreads();
      best = threadIdx.x % WARP < blockDim.x / WARP ? best_of[threadIdx.x % WARP] : -INFINITY;
      id = threadIdx.x % WARP < blockDim.x / WARP ? id_of[threadIdx.x % WARP] : 0x7fffffff;
    }
  }
  if (threadIdx.x == 0) {
    ids[blockIdx.x] = id;
  }
}

// Softmax at a temperature, cut to the most probable tokens that together reach top_p, one drawn by uniform[row] in the
// order of ids. The cut: the largest weight t such that the weights >= t reach the share, found bit by bit; tokens of equal
// weight stay or go together. weights [rows][vocabulary] is scratch. One block of 1024 a row.
extern "C" __global__ void __launch_bounds__(1024) sample(
    const float* logits, float* weights, const float* uniform, float temperature, float top_p, int vocabulary, int* ids) {
  __shared__ float room[WARP];
  __shared__ float runs[1024];
  const float* row = logits + (size_t)blockIdx.x * vocabulary;
  float* weight = weights + (size_t)blockIdx.x * vocabulary;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
    most = fmaxf(most, row[i]);
  }
  most = block_max(most, room);
  float sum = 0;
  for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
    const float w = expf((row[i] - most) / temperature);
    weight[i] = w;
    sum += w;
  }
  const float total = block_sum(sum, room);
  uint32_t cut = 0;
  if (top_p < 1) {
    for (int bit = 29; bit >= 0; bit--) {  // weights are in [0, 1]: their bits order as they do
      const float t = __uint_as_float(cut | 1u << bit);
      float kept = 0;
      for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
        kept += weight[i] >= t ? weight[i] : 0;
      }
      if (block_sum(kept, room) >= top_p * total) {
        cut |= 1u << bit;
      }
    }
  }
  const float t = __uint_as_float(cut);
  const int run = (vocabulary + blockDim.x - 1) / blockDim.x;
  const int from = min((int)threadIdx.x * run, vocabulary);
  const int to = min(from + run, vocabulary);
  float mine = 0;
  for (int i = from; i < to; i++) {
    mine += weight[i] >= t ? weight[i] : 0;
  }
  __syncthreads();
  runs[threadIdx.x] = mine;
  __syncthreads();
  if (threadIdx.x == 0) {
    float kept = 0;
    for (int r = 0; r < blockDim.x; r++) {
      kept += runs[r];
    }
    const float goal = uniform[blockIdx.x] * kept;
    float before = 0;
    int r = 0;
    while (r < blockDim.x - 1 && before + runs[r] <= goal) {
      before += runs[r++];
    }
    int last = -1;
    for (int i = r * run; i < vocabulary; i++) {
      if (weight[i] >= t && weight[i] > 0) {
        last = i;
        before += weight[i];
        if (before > goal) {
          break;
        }
      }
    }
    for (int i = r * run - 1; last < 0 && i >= 0; i--) {  // rounding left nothing behind the goal
      last = weight[i] >= t && weight[i] > 0 ? i : -1;
    }
    ids[blockIdx.x] = last;
  }
}

// Row by row: keeps the new id, moves to the next position. history [steps][rows].
extern "C" __global__ void advance(const int* ids, int* positions, int* visible, int* history, int* step, int rows) {
  const int now = *step;
  for (int i = threadIdx.x; i < rows; i += blockDim.x) {
    history[(size_t)now * rows + i] = ids[i];
    positions[i]++;
    visible[i]++;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    *step = now + 1;
  }
}

// Seeded numbers for models without a checkpoint: RandomValues.java has the formula. The first `zeros` are 0.
__device__ __forceinline__ uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

template <typename W>
__device__ void fill(W* to, size_t count, uint64_t seed, int exponent, size_t zeros) {
  const size_t fours = (count + 3) / 4;
  for (size_t four = (size_t)blockIdx.x * blockDim.x + threadIdx.x; four < fours; four += (size_t)gridDim.x * blockDim.x) {
    const uint64_t mixed = mix(seed + four * 0x9e3779b97f4a7c15ULL);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const size_t i = four * 4 + j;
      const uint32_t bits = (uint32_t)(mixed >> (16 * j)) & 0xffff;
      const uint32_t lower = (bits >> 7 & 1) + (bits >> 8 & 1);
      const uint32_t half = (bits & 0x8000) | (exponent - lower + 127) << 7 | (bits & 0x7f);
      if (i < count) {
        put(to + i, i < zeros ? 0.0f : __uint_as_float(half << 16));  // exact in bf16 too
      }
    }
  }
}

extern "C" __global__ void fill_h(bf16* to, size_t count, unsigned long long seed, int exponent, size_t zeros) {
  fill(to, count, seed, exponent, zeros);
}
extern "C" __global__ void fill_f(float* to, size_t count, unsigned long long seed, int exponent, size_t zeros) {
  fill(to, count, seed, exponent, zeros);
}
