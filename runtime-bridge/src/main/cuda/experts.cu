// The experts of a layer over tokens sorted by expert, for few tokens an expert.
//
// A row is one choice of one token; rows of an expert stand together, offsets[e] to offsets[e + 1].
// order[row] = token * k + choice; active[0..count-1] are the experts with rows, count in active[experts].
// Weights are one address an expert, so that experts may lie anywhere. Grid: (ceil(n / (8 * R)), experts with rows at most).
#include "dots.cuh"

template <int R, int M, typename A, typename W>
__device__ __forceinline__ void up_tile(
    const A* x, const W* gate, const W* up, const W* bias, A* out, const int* order, int k, int begin, int count,
    int hidden, int width, int first) {
  const W* gate_rows[R];
  const W* up_rows[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    gate_rows[r] = gate + (size_t)min(first + r, width - 1) * hidden;
    up_rows[r] = up == nullptr ? gate_rows[r] : up + (size_t)min(first + r, width - 1) * hidden;
  }
  for (int tile = 0; tile < count; tile += M) {
    const A* x_rows[M];
#pragma unroll
    for (int m = 0; m < M; m++) {
      x_rows[m] = x + (size_t)(order[begin + min(tile + m, count - 1)] / k) * hidden;
    }
    float gates[R][M] = {};
    float ups[R][M] = {};
    if (up == nullptr) {
      dots(gate_rows, x_rows, hidden, gates);
    } else {
      const W* both[2 * R];
      float sums[2 * R][M] = {};
#pragma unroll
      for (int r = 0; r < R; r++) {
        both[r] = gate_rows[r];
        both[R + r] = up_rows[r];
      }
      dots(both, x_rows, hidden, sums);
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int m = 0; m < M; m++) {
          gates[r][m] = sums[r][m];
          ups[r][m] = sums[R + r][m];
        }
      }
    }
    if (threadIdx.x % WARP == 0) {
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int m = 0; m < M; m++) {
          if (first + r < width && tile + m < count) {
            const float v = gates[r][m] + (bias == nullptr ? 0.0f : number(bias[first + r]));
            const float value = up == nullptr ? fmaxf(v, 0.0f) : v / (1 + expf(-v)) * ups[r][m];
            put(out + (size_t)(begin + tile + m) * width + first + r, value);
          }
        }
      }
    }
  }
}

// out[row] = silu(x * gate^T) * (x * up^T), or relu(x * gate^T + bias) where there is no up.
template <int R, int M, typename A, typename W>
__device__ void experts_up(
    const A* x, const W* const* gate, const W* const* up, const W* const* bias, A* out, const int* order,
    const int* offsets, const int* active, int experts, int k, int hidden, int width) {
  const int first = (blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * R;
  if (first >= width || blockIdx.y >= active[experts]) {
    return;
  }
  const int e = active[blockIdx.y];
  const int begin = offsets[e];
  up_tile<R, M>(x, gate[e], up == nullptr ? nullptr : up[e], bias == nullptr ? nullptr : bias[e], out, order, k, begin,
                offsets[e + 1] - begin, hidden, width, first);
}

// out[row] = in[row] * down^T + bias
template <int R, int M, typename A, typename W>
__device__ void experts_down(
    const A* in, const W* const* down, const W* const* bias, A* out, const int* offsets, const int* active, int experts,
    int width, int hidden) {
  const int first = (blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * R;
  if (first >= hidden || blockIdx.y >= active[experts]) {
    return;
  }
  const int e = active[blockIdx.y];
  const int begin = offsets[e];
  const int count = offsets[e + 1] - begin;
  const W* rows[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    rows[r] = down[e] + (size_t)min(first + r, hidden - 1) * width;
  }
  for (int tile = 0; tile < count; tile += M) {
    const A* in_rows[M];
#pragma unroll
    for (int m = 0; m < M; m++) {
      in_rows[m] = in + (size_t)(begin + min(tile + m, count - 1)) * width;
    }
    float acc[R][M] = {};
    dots(rows, in_rows, width, acc);
    if (threadIdx.x % WARP == 0) {
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int m = 0; m < M; m++) {
          if (first + r < hidden && tile + m < count) {
            const float plus = bias == nullptr ? 0.0f : number(bias[e][first + r]);
            put(out + (size_t)(begin + tile + m) * hidden + first + r, acc[r][m] + plus);
          }
        }
      }
    }
  }
}

