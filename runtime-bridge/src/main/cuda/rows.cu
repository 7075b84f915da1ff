// Passes over rows: one block a row unless said otherwise.
//
// Names end in one letter an operand, in the order of the arguments: f float, h bf16.
#include "numbers.cuh"

// out[row] = table[ids[row]] * scale
template <typename W, typename Y>
__device__ void embed(const int* ids, const W* table, float scale, Y* out, int width) {
  const W* from = table + (size_t)ids[blockIdx.x] * width;
  Y* to = out + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    put(to + i, number(from[i]) * scale);
  }
}

// out[row] += table[index[row]]
template <typename W, typename Y>
__device__ void add_rows(const W* table, const int* index, Y* out, int width) {
  const W* from = table + (size_t)index[blockIdx.x] * width;
  Y* to = out + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    put(to + i, number(to[i]) + number(from[i]));
  }
}

// out[row] = in[index[row]], rows of `words` units of type A
template <typename A>
__device__ void gather_rows(const A* in, const int* index, A* out, int words) {
  const A* from = in + (size_t)index[blockIdx.x] * words;
  A* to = out + (size_t)blockIdx.x * words;
  for (int i = threadIdx.x; i < words; i += blockDim.x) {
    to[i] = from[i];
  }
}

// cache[slots[row]][positions[row]] = in[row]
template <typename A>
__device__ void append_rows(
    const A* in, const int* slots, const int* positions, A* cache, int capacity, int words) {
  const A* from = in + (size_t)blockIdx.x * words;
  A* to = cache + ((size_t)slots[blockIdx.x] * capacity + positions[blockIdx.x]) * words;
  for (int i = threadIdx.x; i < words; i += blockDim.x) {
    to[i] = from[i];
  }
}

// out[index[n]] += in[n] for n = 0, 1, ...: a thread for each column, so that the order is kept.
template <typename X, typename Y>
__device__ void scatter_add(const X* in, const int* index, Y* out, int rows, int width) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < width) {
    for (int n = 0; n < rows; n++) {
      Y* to = out + (size_t)index[n] * width + i;
      put(to, number(*to) + number(in[(size_t)n * width + i]));
    }
  }
}

// out += x, `count` values; period: x repeats after as many values (a bias), 0 if it does not.
template <typename X, typename Y>
__device__ void add_values(const X* x, Y* out, size_t count, int period) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    put(out + i, number(out[i]) + number(x[period == 0 ? i : i % period]));
  }
}

template <typename Y>
__device__ void relu_values(Y* x, size_t count) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    put(x + i, fmaxf(number(x[i]), 0.0f));
  }
}

// out = x / sqrt(mean(x^2) + eps) * weight
template <typename X, typename Y>
__device__ void rms_norm(const X* x, const float* weight, float eps, Y* out, int width) {
  __shared__ float room[WARP];
  const X* row = x + (size_t)blockIdx.x * width;
  float squares = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float v = number(row[i]);
    squares += v * v;
  }
  const float scale = 1 / sqrtf(block_sum(squares, room) / width + eps);
  Y* to = out + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    put(to + i, number(row[i]) * scale * weight[i]);
  }
}

// out = (x - mean) / sqrt(variance + eps) * weight + bias, the variance over `width` values
template <typename X, typename Y>
__device__ void layer_norm(const X* x, const float* weight, const float* bias, float eps, Y* out, int width) {
  __shared__ float room[WARP];
  const X* row = x + (size_t)blockIdx.x * width;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    sum += number(row[i]);
  }
  const float mean = block_sum(sum, room) / width;
  float squares = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float v = number(row[i]) - mean;
    squares += v * v;
  }
  const float scale = 1 / sqrtf(block_sum(squares, room) / width + eps);
  Y* to = out + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    put(to + i, (number(row[i]) - mean) * scale * weight[i] + bias[i]);
  }
}

// out[row] = silu(gate[row]) * up[row]; eight values a thread where the width allows. Grid: (ceil(width / 2048), rows).
template <typename A>
__device__ void swiglu(const A* gates, const A* ups, A* out, int width) {
  const size_t row = (size_t)blockIdx.y * width;
  const int i = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (width % 8 == 0) {
    if (i < width) {
      float gate[8], up[8];
      eight(gates + row + i, gate);
      eight(ups + row + i, up);
#pragma unroll
      for (int j = 0; j < 8; j++) {
        gate[j] = gate[j] / (1 + __expf(-gate[j])) * up[j];
      }
      put_eight(out + row + i, gate);
    }
  } else {
    for (int j = i; j < min(i + 8, width); j++) {
      const float gate = number(gates[row + j]);
      put(out + row + j, gate / (1 + __expf(-gate)) * number(ups[row + j]));
    }
  }
}

// Rotary embedding in place: pairs (i, i + dim / 2) of each head turn by position * frequency[i]. Grid: (heads, rows).
template <typename A>
__device__ void rotary(A* x, const float* frequencies, const int* positions, int dim) {
  A* head = x + ((size_t)blockIdx.y * gridDim.x + blockIdx.x) * dim;
  const int half = dim / 2;
  for (int i = threadIdx.x; i < half; i += blockDim.x) {
    float sine, cosine;
    sincosf(positions[blockIdx.y] * frequencies[i], &sine, &cosine);
    const float a = number(head[i]);
    const float b = number(head[i + half]);
    put(head + i, a * cosine - b * sine);
    put(head + i + half, b * cosine + a * sine);
  }
}

