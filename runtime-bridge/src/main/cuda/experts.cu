// The experts of a layer over tokens sorted by expert, for few tokens an expert; see stream.cu for bf16 at the speed of memory.
//
// A row is one choice of one token; rows of an expert stand together, from offsets[e] to offsets[e + 1]. order[row] =
// token * k + choice. Weights of the experts follow each other: gate, up [experts][width][hidden], down
// [experts][hidden][width]. Grid: (ceil(n / 16), experts with rows at most), blocks of 256.
#include "dots.cuh"

template <int R, int M, typename A, typename W>
__device__ __forceinline__ void up_tile(
    const A* x, const W* gate, const W* up, const float* bias, A* out, const int* order, int k, int begin, int count,
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
            const float v = gates[r][m] + (bias == nullptr ? 0.0f : bias[first + r]);
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
    const A* x, const W* gate, const W* up, const float* bias, A* out, const int* order, const int* offsets, int experts,
    int k, int hidden, int width) {
  const int first = (blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * R;
  const int e = expert_with_rows(offsets, experts, blockIdx.y);
  if (first >= width || e < 0) {
    return;
  }
  const int begin = offsets[e];
  const size_t at = (size_t)e * width * hidden;
  up_tile<R, M>(x, gate + at, up == nullptr ? nullptr : up + at, bias == nullptr ? nullptr : bias + (size_t)e * width,
                out, order, k, begin, offsets[e + 1] - begin, hidden, width, first);
}

// out[row] = in[row] * down^T + bias
template <int R, int M, typename A, typename W>
__device__ void experts_down(
    const A* in, const W* down, const float* bias, A* out, const int* offsets, int experts, int width, int hidden) {
  const int first = (blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * R;
  const int e = expert_with_rows(offsets, experts, blockIdx.y);
  if (first >= hidden || e < 0) {
    return;
  }
  const int begin = offsets[e];
  const int count = offsets[e + 1] - begin;
  const W* rows[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    rows[r] = down + ((size_t)e * hidden + min(first + r, hidden - 1)) * width;
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
            const float plus = bias == nullptr ? 0.0f : bias[(size_t)e * hidden + first + r];
            put(out + (size_t)(begin + tile + m) * hidden + first + r, acc[r][m] + plus);
          }
        }
      }
    }
  }
}

// out[token] (+)= sum over choices, first to last, of weight * in[row of the choice]; place[token * k + choice] is that row,
// -1 for none. Grid: (ceil(hidden / 256), tokens).
template <typename A, typename Y>
__device__ void combine(const A* in, const int* place, const float* weights, Y* out, int k, int hidden, int add) {
  const size_t token = blockIdx.y;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= hidden) {
    return;
  }
  float sum = 0;
  for (int j = 0; j < k; j++) {
    const int row = place[token * k + j];
    if (row >= 0) {
      sum += weights[token * k + j] * number(in[(size_t)row * hidden + i]);
    }
  }
  Y* to = out + token * hidden + i;
  put(to, add ? number(*to) + sum : sum);
}

// x += the combined experts, then out = RMSNorm of x, which the next block begins with: one block a token.
template <typename A, typename X>
__device__ void combine_and_norm(
    const A* in, const int* place, const float* weights, X* x, int k, const float* weight, float eps, A* out,
    int hidden) {
  __shared__ float room[WARP];
  const size_t token = blockIdx.x;
  X* row = x + token * hidden;
  float squares = 0;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    float sum = 0;
    for (int j = 0; j < k; j++) {
      const int at = place[token * k + j];
      if (at >= 0) {
        sum += weights[token * k + j] * number(in[(size_t)at * hidden + i]);
      }
    }
    put(row + i, number(row[i]) + sum);
    const float v = number(row[i]);
    squares += v * v;
  }
  const float scale = 1 / sqrtf(block_sum(squares, room) / hidden + eps);
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    put(out + token * hidden + i, number(row[i]) * scale * weight[i]);
  }
}

#define EXPERTS(NAME, M, A, W)                                                                                       \
  extern "C" __global__ void __launch_bounds__(256) experts_up_##NAME(                                               \
      const A* x, const W* gate, const W* up, const float* bias, A* out, const int* order, const int* offsets,           \
      int experts, int k, int hidden, int width) {                                                                   \
    experts_up<2, M>(x, gate, up, bias, out, order, offsets, experts, k, hidden, width);                             \
  }                                                                                                                  \
  extern "C" __global__ void __launch_bounds__(256) experts_down_##NAME(                                             \
      const A* in, const W* down, const float* bias, A* out, const int* offsets, int experts, int width, int hidden) {   \
    experts_down<2, M>(in, down, bias, out, offsets, experts, width, hidden);                                        \
  }

EXPERTS(ff, 4, float, float)
EXPERTS(hh, 4, bf16, bf16)  // for sizes that are no multiple of 8

#define COMBINE(NAME, A, Y)                                                                                          \
  extern "C" __global__ void combine_##NAME(                                                                         \
      const A* in, const int* place, const float* weights, Y* out, int k, int hidden, int add) {                     \
    combine(in, place, weights, out, k, hidden, add);                                                                \
  }

COMBINE(ff, float, float)
COMBINE(hf, bf16, float)
COMBINE(hh, bf16, bf16)

#define COMBINE_AND_NORM(NAME, A, X)                                                                                 \
  extern "C" __global__ void combine_and_norm_##NAME(                                                                \
      const A* in, const int* place, const float* weights, X* x, int k, const float* weight, float eps, A* out,      \
      int hidden) {                                                                                                  \
    combine_and_norm(in, place, weights, x, k, weight, eps, out, hidden);                                            \
  }

COMBINE_AND_NORM(ff, float, float)
COMBINE_AND_NORM(hf, bf16, float)
COMBINE_AND_NORM(hh, bf16, bf16)