// x[token] += sum over choices, first to last, of weight * y[row of the choice]; place[token * k + choice] is that row.
template <typename A>
__device__ void combine(const A* y, const int* place, const float* weights, float* x, int k, int hidden) {
  const size_t token = blockIdx.y;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= hidden) {
    return;
  }
  float sum = 0;
  for (int j = 0; j < k; j++) {
    sum += weights[token * k + j] * number(y[(size_t)place[token * k + j] * hidden + i]);
  }
  x[token * hidden + i] += sum;
}

// The same, followed by the RMSNorm that the next block begins with: one block a token.
template <typename A, typename W>
__device__ void combine_and_norm(
    const A* y, const int* place, const float* weights, float* x, int k, const W* weight, float eps, A* out, int hidden) {
  __shared__ float room[WARP];
  const size_t token = blockIdx.x;
  float* row = x + token * hidden;
  float squares = 0;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    float sum = 0;
    for (int j = 0; j < k; j++) {
      sum += weights[token * k + j] * number(y[(size_t)place[token * k + j] * hidden + i]);
    }
    const float v = row[i] + sum;
    row[i] = v;
    squares += v * v;
  }
  const float scale = rsqrtf(block_sum(squares, room) / hidden + eps);
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    put(out + token * hidden + i, row[i] * scale * number(weight[i]));
  }
}

#define EXPERTS(NAME, RU, RD, M, A, W)                                                                                \
  extern "C" __global__ void __launch_bounds__(256) experts_up_##NAME(                                                \
      const A* x, const W* const* gate, const W* const* up, const W* const* bias, A* out, const int* order,           \
      const int* offsets, const int* active, int experts, int k, int hidden, int width) {                             \
    experts_up<RU, M>(x, gate, up, bias, out, order, offsets, active, experts, k, hidden, width);                     \
  }                                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256) experts_down_##NAME(                                              \
      const A* in, const W* const* down, const W* const* bias, A* out, const int* offsets, const int* active,         \
      int experts, int width, int hidden) {                                                                           \
    experts_down<RD, M>(in, down, bias, out, offsets, active, experts, width, hidden);                                \
  }

// NAME_1: at most one token an expert; NAME_8: any number, in tiles of eight. R: 2 and 2 for one, 2 and 4 for eight.
EXPERTS(bf16_odd, 2, 2, 4, bf16, bf16)  // for sizes that are no multiple of 8; stream.cu has the others
EXPERTS(f32_1, 2, 2, 1, float, bf16)
EXPERTS(f32_8, 2, 4, 8, float, bf16)
EXPERTS(f32_f32_1, 2, 2, 1, float, float)
EXPERTS(f32_f32_8, 2, 4, 8, float, float)

extern "C" __global__ void combine_f32(
    const float* y, const int* place, const float* weights, float* x, int k, int hidden) {
  combine(y, place, weights, x, k, hidden);
}
extern "C" __global__ void combine_bf16(
    const bf16* y, const int* place, const float* weights, float* x, int k, int hidden) {
  combine(y, place, weights, x, k, hidden);
}
extern "C" __global__ void combine_and_norm_f32(
    const float* y, const int* place, const float* weights, float* x, int k, const bf16* weight, float eps, float* out,
    int hidden) {
  combine_and_norm(y, place, weights, x, k, weight, eps, out, hidden);
}
extern "C" __global__ void combine_and_norm_bf16(
    const bf16* y, const int* place, const float* weights, float* x, int k, const bf16* weight, float eps, bf16* out,
    int hidden) {
  combine_and_norm(y, place, weights, x, k, weight, eps, out, hidden);
}
