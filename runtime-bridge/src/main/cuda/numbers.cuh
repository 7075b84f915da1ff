// Numbers and reductions that all kernels share.
//
// Activations are float or bfloat16 (type A), weights bfloat16 or float (type W); every sum is a float.
#pragma once

#include <cuda_bf16.h>
#include <stdint.h>

typedef __nv_bfloat16 bf16;

constexpr int WARP = 32;

__device__ __forceinline__ float number(float x) { return x; }
__device__ __forceinline__ float number(bf16 x) { return __bfloat162float(x); }

__device__ __forceinline__ void put(float* at, float x) { *at = x; }
__device__ __forceinline__ void put(bf16* at, float x) { *at = __float2bfloat16_rn(x); }

// Eight neighbours at an address that is a multiple of 16 bytes (bf16) or 32 bytes (float).
__device__ __forceinline__ void eight(const bf16* at, float (&out)[8]) {
  const uint4 raw = *reinterpret_cast<const uint4*>(at);
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    out[2 * i] = __uint_as_float(words[i] << 16);
    out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

__device__ __forceinline__ void eight(const float* at, float (&out)[8]) {
  const float4 low = *reinterpret_cast<const float4*>(at);
  const float4 high = *reinterpret_cast<const float4*>(at + 4);
  out[0] = low.x;
  out[1] = low.y;
  out[2] = low.z;
  out[3] = low.w;
  out[4] = high.x;
  out[5] = high.y;
  out[6] = high.z;
  out[7] = high.w;
}

__device__ __forceinline__ uint32_t pair(float low, float high) {
  __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<uint32_t*>(&two);
}

__device__ __forceinline__ void put_eight(bf16* at, const float (&x)[8]) {
  *reinterpret_cast<uint4*>(at) = make_uint4(pair(x[0], x[1]), pair(x[2], x[3]), pair(x[4], x[5]), pair(x[6], x[7]));
}

__device__ __forceinline__ void put_eight(float* at, const float (&x)[8]) {
  *reinterpret_cast<float4*>(at) = make_float4(x[0], x[1], x[2], x[3]);
  *reinterpret_cast<float4*>(at + 4) = make_float4(x[4], x[5], x[6], x[7]);
}

// The sum over the lanes of a warp, or over each `LANES` neighbours of them; every lane gets it.
template <int LANES = WARP> __device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int step = LANES / 2; step > 0; step /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, step);
  }
  return x;
}

template <int LANES = WARP> __device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int step = LANES / 2; step > 0; step /= 2) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  }
  return x;
}

// The sum over a block of whole warps; every thread gets it. `room` holds 32 floats and may be used again at once.
__device__ __forceinline__ float block_sum(float x, float* room) {
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % WARP == 0) {
    room[threadIdx.x / WARP] = x;
  }
  __syncthreads();
  x = threadIdx.x % WARP < blockDim.x / WARP ? room[threadIdx.x % WARP] : 0.0f;
  return warp_sum(x);
}

// Two sums at once; `room` holds 64 floats.
__device__ __forceinline__ void block_sums(float& x, float& y, float* room) {
  x = warp_sum(x);
  y = warp_sum(y);
  __syncthreads();
  if (threadIdx.x % WARP == 0) {
    room[threadIdx.x / WARP] = x;
    room[WARP + threadIdx.x / WARP] = y;
  }
  __syncthreads();
  const int lane = threadIdx.x % WARP;
  x = warp_sum(lane < blockDim.x / WARP ? room[lane] : 0.0f);
  y = warp_sum(lane < blockDim.x / WARP ? room[WARP + lane] : 0.0f);
}

__device__ __forceinline__ float block_max(float x, float* room) {
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % WARP == 0) {
    room[threadIdx.x / WARP] = x;
  }
  __syncthreads();
  x = threadIdx.x % WARP < blockDim.x / WARP ? room[threadIdx.x % WARP] : -INFINITY;
  return warp_max(x);
}

// The n-th expert that has rows (from 0), by all lanes of a warp; -1 if there are fewer.
__device__ __forceinline__ int expert_with_rows(const int* offsets, int experts, int n) {
  const int lane = threadIdx.x % WARP;
  for (int base = 0; base < experts; base += WARP) {
    const int e = base + lane;
    const bool rows = e < experts && offsets[e + 1] > offsets[e];
    unsigned found = __ballot_sync(0xffffffffu, rows);
    const int count = __popc(found);
    if (n < count) {
      for (; n > 0; n--) {
        found &= found - 1;
      }
      return base + __ffs(found) - 1;
    }
    n -= count;
  }
  return -1;
}

// What becomes of a product: y = v, y += v, y = max(v, 0).
enum Finish { STORE = 0, ADD = 1, RELU = 2 };
