// y = x * w^T for few rows of x: one warp for R rows of w, all rows of x in tiles of M.
//
// x [rows][k], w [n][k], bias float [n] or null, y [rows][n]. Grid: ceil(n / 16) blocks of 256 threads.
#include "dots.cuh"

template <int R, int M, typename A, typename W, typename Y>
__device__ void linear(
    const A* x, const W* w, const float* bias, Y* y, int rows, int k, int n, int finish) {
  const int first = (blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP) * R;
  if (first >= n) {
    return;
  }
  const W* weight_rows[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    weight_rows[r] = w + (size_t)min(first + r, n - 1) * k;
  }
  for (int tile = 0; tile < rows; tile += M) {
    const A* x_rows[M];
#pragma unroll
    for (int m = 0; m < M; m++) {
      x_rows[m] = x + (size_t)min(tile + m, rows - 1) * k;
    }
    float acc[R][M] = {};
    dots(weight_rows, x_rows, k, acc);
    if (threadIdx.x % WARP == 0) {
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int m = 0; m < M; m++) {
          if (first + r < n && tile + m < rows) {
            float value = acc[r][m] + (bias == nullptr ? 0.0f : bias[first + r]);
            value = finish == RELU ? fmaxf(value, 0.0f) : value;
            Y* to = y + (size_t)(tile + m) * n + first + r;
            put(to, finish == ADD ? number(*to) + value : value);
          }
        }
      }
    }
  }
}

#define LINEAR(NAME, R, M, A, W, Y)                                                               \
  extern "C" __global__ void __launch_bounds__(256) NAME(                                          \
      const A* x, const W* w, const float* bias, Y* y, int rows, int k, int n, int finish) {           \
    linear<R, M>(x, w, bias, y, rows, k, n, finish);                                               \
  }

// One row, and any number. Letters: x, w, y; f float, h bf16. stream.cu has bf16 where k is a multiple of 8.
LINEAR(linear_one_fff, 2, 1, float, float, float)
LINEAR(linear_fff, 2, 4, float, float, float)
LINEAR(linear_fhf, 2, 4, float, bf16, float)
LINEAR(linear_ffh, 2, 4, float, float, bf16)
LINEAR(linear_fhh, 2, 4, float, bf16, bf16)
LINEAR(linear_hff, 2, 4, bf16, float, float)  // the router
LINEAR(linear_hhh, 2, 4, bf16, bf16, bf16)
LINEAR(linear_hhf, 2, 4, bf16, bf16, float)
