// Inner products of a few rows of activations with rows of weights, one warp at a time, at the speed of memory.
//
// Each lane takes eight neighbours of every 256 and the warp adds up at the end, so that the sum of a row of x and a row
// of w does not depend on how many other rows are in the tile.
#pragma once

#include "numbers.cuh"

// Weights are read once: they go past L1, which stays free for x. Volatile, so that the loads stay together as written.
__device__ __forceinline__ uint4 stream(const void* at) {
  uint4 raw;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
      : "=r"(raw.x), "=r"(raw.y), "=r"(raw.z), "=r"(raw.w)
      : "l"(at));
  return raw;
}

struct Eight16 {
  uint4 raw;
  __device__ __forceinline__ void load(const bf16* at) { raw = stream(at); }
  __device__ __forceinline__ void open(float (&out)[8]) const {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      out[2 * i] = __uint_as_float(words[i] << 16);
      out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
  }
};

struct Eight32 {
  uint4 low, high;
  __device__ __forceinline__ void load(const float* at) {
    low = stream(at);
    high = stream(at + 4);
  }
  __device__ __forceinline__ void open(float (&out)[8]) const {
    const uint32_t words[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int i = 0; i < 8; i++) {
      out[i] = __uint_as_float(words[i]);
    }
  }
};

template <typename W>
struct Eight;
template <>
struct Eight<bf16> : Eight16 {};
template <>
struct Eight<float> : Eight32 {};

// acc[r][m] += sum over k of w[r][k] * x[m][k], complete in every lane. Rows of 16-byte multiples take the wide path.
template <int R, int M, typename A, typename W>
__device__ __forceinline__ void dots(
    const W* const (&w)[R], const A* const (&x)[M], int k, float (&acc)[R][M]) {
  const int lane = threadIdx.x % WARP;
  constexpr int STEP = WARP * 8;
  constexpr int AHEAD = R * M >= 16 ? 2 : 4;  // loads in flight: AHEAD * R * 16 bytes a lane
  if (k % 8 == 0) {
    int i = lane * 8;
    for (; i + (AHEAD - 1) * STEP < k; i += AHEAD * STEP) {
      Eight<W> raw[AHEAD][R];
#pragma unroll
      for (int a = 0; a < AHEAD; a++) {
#pragma unroll
        for (int r = 0; r < R; r++) {
          raw[a][r].load(w[r] + i + a * STEP);
        }
      }
#pragma unroll
      for (int a = 0; a < AHEAD; a++) {
        float weights[R][8];
#pragma unroll
        for (int r = 0; r < R; r++) {
          raw[a][r].open(weights[r]);
        }
#pragma unroll
        for (int m = 0; m < M; m++) {
          float values[8];
          eight(x[m] + i + a * STEP, values);
#pragma unroll
          for (int r = 0; r < R; r++) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
              acc[r][m] += weights[r][j] * values[j];
            }
          }
        }
      }
    }
    for (; i < k; i += STEP) {
      float weights[R][8];
#pragma unroll
      for (int r = 0; r < R; r++) {
        Eight<W> raw;
        raw.load(w[r] + i);
        raw.open(weights[r]);
      }
#pragma unroll
      for (int m = 0; m < M; m++) {
        float values[8];
        eight(x[m] + i, values);
#pragma unroll
        for (int r = 0; r < R; r++) {
#pragma unroll
          for (int j = 0; j < 8; j++) {
            acc[r][m] += weights[r][j] * values[j];
          }
        }
      }
    }
  } else {
    for (int i = lane; i < k; i += WARP) {
#pragma unroll
      for (int m = 0; m < M; m++) {
        const float value = number(x[m][i]);
#pragma unroll
        for (int r = 0; r < R; r++) {
          acc[r][m] += number(w[r][i]) * value;
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < R; r++) {
#pragma unroll
    for (int m = 0; m < M; m++) {
      acc[r][m] = warp_sum(acc[r][m]);
    }
  }
}
