// Products of few rows of bf16 activations with bf16 weights that stream from memory once, on tensor cores.
//
// A block computes 16 rows of w for up to 8 * TILES rows of x; its eight warps share out k and add up in shared memory.
// The instruction's 16 x 16 tile of w and 8 x 16 tile of x may take the columns of k in any order as long as both take the
// same one. So every lane loads eight neighbours of a row (16 bytes), and these feed two instructions. The order of the
// additions depends on k alone: a row's result is the same whatever else is in the batch.
#pragma once

#include "dots.cuh"

constexpr int STREAM_WARPS = 8;
constexpr int STREAM_ROWS = 16;   // rows of w in a block
constexpr int STREAM_CHUNK = 32;  // k in one load of a quad of lanes
constexpr int STREAM_STAGES = 6;  // chunks in flight

// Shared memory of a block, in bytes: the chunks in flight, later the sums of the warps.
constexpr int stream_room(int matrices, int tiles) {
  const int ring = STREAM_STAGES * 2 * matrices * STREAM_WARPS * WARP * 16;
  const int sums = STREAM_WARPS * matrices * STREAM_ROWS * 8 * tiles * 4;
  return ring > sums ? ring : sums;
}

// Copies 16 bytes to shared memory, or zeros where they are not there, without waiting.
__device__ __forceinline__ void fetch(uint4* to, const bf16* from, bool there) {
  const uint32_t address = (uint32_t)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(there ? 16 : 0));
}

__device__ __forceinline__ void fetched() { asm volatile("cp.async.commit_group;"); }

template <int LEFT>
__device__ __forceinline__ void wait_for_all_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

__device__ __forceinline__ void mma(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// sums[s][t]: this warp's part of 16 rows of matrix s times 8 rows of x, in the layout of the instruction.
// w[s]: row g = lane / 4 of the block's 16 rows, w[s] + 8 rows further the other half (clamped by the caller through `low`
// and `high`). x[t]: row lane / 4 of tile t.
template <int MATRICES, int TILES>
__device__ __forceinline__ void stream_sums(
    uint4* ring, const bf16* const (&low)[MATRICES], const bf16* const (&high)[MATRICES], const bf16* const (&x)[TILES],
    int k, float (&sums)[MATRICES][TILES][4]) {
  constexpr int THREADS = STREAM_WARPS * WARP;
  constexpr int STEP = STREAM_WARPS * STREAM_CHUNK;
  uint4* mine = ring + threadIdx.x;  // [stage][2 * matrix + half][thread]: each thread reads what it fetched itself
  const int at = threadIdx.x / WARP * STREAM_CHUNK + threadIdx.x % 4 * 8;
  const int steps = (k + STEP - 1) / STEP;
  __syncthreads();
#pragma unroll
  for (int stage = 0; stage < STREAM_STAGES - 1; stage++) {
    const int i = at + stage * STEP;
#pragma unroll
    for (int s = 0; s < MATRICES; s++) {
      fetch(mine + (stage * 2 * MATRICES + 2 * s) * THREADS, low[s] + (i < k ? i : 0), i < k);
      fetch(mine + (stage * 2 * MATRICES + 2 * s + 1) * THREADS, high[s] + (i < k ? i : 0), i < k);
    }
    fetched();
  }
  int stage = 0;
  int next = STREAM_STAGES - 1;
  for (int step = 0; step < steps; step++) {
    const int i = at + step * STEP;
    const int ahead = i + (STREAM_STAGES - 1) * STEP;
#pragma unroll
    for (int s = 0; s < MATRICES; s++) {
      fetch(mine + (next * 2 * MATRICES + 2 * s) * THREADS, low[s] + (ahead < k ? ahead : 0), ahead < k);
      fetch(mine + (next * 2 * MATRICES + 2 * s + 1) * THREADS, high[s] + (ahead < k ? ahead : 0), ahead < k);
    }
    fetched();
    wait_for_all_but<STREAM_STAGES - 1>();
    uint4 a[MATRICES], b[MATRICES];
#pragma unroll
    for (int s = 0; s < MATRICES; s++) {
      a[s] = mine[(stage * 2 * MATRICES + 2 * s) * THREADS];
      b[s] = mine[(stage * 2 * MATRICES + 2 * s + 1) * THREADS];
    }
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      const uint4 v = i < k ? *reinterpret_cast<const uint4*>(x[t] + i) : make_uint4(0, 0, 0, 0);
#pragma unroll
      for (int s = 0; s < MATRICES; s++) {
        mma(sums[s][t], a[s].x, b[s].x, a[s].y, b[s].y, v.x, v.y);
        mma(sums[s][t], a[s].z, b[s].z, a[s].w, b[s].w, v.z, v.w);
      }
    }
    stage = stage + 1 == STREAM_STAGES ? 0 : stage + 1;
    next = next + 1 == STREAM_STAGES ? 0 : next + 1;
  }
  wait_for_all_but<0>();
}

// Adds the warps' parts: room [warps][MATRICES][16][8 * TILES]. Thread i then owns outputs i, i + 256, ...
template <int MATRICES, int TILES>
__device__ __forceinline__ void stream_share(float* room, const float (&sums)[MATRICES][TILES][4]) {
  const int lane = threadIdx.x % WARP;
  const int warp = threadIdx.x / WARP;
  const int g = lane / 4;
  const int c = lane % 4 * 2;
  __syncthreads();
#pragma unroll
  for (int s = 0; s < MATRICES; s++) {
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      float* to = room + ((size_t)(warp * MATRICES + s) * STREAM_ROWS) * (8 * TILES) + t * 8 + c;
      to[g * 8 * TILES] = sums[s][t][0];
      to[g * 8 * TILES + 1] = sums[s][t][1];
      to[(g + 8) * 8 * TILES] = sums[s][t][2];
      to[(g + 8) * 8 * TILES + 1] = sums[s][t][3];
    }
  }
  __syncthreads();
}

template <int MATRICES, int TILES>
__device__ __forceinline__ float stream_total(const float* room, int matrix, int row, int token) {
  float sum = 0;
#pragma unroll
  for (int warp = 0; warp < STREAM_WARPS; warp++) {
    sum += room[((warp * MATRICES + matrix) * STREAM_ROWS + row) * (8 * TILES) + token];
  }
  return sum;
}