extern "C" __global__ void embed_ff(const int* ids, const float* table, float scale, float* out, int width) { embed(ids, table, scale, out, width); }
extern "C" __global__ void add_rows_ff(const float* table, const int* index, float* out, int width) { add_rows(table, index, out, width); }
extern "C" __global__ void scatter_add_ff(const float* in, const int* index, float* out, int rows, int width) { scatter_add(in, index, out, rows, width); }
extern "C" __global__ void add_ff(const float* x, float* out, size_t count, int period) { add_values(x, out, count, period); }
extern "C" __global__ void rms_norm_ff(const float* x, const float* weight, float eps, float* out, int width) { rms_norm(x, weight, eps, out, width); }
extern "C" __global__ void layer_norm_ff(const float* x, const float* weight, const float* bias, float eps, float* out, int width) { layer_norm(x, weight, bias, eps, out, width); }
extern "C" __global__ void embed_fh(const int* ids, const float* table, float scale, bf16* out, int width) { embed(ids, table, scale, out, width); }
extern "C" __global__ void add_rows_fh(const float* table, const int* index, bf16* out, int width) { add_rows(table, index, out, width); }
extern "C" __global__ void scatter_add_fh(const float* in, const int* index, bf16* out, int rows, int width) { scatter_add(in, index, out, rows, width); }
extern "C" __global__ void add_fh(const float* x, bf16* out, size_t count, int period) { add_values(x, out, count, period); }
extern "C" __global__ void rms_norm_fh(const float* x, const float* weight, float eps, bf16* out, int width) { rms_norm(x, weight, eps, out, width); }
extern "C" __global__ void layer_norm_fh(const float* x, const float* weight, const float* bias, float eps, bf16* out, int width) { layer_norm(x, weight, bias, eps, out, width); }
extern "C" __global__ void embed_hf(const int* ids, const bf16* table, float scale, float* out, int width) { embed(ids, table, scale, out, width); }
extern "C" __global__ void add_rows_hf(const bf16* table, const int* index, float* out, int width) { add_rows(table, index, out, width); }
extern "C" __global__ void scatter_add_hf(const bf16* in, const int* index, float* out, int rows, int width) { scatter_add(in, index, out, rows, width); }
extern "C" __global__ void add_hf(const bf16* x, float* out, size_t count, int period) { add_values(x, out, count, period); }
extern "C" __global__ void rms_norm_hf(const bf16* x, const float* weight, float eps, float* out, int width) { rms_norm(x, weight, eps, out, width); }
extern "C" __global__ void layer_norm_hf(const bf16* x, const float* weight, const float* bias, float eps, float* out, int width) { layer_norm(x, weight, bias, eps, out, width); }
extern "C" __global__ void embed_hh(const int* ids, const bf16* table, float scale, bf16* out, int width) { embed(ids, table, scale, out, width); }
extern "C" __global__ void add_rows_hh(const bf16* table, const int* index, bf16* out, int width) { add_rows(table, index, out, width); }
extern "C" __global__ void scatter_add_hh(const bf16* in, const int* index, bf16* out, int rows, int width) { scatter_add(in, index, out, rows, width); }
extern "C" __global__ void add_hh(const bf16* x, bf16* out, size_t count, int period) { add_values(x, out, count, period); }
extern "C" __global__ void rms_norm_hh(const bf16* x, const float* weight, float eps, bf16* out, int width) { rms_norm(x, weight, eps, out, width); }
extern "C" __global__ void layer_norm_hh(const bf16* x, const float* weight, const float* bias, float eps, bf16* out, int width) { layer_norm(x, weight, bias, eps, out, width); }
extern "C" __global__ void relu_f(float* x, size_t count) { relu_values(x, count); }
extern "C" __global__ void swiglu_f(const float* gates, const float* ups, float* out, int width) { swiglu(gates, ups, out, width); }
extern "C" __global__ void rotary_f(float* x, const float* frequencies, const int* positions, int dim) { rotary(x, frequencies, positions, dim); }
extern "C" __global__ void relu_h(bf16* x, size_t count) { relu_values(x, count); }
extern "C" __global__ void swiglu_h(const bf16* gates, const bf16* ups, bf16* out, int width) { swiglu(gates, ups, out, width); }
extern "C" __global__ void rotary_h(bf16* x, const float* frequencies, const int* positions, int dim) { rotary(x, frequencies, positions, dim); }
// Rows as units of 16, 4 and 2 bytes.
extern "C" __global__ void gather_16(const uint4* in, const int* index, uint4* out, int words) { gather_rows(in, index, out, words); }
extern "C" __global__ void append_16(const uint4* in, const int* slots, const int* positions, uint4* cache, int capacity, int words) { append_rows(in, slots, positions, cache, capacity, words); }
extern "C" __global__ void gather_4(const uint32_t* in, const int* index, uint32_t* out, int words) { gather_rows(in, index, out, words); }
extern "C" __global__ void append_4(const uint32_t* in, const int* slots, const int* positions, uint32_t* cache, int capacity, int words) { append_rows(in, slots, positions, cache, capacity, words); }
extern "C" __global__ void gather_2(const uint16_t* in, const int* index, uint16_t* out, int words) { gather_rows(in, index, out, words); }
extern "C" __global__ void append_2(const uint16_t* in, const int* slots, const int* positions, uint16_t* cache, int capacity, int words) { append_rows(in, slots, positions, cache, capacity, words); }
