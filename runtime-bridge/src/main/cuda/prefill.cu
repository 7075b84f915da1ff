// Attention of many new rows of each sequence, in bf16 on tensor cores, without storing scores.
//
// A block takes 64 rows of one run (the rows of one sequence) and one head, each of its four warps 16 rows; keys and values
// pass through shared memory 64 at a time, and the softmax is kept up as they pass. Layouts as in attention.cu; run r has
// the rows from starts[r] to starts[r + 1]. Grid: (ceil(longest run / 64), heads, runs), blocks of 128.
#include "stream.cuh"

constexpr int ROWS = 64;
constexpr int KEYS = 64;

__device__ __forceinline__ void matrices(uint32_t (&out)[4], const bf16* at) {
  const uint32_t address = (uint32_t)__cvta_generic_to_shared(at);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
}

__device__ __forceinline__ void matrices_turned(uint32_t (&out)[4], const bf16* at) {
  const uint32_t address = (uint32_t)__cvta_generic_to_shared(at);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
}

template <int DIM>
__device__ void attend_prefill(
    const bf16* q, const bf16* keys, const bf16* values, const int* slots, const int* visible, const int* starts,
    bf16* out, float scale, int heads, int kv_heads, int capacity) {
  constexpr int PITCH = DIM + 8;  // eight rows of a matrix fall into different banks
  __shared__ __align__(16) bf16 key_tile[KEYS][PITCH];
  __shared__ __align__(16) bf16 value_tile[KEYS][PITCH];
  const int start = starts[blockIdx.z];
  const int head = blockIdx.y;
  const int rows = starts[blockIdx.z + 1] - start;
  const int row0 = blockIdx.x * ROWS;
  if (row0 >= rows) {
    return;
  }
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  const int g = lane / 4;
  const int c = lane % 4 * 2;
  const int mine = row0 + warp * 16 + g;  // this lane's rows: mine and mine + 8

  // Queries, as left operands: 16 rows x DIM.
  uint32_t query[DIM / 16][4];
  const bf16* low = q + ((size_t)(start + min(mine, rows - 1)) * heads + head) * DIM;
  const bf16* high = q + ((size_t)(start + min(mine + 8, rows - 1)) * heads + head) * DIM;
#pragma unroll
  for (int i = 0; i < DIM / 16; i++) {
    query[i][0] = *reinterpret_cast<const uint32_t*>(low + i * 16 + c);
    query[i][1] = *reinterpret_cast<const uint32_t*>(high + i * 16 + c);
    query[i][2] = *reinterpret_cast<const uint32_t*>(low + i * 16 + c + 8);
    query[i][3] = *reinterpret_cast<const uint32_t*>(high + i * 16 + c + 8);
  }

  float sums[DIM / 8][4] = {};
  float most[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};
  const size_t step = (size_t)kv_heads * DIM;
  const size_t cached = slots[start] * capacity * step + (size_t)(head / (heads / kv_heads)) * DIM;
  const int seen[2] = {visible[start + min(mine, rows - 1)], visible[start + min(mine + 8, rows - 1)]};
  int last = 0;  // keys that any row of the block sees
  for (int i = row0 + lane; i < min(row0 + ROWS, rows); i += WARP) {
    last = max(last, visible[start + i]);
  }
  last = __reduce_max_sync(0xffffffffu, last);
  const float scale2 = scale * 1.4426950408889634f;

  for (int base = 0; base < last; base += KEYS) {
    __syncthreads();
    for (int i = threadIdx.x; i < KEYS * DIM / 8; i += blockDim.x) {
      const int key = i / (DIM / 8);
      const int d = i % (DIM / 8) * 8;
      const bool there = base + key < last;
      const size_t at = cached + (base + key) * step + d;
      const uint4 zero = make_uint4(0, 0, 0, 0);
      *reinterpret_cast<uint4*>(&key_tile[key][d]) = there ? *reinterpret_cast<const uint4*>(keys + at) : zero;
      *reinterpret_cast<uint4*>(&value_tile[key][d]) = there ? *reinterpret_cast<const uint4*>(values + at) : zero;
    }
    __syncthreads();

    float scores[KEYS / 8][4] = {};
#pragma unroll
    for (int i = 0; i < DIM / 16; i++) {
#pragma unroll
      for (int n = 0; n < KEYS / 16; n++) {
        uint32_t b[4];  // two tiles of eight keys, 16 dims
        matrices(b, &key_tile[n * 16 + lane / 16 * 8 + lane % 8][i * 16 + lane / 8 % 2 * 8]);
        mma(scores[2 * n], query[i][0], query[i][1], query[i][2], query[i][3], b[0], b[1]);
        mma(scores[2 * n + 1], query[i][0], query[i][1], query[i][2], query[i][3], b[2], b[3]);
      }
    }

    float higher[2] = {most[0], most[1]};
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int key = base + n * 8 + c + j % 2;
        scores[n][j] = key < seen[j / 2] ? scores[n][j] * scale2 : -INFINITY;
        higher[j / 2] = fmaxf(higher[j / 2], scores[n][j]);
      }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
      higher[r] = fmaxf(higher[r], __shfl_xor_sync(0xffffffffu, higher[r], 1));
      higher[r] = fmaxf(higher[r], __shfl_xor_sync(0xffffffffu, higher[r], 2));
      const float shrink = higher[r] == -INFINITY ? 1 : exp2f(most[r] - higher[r]);
      most[r] = higher[r];
      total[r] *= shrink;
#pragma unroll
      for (int d = 0; d < DIM / 8; d++) {
        sums[d][2 * r] *= shrink;
        sums[d][2 * r + 1] *= shrink;
      }
    }
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        scores[n][j] = most[j / 2] == -INFINITY ? 0 : exp2f(scores[n][j] - most[j / 2]);
        total[j / 2] += scores[n][j];
      }
    }

