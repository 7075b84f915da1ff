// Embedding, norms and other passes over rows. One block a row.
#include "numbers.cuh"

// out[row] = table[ids[row]] * scale
template <typename W>
__device__ void embed(const int* ids, const W* table, float scale, float* out, int hidden) {
  const W* from = table + (size_t)ids[blockIdx.x] * hidden;
  float* to = out + (size_t)blockIdx.x * hidden;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    to[i] = number(from[i]) * scale;
  }
}

// x[row] += table[positions[row] + offset]
__device__ void add_positions_row(const int* positions, int offset, const float* table, float* x, int hidden) {
  const float* from = table + (size_t)(positions[blockIdx.x] + offset) * hidden;
  float* to = x + (size_t)blockIdx.x * hidden;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    to[i] += from[i];
  }
}

// out = x / sqrt(mean(x^2) + eps) * weight
template <typename A, typename W>
__device__ void rms_norm(const float* x, const W* weight, float eps, A* out, int hidden) {
  __shared__ float room[WARP];
  const float* row = x + (size_t)blockIdx.x * hidden;
  float squares = 0;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    squares += row[i] * row[i];
  }
  const float scale = rsqrtf(block_sum(squares, room) / hidden + eps);
  A* to = out + (size_t)blockIdx.x * hidden;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    put(to + i, row[i] * scale * number(weight[i]));
  }
}

// out = (x - mean) / sqrt(variance + eps) * weight + bias, variance over hidden values
template <typename A, typename W>
__device__ void layer_norm(const float* x, const W* weight, const W* bias, float eps, A* out, int hidden) {
  __shared__ float room[WARP];
  const float* row = x + (size_t)blockIdx.x * hidden;
  float sum = 0;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    sum += row[i];
  }
  const float mean = block_sum(sum, room) / hidden;
  float squares = 0;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    squares += (row[i] - mean) * (row[i] - mean);
  }
  const float scale = rsqrtf(block_sum(squares, room) / hidden + eps);
  A* to = out + (size_t)blockIdx.x * hidden;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    put(to + i, (row[i] - mean) * scale * number(weight[i]) + number(bias[i]));
  }
}

// to[row] = from[rows[row]]
template <typename A>
__device__ void gather_rows(const A* from, const int* rows, A* to, int hidden) {
  const A* row = from + (size_t)rows[blockIdx.x] * hidden;
  A* out = to + (size_t)blockIdx.x * hidden;
  constexpr int WIDE = 16 / sizeof(A);
  const int wide = hidden % WIDE == 0 ? hidden : 0;
  for (int i = threadIdx.x * WIDE; i < wide; i += blockDim.x * WIDE) {
    *reinterpret_cast<uint4*>(out + i) = *reinterpret_cast<const uint4*>(row + i);
  }
  for (int i = wide + threadIdx.x; i < hidden; i += blockDim.x) {
    out[i] = row[i];
  }
}

// out = silu(gate) * up; gate and up side by side in a row of 2 * width, eight values a thread where width allows.
template <typename A>
__device__ void swiglu(const A* gate_up, A* out, int width) {
  const A* row = gate_up + (size_t)blockIdx.y * 2 * width;
  A* to = out + (size_t)blockIdx.y * width;
  const int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (width % 8 == 0) {
    if (i < width) {
      float gate[8], up[8];
      eight(row + i, gate);
      eight(row + width + i, up);
#pragma unroll
      for (int j = 0; j < 8; j++) {
        gate[j] = gate[j] / (1 + __expf(-gate[j])) * up[j];
      }
      put_eight(to + i, gate);
    }
  } else {
    for (int j = i; j < min(i + 8, width); j++) {
      const float gate = number(row[j]);
      put(to + j, gate / (1 + __expf(-gate)) * number(row[width + j]));
    }
  }
}

// x += y
template <typename A>
__device__ void add_rows(float* x, const A* y, size_t count) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    x[i] += number(y[i]);
  }
}

#define NORM_KERNELS(NAME, A, W)                                                                                       \
  extern "C" __global__ void rms_norm_##NAME(const float* x, const W* weight, float eps, A* out, int hidden) {         \
    rms_norm(x, weight, eps, out, hidden);                                                                             \
  }                                                                                                                    \
  extern "C" __global__ void layer_norm_##NAME(                                                                        \
      const float* x, const W* weight, const W* bias, float eps, A* out, int hidden) {                                 \
    layer_norm(x, weight, bias, eps, out, hidden);                                                                     \
  }

NORM_KERNELS(f32, float, bf16)
NORM_KERNELS(bf16, bf16, bf16)

extern "C" __global__ void embed_bf16(const int* ids, const bf16* table, float scale, float* out, int hidden) {
  embed(ids, table, scale, out, hidden);
}
extern "C" __global__ void add_positions(const int* positions, int offset, const float* table, float* x, int hidden) {
  add_positions_row(positions, offset, table, x, hidden);
}
extern "C" __global__ void gather_f32(const float* from, const int* rows, float* to, int hidden) {
  gather_rows(from, rows, to, hidden);
}
extern "C" __global__ void gather_bf16(const bf16* from, const int* rows, bf16* to, int hidden) {
  gather_rows(from, rows, to, hidden);
}
extern "C" __global__ void swiglu_f32(const float* gate_up, float* out, int width) { swiglu(gate_up, out, width); }
extern "C" __global__ void swiglu_bf16(const bf16* gate_up, bf16* out, int width) { swiglu(gate_up, out, width); }
extern "C" __global__ void add_f32(float* x, const float* y, size_t count) { add_rows(x, y, count); }
extern "C" __global__ void add_bf16(float* x, const bf16* y, size_t count) { add_rows(x, y, count); }
