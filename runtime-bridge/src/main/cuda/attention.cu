// Attention over a key-value cache.
//
// The cache of a layer: keys and values each [slot][capacity][kv heads][dim]; a slot is a sequence of the batch. Query head h
// reads kv head h / (heads / kv heads). visible[row]: how many keys of its slot the row sees.
#include "numbers.cuh"

// What the q, k and v projections of a row become: q and k turned by the row's position (pairs i, i + dim / 2; frequencies
// null: not at all), q stored, k and v appended to the cache. qkv [rows][(heads + 2 * kv_heads) * dim].
// Grid: (heads + 2 * kv_heads, rows).
template <typename A>
__device__ void split_heads(
    const A* qkv, const int* slots, const int* positions, const float* frequencies, A* q, A* keys, A* values, int heads,
    int kv_heads, int capacity, int dim) {
  const size_t row = blockIdx.y;
  const int head = blockIdx.x;
  const A* from = qkv + (row * (heads + 2 * kv_heads) + head) * dim;
  const int position = positions[row];
  const size_t cached = ((size_t)slots[row] * capacity + position) * kv_heads;
  A* to;
  if (head < heads) {
    to = q + (row * heads + head) * dim;
  } else if (head < heads + kv_heads) {
    to = keys + (cached + head - heads) * dim;
  } else {
    to = values + (cached + head - heads - kv_heads) * dim;
  }
  const bool turned = frequencies != nullptr && head < heads + kv_heads;
  for (int i = threadIdx.x; i < dim; i += blockDim.x) {
    float v = number(from[i]);
    if (turned) {
      const int half = dim / 2;
      const float other = i < half ? -number(from[i + half]) : number(from[i - half]);
      float sine, cosine;
      sincosf(position * frequencies[i % half], &sine, &cosine);
      v = v * cosine + other * sine;
    }
    put(to + i, v);
  }
}

// One warp for a row, a head and a part of `chunk` keys. Unnormalised sums to partial [rows][heads][parts][dim], and the
// largest score and the sum of weights to stats [rows][heads][parts][2]. Grid: (parts, heads, rows), a warp a block.
// dim at most 256.
template <typename A>
__device__ void attend(
    const A* q, const A* keys, const A* values, const int* slots, const int* visible, float* partial, float* stats,
    float scale, int heads, int kv_heads, int capacity, int dim, int chunk) {
  extern __shared__ float query[];
  const int lane = threadIdx.x;
  const int part = blockIdx.x;
  const int head = blockIdx.y;
  const int row = blockIdx.z;
  const int end = min((part + 1) * chunk, visible[row]);
  const size_t out = ((size_t)row * heads + head) * gridDim.x + part;
  if (part * chunk >= end) {
    if (lane == 0) {
      stats[2 * out] = -INFINITY;
      stats[2 * out + 1] = 0;
    }
    return;
  }
  for (int i = lane; i < dim; i += WARP) {
    query[i] = number(q[((size_t)row * heads + head) * dim + i]) * scale;
  }
  __syncwarp();
  const size_t step = (size_t)kv_heads * dim;
  const size_t cached = slots[row] * capacity * step + (size_t)(head / (heads / kv_heads)) * dim;
  const A* key_rows = keys + cached;
  const A* value_rows = values + cached;
  float most = -INFINITY;
  float total = 0;
  float sums[8] = {};
  for (int base = part * chunk; base < end; base += WARP) {
    const int key = base + lane;
    float score = -INFINITY;
    if (key < end) {
      const A* k = key_rows + key * step;
      score = 0;
      int i = 0;
      if (dim % 8 == 0) {
        for (; i < dim; i += 8) {
          float part_of[8];
          eight(k + i, part_of);
#pragma unroll
          for (int j = 0; j < 8; j++) {
            score += part_of[j] * query[i + j];
          }
        }
      }
      for (; i < dim; i++) {
        score += number(k[i]) * query[i];
      }
    }
    const float higher = fmaxf(most, warp_max(score));
    const float shrink = expf(most - higher);
    const float weight = expf(score - higher);
    most = higher;
    total = total * shrink + warp_sum(weight);
#pragma unroll
    for (int d = 0; d < 8; d++) {
      sums[d] *= shrink;
    }
    const int count = min(WARP, end - base);
    for (int j = 0; j < count; j++) {
      const float w = __shfl_sync(0xffffffffu, weight, j);
      const A* v = value_rows + (base + j) * step;
#pragma unroll
      for (int d = 0; d < 8; d++) {
        if (d * WARP + lane < dim) {
          sums[d] += w * number(v[d * WARP + lane]);
        }
      }
    }
  }
#pragma unroll
  for (int d = 0; d < 8; d++) {
    if (d * WARP + lane < dim) {
      partial[out * dim + d * WARP + lane] = sums[d];
    }
  }
  if (lane == 0) {
    stats[2 * out] = most;
    stats[2 * out + 1] = total;
  }
}

