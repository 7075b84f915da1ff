// y = x * w^T for few rows of x: one warp for R rows of w, all rows of x in tiles of M.
//
// x [rows][k], w [n][k], bias [n] or null, y [rows][n]. Grid: ceil(n / (8 * R)) blocks of 256 threads.
#include "dots.cuh"

enum Finish { STORE = 0, ADD = 1, RELU = 2 };  // y = v, y += v, y = max(v, 0)

template <int R, int M, typename A, typename W, typename Y>
__device__ void linear(
    const A* x, const W* w, const W* bias, Y* y, int rows, int k, int n, int finish) {
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
            float value = acc[r][m] + (bias == nullptr ? 0.0f : number(bias[first + r]));
            value = finish == RELU ? fmaxf(value, 0.0f) : value;
            Y* to = y + (size_t)(tile + m) * n + first + r;
            put(to, finish == ADD ? number(*to) + value : value);
          }
        }
      }
    }
  }
}

#define LINEAR(NAME, R, M, A, W, Y)                                                                             \
  extern "C" __global__ void __launch_bounds__(256) linear_##NAME(                                              \
      const A* x, const W* w, const W* bias, Y* y, int rows, int k, int n, int finish) {                        \
    linear<R, M>(x, w, bias, y, rows, k, n, finish);                                                            \
  }

// NAME_1 for one row, NAME_4 for up to four, NAME_8 for any number; R is 2, 4 and 4.
#define LINEARS(NAME, A, W, Y)  \
  LINEAR(NAME##_1, 2, 1, A, W, Y) \
  LINEAR(NAME##_4, 4, 4, A, W, Y) \
  LINEAR(NAME##_8, 4, 8, A, W, Y)

LINEARS(f32, float, bf16, float)
LINEARS(f32_f32, float, float, float)
// bf16 for k that is no multiple of 8; stream.cu has the others.
LINEAR(bf16_odd, 2, 4, bf16, bf16, bf16)
LINEAR(bf16_float_odd, 2, 4, bf16, bf16, float)
