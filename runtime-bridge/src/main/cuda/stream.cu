// Linear layers and experts for few tokens in bf16: see stream.cuh. k must be a multiple of 8. Dynamic shared memory:
// stream_room(matrices, tiles) bytes, 49152 a matrix (two matrices in stream_up where there is an up).
#include "stream.cuh"

// y = x * w^T + bias. Grid: ceil(n / 16) blocks of 256 threads.
template <int TILES, typename Y>
__device__ void stream_linear(
    const bf16* x, const bf16* w, const float* bias, Y* y, int rows, int k, int n, int finish) {
  extern __shared__ __align__(16) uint4 ring[];
  float* room = reinterpret_cast<float*>(ring);
  const int first = blockIdx.x * STREAM_ROWS;
  const int g = threadIdx.x % WARP / 4;
  const bf16* low[1] = {w + (size_t)min(first + g, n - 1) * k};
  const bf16* high[1] = {w + (size_t)min(first + g + 8, n - 1) * k};
  for (int begin = 0; begin < rows; begin += 8 * TILES) {
    const bf16* tiles[TILES];
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      tiles[t] = x + (size_t)min(begin + t * 8 + g, rows - 1) * k;
    }
    float sums[1][TILES][4] = {};
    stream_sums(ring, low, high, tiles, k, sums);
    stream_share(room, sums);
    for (int i = threadIdx.x; i < STREAM_ROWS * 8 * TILES; i += blockDim.x) {
      const int row = i % STREAM_ROWS;
      const int token = i / STREAM_ROWS;
      if (first + row < n && begin + token < rows) {
        float v = stream_total<1, TILES>(room, 0, row, token) + (bias == nullptr ? 0.0f : bias[first + row]);
        v = finish == RELU ? fmaxf(v, 0.0f) : v;
        Y* to = y + (size_t)(begin + token) * n + first + row;
        put(to, finish == ADD ? number(*to) + v : v);
      }
    }
  }
}

// out[row] = silu(x * gate^T) * (x * up^T), or relu(x * gate^T + bias) where there is no up. Tokens sorted by expert:
// order[row] = token * k + choice, rows of expert e from offsets[e]; weights of the experts follow each other. Grid: (ceil(width / 16), experts with rows at most).
template <int TILES>
__device__ void stream_up(
    const bf16* x, const bf16* gate, const bf16* up, const float* bias, bf16* out, const int* order, const int* offsets,
    int experts, int k, int hidden, int width) {
  extern __shared__ __align__(16) uint4 ring[];
  float* room = reinterpret_cast<float*>(ring);
  const int e = expert_with_rows(offsets, experts, blockIdx.y);
  if (e < 0) {
    return;
  }
  const int start = offsets[e];
  const int count = offsets[e + 1] - start;
  const int first = blockIdx.x * STREAM_ROWS;
  const int g = threadIdx.x % WARP / 4;
  const size_t at_low = ((size_t)e * width + min(first + g, width - 1)) * hidden;
  const size_t at_high = ((size_t)e * width + min(first + g + 8, width - 1)) * hidden;
  for (int begin = 0; begin < count; begin += 8 * TILES) {
    const bf16* tiles[TILES];
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      tiles[t] = x + (size_t)(order[start + min(begin + t * 8 + g, count - 1)] / k) * hidden;
    }
    if (up != nullptr) {
      const bf16* low[2] = {gate + at_low, up + at_low};
      const bf16* high[2] = {gate + at_high, up + at_high};
      float sums[2][TILES][4] = {};
      stream_sums(ring, low, high, tiles, hidden, sums);
      stream_share(room, sums);
    } else {
      const bf16* low[1] = {gate + at_low};
      const bf16* high[1] = {gate + at_high};
      float sums[1][TILES][4] = {};
      stream_sums(ring, low, high, tiles, hidden, sums);
      stream_share(room, sums);
    }
    for (int i = threadIdx.x; i < STREAM_ROWS * 8 * TILES; i += blockDim.x) {
      const int row = i % STREAM_ROWS;
      const int token = i / STREAM_ROWS;
      if (first + row < width && begin + token < count) {
        float v;
        if (up != nullptr) {
          const float a = stream_total<2, TILES>(room, 0, row, token);
          v = a / (1 + __expf(-a)) * stream_total<2, TILES>(room, 1, row, token);
        } else {
          v = fmaxf(stream_total<1, TILES>(room, 0, row, token) + (bias == nullptr ? 0.0f : bias[(size_t)e * width + first + row]), 0.0f);
        }
        put(out + (size_t)(start + begin + token) * width + first + row, v);
      }
    }
  }
}