// The same for bf16, all query heads of a kv head at once: a block of four warps takes 64 keys, reads keys and values
// once, 16 bytes a lane. Grid: (parts of 64 keys, kv heads, rows). heads / kv_heads at most GROUP.
template <int GROUP, int DIM>
__device__ void attend_group(
    const bf16* q, const bf16* keys, const bf16* values, const int* slots, const int* visible, float* partial,
    float* stats, float scale, int heads, int kv_heads, int capacity) {
  constexpr int KEYS = 64;
  constexpr int WARPS = 4;
  constexpr int LANES = DIM / 8;                  // lanes for one key
  constexpr int TURNS = KEYS / WARPS * LANES / WARP;  // loads that bring a warp's 16 keys
  __shared__ float scores[GROUP][KEYS];
  __shared__ __align__(16) float parts_of[WARPS][GROUP][DIM];
  const int group = heads / kv_heads;
  const int lane = threadIdx.x % WARP;
  const int warp = threadIdx.x / WARP;
  const int part = blockIdx.x;
  const int kv = blockIdx.y;
  const size_t row = blockIdx.z;
  const int begin = part * KEYS;
  const int end = min(begin + KEYS, visible[row]);
  const size_t first_head = row * heads + (size_t)kv * group;
  if (begin >= end) {
    for (int g = threadIdx.x; g < group; g += blockDim.x) {
      stats[2 * ((first_head + g) * gridDim.x + part)] = -INFINITY;
      stats[2 * ((first_head + g) * gridDim.x + part) + 1] = 0;
    }
    return;
  }
  const int d = lane % LANES * 8;
  const size_t step = (size_t)kv_heads * DIM;
  const size_t cached = slots[row] * capacity * step + (size_t)kv * DIM + d;
  const int key0 = begin + warp * (KEYS / WARPS) + lane / LANES;
  uint4 raw[TURNS];
#pragma unroll
  for (int t = 0; t < TURNS; t++) {
    const int key = min(key0 + t * (WARP / LANES), end - 1);
    raw[t] = *reinterpret_cast<const uint4*>(keys + cached + key * step);
  }
  float query[GROUP][8];
#pragma unroll
  for (int g = 0; g < GROUP; g++) {
    eight(q + (first_head + min(g, group - 1)) * DIM + d, query[g]);
  }
#pragma unroll
  for (int t = 0; t < TURNS; t++) {
    const bf16* eight_of = reinterpret_cast<const bf16*>(&raw[t]);
    float k[8];
#pragma unroll
    for (int j = 0; j < 8; j++) {
      k[j] = number(eight_of[j]);
    }
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
      float sum = 0;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        sum += k[j] * query[g][j];
      }
#pragma unroll
      for (int step = LANES / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
      }
      if (lane % LANES == 0) {
        const int key = key0 + t * (WARP / LANES);
        scores[g][key - begin] = key < end ? sum * scale : -INFINITY;
      }
    }
  }
#pragma unroll
  for (int t = 0; t < TURNS; t++) {
    const int key = min(key0 + t * (WARP / LANES), end - 1);
    raw[t] = *reinterpret_cast<const uint4*>(values + cached + key * step);
  }
  __syncthreads();
  float most[GROUP];
#pragma unroll
  for (int g = 0; g < GROUP; g++) {
    most[g] = warp_max(fmaxf(scores[g][lane], scores[g][WARP + lane]));
    const float total = warp_sum(expf(scores[g][lane] - most[g]) + expf(scores[g][WARP + lane] - most[g]));
    if (threadIdx.x == 0 && g < group) {
      stats[2 * ((first_head + g) * gridDim.x + part)] = most[g];
      stats[2 * ((first_head + g) * gridDim.x + part) + 1] = total;
    }
  }
  float sums[GROUP][8] = {};