#pragma unroll
    for (int n = 0; n < KEYS / 16; n++) {
      const uint32_t a0 = pair(scores[2 * n][0], scores[2 * n][1]);
      const uint32_t a1 = pair(scores[2 * n][2], scores[2 * n][3]);
      const uint32_t a2 = pair(scores[2 * n + 1][0], scores[2 * n + 1][1]);
      const uint32_t a3 = pair(scores[2 * n + 1][2], scores[2 * n + 1][3]);
#pragma unroll
      for (int d = 0; d < DIM / 16; d++) {
        uint32_t b[4];  // 16 keys, two tiles of eight dims
        matrices_turned(b, &value_tile[n * 16 + lane / 8 % 2 * 8 + lane % 8][d * 16 + lane / 16 * 8]);
        mma(sums[2 * d], a0, a1, a2, a3, b[0], b[1]);
        mma(sums[2 * d + 1], a0, a1, a2, a3, b[2], b[3]);
      }
    }
  }

#pragma unroll
  for (int r = 0; r < 2; r++) {
    total[r] += __shfl_xor_sync(0xffffffffu, total[r], 1);
    total[r] += __shfl_xor_sync(0xffffffffu, total[r], 2);
    const int row = mine + 8 * r;
    const float scale_out = total[r] == 0 ? 0 : 1 / total[r];
    if (row < rows) {
      bf16* to = out + ((size_t)(start + row) * heads + head) * DIM;
#pragma unroll
      for (int d = 0; d < DIM / 8; d++) {
        *reinterpret_cast<uint32_t*>(to + d * 8 + c) = pair(sums[d][2 * r] * scale_out, sums[d][2 * r + 1] * scale_out);
      }
    }
  }
}

#define PREFILL(DIM)                                                                                               \
  extern "C" __global__ void __launch_bounds__(128) attend_prefill_##DIM(                                          \
      const bf16* q, const bf16* keys, const bf16* values, const int* slots, const int* visible, const int* starts, \
      bf16* out, float scale, int heads, int kv_heads, int capacity) {                                             \
    attend_prefill<DIM>(q, keys, values, slots, visible, starts, out, scale, heads, kv_heads, capacity);           \
  }

PREFILL(32)
PREFILL(64)
PREFILL(128)