// out[row] = in[row] * down^T + bias, rows sorted by expert. Grid: (ceil(hidden / 16), experts with rows at most).
template <int TILES>
__device__ void stream_down(
    const bf16* in, const bf16* down, const float* bias, bf16* out, const int* offsets, int experts, int width, int hidden) {
  extern __shared__ __align__(16) uint4 ring[];
  float* room = reinterpret_cast<float*>(ring);
  const int e = expert_with_rows(offsets, experts, blockIdx.y);
  if (e < 0) {
    return;
  }
  const int start = offsets[e];
  const int count = offsets[e + 1] - start;
  const int first = blockIdx.x * STREAM_ROWS;
  const int g = threadIdx.x % WARP / 4;
  const bf16* low[1] = {down + ((size_t)e * hidden + min(first + g, hidden - 1)) * width};
  const bf16* high[1] = {down + ((size_t)e * hidden + min(first + g + 8, hidden - 1)) * width};
  for (int begin = 0; begin < count; begin += 8 * TILES) {
    const bf16* tiles[TILES];
#pragma unroll
    for (int t = 0; t < TILES; t++) {
      tiles[t] = in + (size_t)(start + min(begin + t * 8 + g, count - 1)) * width;
    }
    float sums[1][TILES][4] = {};
    stream_sums(ring, low, high, tiles, width, sums);
    stream_share(room, sums);
    for (int i = threadIdx.x; i < STREAM_ROWS * 8 * TILES; i += blockDim.x) {
      const int row = i % STREAM_ROWS;
      const int token = i / STREAM_ROWS;
      if (first + row < hidden && begin + token < count) {
        const float v = stream_total<1, TILES>(room, 0, row, token) + (bias == nullptr ? 0.0f : bias[(size_t)e * hidden + first + row]);
        put(out + (size_t)(start + begin + token) * hidden + first + row, v);
      }
    }
  }
}

#define STREAM(TILES)                                                                                            \
  extern "C" __global__ void __launch_bounds__(256) stream_linear_h_##TILES(                                    \
      const bf16* x, const bf16* w, const float* bias, bf16* y, int rows, int k, int n, int finish) {            \
    stream_linear<TILES>(x, w, bias, y, rows, k, n, finish);                                                    \
  }                                                                                                             \
  extern "C" __global__ void __launch_bounds__(256) stream_linear_f_##TILES(                                    \
      const bf16* x, const bf16* w, const float* bias, float* y, int rows, int k, int n, int finish) {           \
    stream_linear<TILES>(x, w, bias, y, rows, k, n, finish);                                                    \
  }                                                                                                             \
  extern "C" __global__ void __launch_bounds__(256) stream_up_##TILES(                                          \
      const bf16* x, const bf16* gate, const bf16* up, const float* bias, bf16* out, const int* order,           \
      const int* offsets, int experts, int k, int hidden, int width) {                                          \
    stream_up<TILES>(x, gate, up, bias, out, order, offsets, experts, k, hidden, width);                        \
  }                                                                                                             \
  extern "C" __global__ void __launch_bounds__(256) stream_down_##TILES(                                        \
      const bf16* in, const bf16* down, const float* bias, bf16* out, const int* offsets, int experts,           \
      int width, int hidden) {                                                                                  \
    stream_down<TILES>(in, down, bias, out, offsets, experts, width, hidden);                                   \
  }

STREAM(1)  // 8 rows of x at a time
STREAM(2)  // 16
STREAM(4)  // 32