#pragma unroll
  for (int t = 0; t < TURNS; t++) {
    const bf16* eight_of = reinterpret_cast<const bf16*>(&raw[t]);
    float v[8];
#pragma unroll
    for (int j = 0; j < 8; j++) {
      v[j] = number(eight_of[j]);
    }
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
      const float weight = expf(scores[g][key0 - begin + t * (WARP / LANES)] - most[g]);
#pragma unroll
      for (int j = 0; j < 8; j++) {
        sums[g][j] += weight * v[j];
      }
    }
  }
#pragma unroll
  for (int g = 0; g < GROUP; g++) {
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int step = WARP / 2; step >= LANES; step /= 2) {
        sums[g][j] += __shfl_xor_sync(0xffffffffu, sums[g][j], step);
      }
    }
    if (lane < LANES) {
      put_eight(&parts_of[warp][g][d], sums[g]);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < group * DIM; i += blockDim.x) {
    const int g = i / DIM;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      sum += parts_of[w][g][i % DIM];
    }
    partial[((first_head + g) * gridDim.x + part) * DIM + i % DIM] = sum;
  }
}

#define ATTEND_GROUP(GROUP, DIM)                                                                                      \
  extern "C" __global__ void __launch_bounds__(128) attend_group_##GROUP##_##DIM(                                     \
      const bf16* q, const bf16* keys, const bf16* values, const int* slots, const int* visible, float* partial,      \
      float* stats, float scale, int heads, int kv_heads, int capacity) {                                                 \
    attend_group<GROUP, DIM>(q, keys, values, slots, visible, partial, stats, scale, heads, kv_heads, capacity);          \
  }

ATTEND_GROUP(4, 64)
ATTEND_GROUP(4, 128)
ATTEND_GROUP(8, 64)
ATTEND_GROUP(8, 128)

// Joins the parts. Grid: (heads, rows), blocks of whole warps.
template <typename A>
__device__ void attend_join(const float* partial, const float* stats, A* out, int parts, int heads, int dim) {
  const size_t at = (size_t)blockIdx.y * heads + blockIdx.x;
  float most = -INFINITY;
  for (int p = 0; p < parts; p++) {
    most = fmaxf(most, stats[2 * (at * parts + p)]);
  }
  float total = 0;
  for (int p = 0; p < parts; p++) {
    const float m = stats[2 * (at * parts + p)];
    total += m == -INFINITY ? 0 : stats[2 * (at * parts + p) + 1] * expf(m - most);
  }
  for (int i = threadIdx.x; i < dim; i += blockDim.x) {
    float sum = 0;
    for (int p = 0; p < parts; p++) {
      const float m = stats[2 * (at * parts + p)];
      if (m != -INFINITY) {
        sum += partial[(at * parts + p) * dim + i] * expf(m - most);
      }
    }
    put(out + at * dim + i, total == 0 ? 0 : sum / total);
  }
}

#define ATTENTION(NAME, A)                                                                                            \
  extern "C" __global__ void split_heads_##NAME(                                                                      \
      const A* qkv, const int* slots, const int* positions, const float* frequencies, A* q, A* keys, A* values,       \
      int heads, int kv_heads, int capacity, int dim) {                                                               \
    split_heads(qkv, slots, positions, frequencies, q, keys, values, heads, kv_heads, capacity, dim);                 \
  }                                                                                                                   \
  extern "C" __global__ void attend_##NAME(                                                                           \
      const A* q, const A* keys, const A* values, const int* slots, const int* visible, float* partial, float* stats, \
      float scale, int heads, int kv_heads, int capacity, int dim, int chunk) {                                       \
    attend(q, keys, values, slots, visible, partial, stats, scale, heads, kv_heads, capacity, dim, chunk);            \
  }                                                                                                                   \
  extern "C" __global__ void attend_join_##NAME(                                                                      \
      const float* partial, const float* stats, A* out, int parts, int heads, int dim) {                              \
    attend_join(partial, stats, out, parts, heads, dim);                                                              \
  }

ATTENTION(f, float)
ATTENTION(h, bf16)
