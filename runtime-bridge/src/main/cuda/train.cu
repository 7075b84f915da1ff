// What training computes beside products, in floats. The same operands give the same bits: no atomics, sums in a fixed
// order. One block a row unless said otherwise.
#include "numbers.cuh"

constexpr int COLUMNS = 32; // of a block that adds up rows; so many threads share a column
constexpr int TURNED = 64;  // rows and columns of a block that transposes
constexpr int EACH = 4;     // units of a thread: it asks for all of them before it waits for any

// out = in, between the GPU's memory and page-locked memory of the host. Grid: ceil(count / block).
extern "C" __global__ void train_copy(const uint32_t* in, uint32_t* out, size_t count) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    out[i] = in[i];
  }
}

// out[column][row] = in[row][column]. Rows of out lie `stride` numbers apart, a multiple of 4, zeros behind those of `in`;
// columns are a multiple of 4. A block takes a square of TURNED. Grid: ceil(stride / TURNED), ceil(columns / TURNED).
extern "C" __global__ void train_transpose(const float* in, float* out, int rows, int columns, int stride) {
  __shared__ float square[TURNED][TURNED + 1];
  const int first_row = blockIdx.x * TURNED;
  const int first_column = blockIdx.y * TURNED;
  const int four = threadIdx.x % (TURNED / 4) * 4;
  const int step = blockDim.x / (TURNED / 4);
  for (int i = threadIdx.x / (TURNED / 4); i < TURNED; i += step) {
    const int row = first_row + i;
    const int column = first_column + four;
    float4 x = make_float4(0, 0, 0, 0);
    if (row < rows && column < columns) {
      x = *reinterpret_cast<const float4*>(in + (size_t)row * columns + column);
    }
    square[i][four] = x.x;
    square[i][four + 1] = x.y;
    square[i][four + 2] = x.z;
    square[i][four + 3] = x.w;
  }
  __syncthreads();
  for (int i = threadIdx.x / (TURNED / 4); i < TURNED; i += step) {
    const int row = first_row + four;
    const int column = first_column + i;
    if (row < stride && column < columns) {
      *reinterpret_cast<float4*>(out + (size_t)column * stride + row) =
          make_float4(square[four][i], square[four + 1][i], square[four + 2][i], square[four + 3][i]);
    }
  }
}

__device__ __forceinline__ float plus(float a, float b) { return a + b; }
__device__ __forceinline__ float4 plus(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
__device__ __forceinline__ float4 plus(float4 a, float b) { return plus(a, make_float4(b, b, b, b)); }
__device__ __forceinline__ float times(float a, float b) { return a * b; }
__device__ __forceinline__ float4 times(float4 a, float b) { return make_float4(a.x * b, a.y * b, a.z * b, a.w * b); }
__device__ __forceinline__ float total(float4 a) { return (a.x + a.y) + (a.z + a.w); }
__device__ __forceinline__ float4 product(float4 a, float4 b) { return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }

// out += x, `count` units of type V, in all fewer than 2^31 numbers.
template <typename V>
__device__ void add_values(const V* x, V* out, uint32_t count) {
  const uint32_t step = (count + EACH - 1) / EACH;
  const uint32_t first = blockIdx.x * blockDim.x + threadIdx.x;
  if (first >= step) {
    return;
  }
  V sums[EACH], more[EACH];
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const uint32_t i = first + k * step;
    if (i < count) {
      sums[k] = out[i];
      more[k] = x[i];
    }
  }
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const uint32_t i = first + k * step;
    if (i < count) {
      out[i] = plus(sums[k], more[k]);
    }
  }
}

// Units of 16 and 4 bytes. Grid: ceil(ceil(count / EACH) / block).
extern "C" __global__ void train_add_16(const float4* x, float4* out, int count) { add_values(x, out, count); }
extern "C" __global__ void train_add_4(const float* x, float* out, int count) { add_values(x, out, count); }

template <typename V>
__device__ void gather_weighted(const V* in, const int* index, const float* weights, V* out, int width) {
  const V* from = in + (size_t)index[blockIdx.x] * width;
  V* to = out + (size_t)blockIdx.x * width;
  const float weight = weights[blockIdx.x];
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    to[i] = times(from[i], weight);
  }
}

// out[row] = in[index[row]] * weights[row]
extern "C" __global__ void train_gather(
    const float* in, const int* index, const float* weights, float* out, int width) {
  if (width % 4 == 0) {
    gather_weighted((const float4*)in, index, weights, (float4*)out, width / 4);
  } else {
    gather_weighted(in, index, weights, out, width);
  }
}

// into[targets[b]] += in[order[n]] for n = starts[b], ..., starts[b + 1] - 1, in this order. Grid: (targets, ceil(width / block)).
extern "C" __global__ void train_add_rows_at(
    float* into, const float* in, const int* targets, const int* starts, const int* order, int width) {
  const int i = blockIdx.y * blockDim.x + threadIdx.x;
  if (i < width) {
    float* to = into + (size_t)targets[blockIdx.x] * width + i;
    float sum = *to;
    const int end = starts[blockIdx.x + 1];
    for (int n = starts[blockIdx.x]; n < end; n++) {
      sum += in[(size_t)order[n] * width + i];
    }
    *to = sum;
  }
}

// The rows of a block are a part of all, blockIdx.y of gridDim.y.
__device__ int first_row(int rows, int part) {
  return (int)min((size_t)rows, (size_t)part * ((rows + gridDim.y - 1) / gridDim.y));
}

// into[part][column] = the sum of those that the threads of a column hold, and of what is there if `add`; a block of COLUMNS * 32
// threads, thread t of column t % COLUMNS.
__device__ void add_columns(float sum, float* into, int add, int width) {
  __shared__ float room[WARP][COLUMNS + 1];
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  __syncthreads();
  room[warp][lane] = sum;
  __syncthreads();
  const float all = warp_sum(room[lane][warp]);
  const int column = blockIdx.x * COLUMNS + warp;
  if (lane == 0 && column < width) {
    float* to = into + (size_t)blockIdx.y * width + column;
    *to = add ? *to + all : all;
  }
}

// into[part] (+)= the sum of the rows of a part of x. Grid: (ceil(width / COLUMNS), parts), 1024 threads.
extern "C" __global__ void train_add_rows_of(const float* x, float* into, int add, int rows, int width) {
  const int column = blockIdx.x * COLUMNS + threadIdx.x % WARP;
  const int end = first_row(rows, blockIdx.y + 1);
  float sum = 0;
  if (column < width) {
#pragma unroll 4
    for (int row = first_row(rows, blockIdx.y) + threadIdx.x / WARP; row < end; row += WARP) {
      sum += x[(size_t)row * width + column];
    }
  }
  add_columns(sum, into, add, width);
}

// gradient = 0 where result is not above 0; then into[part] (+)= the sum of the gradient's rows, and products[b][row] = the
// gradient's row times the result's, of the COLUMNS columns from b * COLUMNS on. Grid: (ceil(width / COLUMNS), parts), 1024 threads.
extern "C" __global__ void __launch_bounds__(1024, 2) train_linear_relu_backward(
    float* gradient, const float* result, float* into, int add, float* products, int rows, int width) {
  const int lane = threadIdx.x % WARP;
  const int column = blockIdx.x * COLUMNS + lane;
  const int end = first_row(rows, blockIdx.y + 1);
  products += (size_t)blockIdx.x * rows;
  float sum = 0;
  for (int first = first_row(rows, blockIdx.y) + threadIdx.x / WARP; first < end; first += EACH * WARP) {
    float down[EACH], inner[EACH];
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      const int row = first + k * WARP;
      const bool there = row < end && column < width;
      down[k] = there ? gradient[(size_t)row * width + column] : 0.0f;
      inner[k] = there ? result[(size_t)row * width + column] : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      const int row = first + k * WARP;
      const float kept = inner[k] > 0.0f ? down[k] : 0.0f;
      if (row < end && column < width) {
        gradient[(size_t)row * width + column] = kept;
      }
      sum += kept;
      inner[k] *= kept;
    }
#pragma unroll
    for (int k = 0; k < EACH; k++) {
      const int row = first + k * WARP;
      const float product = warp_sum(inner[k]);
      if (row < end && lane == 0) {
        products[row] = product;
      }
    }
  }
  add_columns(sum, into, add, width);
}

// out = silu(gate) * up. Grid: ceil(count / block).
extern "C" __global__ void train_swiglu(const float* gate, const float* up, float* out, size_t count) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    out[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
  }
}

// The gradients of gate and up. Grid: ceil(count / block).
extern "C" __global__ void train_swiglu_backward(
    const float* gate, const float* up, const float* gradient, float* gate_gradient, float* up_gradient, size_t count) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) {
    const float sigmoid = 1 / (1 + expf(-gate[i]));
    const float silu = gate[i] * sigmoid;
    up_gradient[i] = gradient[i] * silu;
    gate_gradient[i] = gradient[i] * (up[i] * (sigmoid + silu * (1 - sigmoid)));
  }
}

// With s = 1 / sqrt(mean(x^2) + eps) and n = s x: out = s (gain dy - n mean(gain dy n)); stats[row] = (0, s).
extern "C" __global__ void train_rms_norm_backward(
    const float* x, const float* gain, const float* gradient, float eps, float* out, float2* stats, int width) {
  __shared__ float room[WARP];
  const size_t at = (size_t)blockIdx.x * width;
  float squares = 0;
  float along = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float v = x[at + i];
    squares += v * v;
    along += gain[i] * gradient[at + i] * v;
  }
  const float scale = 1 / sqrtf(block_sum(squares, room) / width + eps);
  along = block_sum(along, room) * scale / width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    out[at + i] = scale * (gain[i] * gradient[at + i] - x[at + i] * scale * along);
  }
  if (threadIdx.x == 0) {
    stats[blockIdx.x] = make_float2(0.0f, scale);
  }
}

// A row of `fours` times four numbers, COUNT of them a thread at most, which keeps them; returns (mean, s).
template <int COUNT>
__device__ float2 layer_norm_backward(
    const float4* x, const float4* gain, const float4* gradient, float eps, float4* out, int fours) {
  __shared__ float room[2 * WARP];
  const int width = 4 * fours;
  float4 centred[COUNT], down[COUNT];
  float mean = 0, sum = 0;
#pragma unroll
  for (int c = 0; c < COUNT; c++) {
    const int i = threadIdx.x + c * blockDim.x;
    if (i < fours) {
      centred[c] = x[i];
      down[c] = product(gain[i], gradient[i]);
      mean += total(centred[c]);
      sum += total(down[c]);
    }
  }
  block_sums(mean, sum, room);
  mean /= width;
  sum /= width;
  float squares = 0, along = 0;
#pragma unroll
  for (int c = 0; c < COUNT; c++) {
    if (threadIdx.x + c * blockDim.x < fours) {
      centred[c] = plus(centred[c], -mean);
      squares += total(product(centred[c], centred[c]));
      along += total(product(down[c], centred[c]));
    }
  }
  block_sums(squares, along, room);
  const float scale = 1 / sqrtf(squares / width + eps);
  along *= scale / width;
#pragma unroll
  for (int c = 0; c < COUNT; c++) {
    const int i = threadIdx.x + c * blockDim.x;
    if (i < fours) {
      out[i] = times(plus(plus(down[c], -sum), times(centred[c], -scale * along)), scale);
    }
  }
  return make_float2(mean, scale);
}

// The same for any row.
__device__ float2 layer_norm_backward(
    const float* x, const float* gain, const float* gradient, float eps, float* out, int width) {
  __shared__ float room[WARP];
  float total = 0;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    total += x[i];
    sum += gain[i] * gradient[i];
  }
  const float mean = block_sum(total, room) / width;
  sum = block_sum(sum, room) / width;
  float squares = 0;
  float along = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float v = x[i] - mean;
    squares += v * v;
    along += gain[i] * gradient[i] * v;
  }
  const float scale = 1 / sqrtf(block_sum(squares, room) / width + eps);
  along = block_sum(along, room) * scale / width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    out[i] = scale * (gain[i] * gradient[i] - sum - (x[i] - mean) * scale * along);
  }
  return make_float2(mean, scale);
}

// With n = (x - mean) s, s = 1 / sqrt(var + eps), g = gain dy: out = s (g - mean(g) - n mean(g n)); stats[row] = (mean, s).
extern "C" __global__ void train_layer_norm_backward(
    const float* x, const float* gain, const float* gradient, float eps, float* out, float2* stats, int width) {
  const size_t at = (size_t)blockIdx.x * width;
  const float4* x4 = (const float4*)(x + at);
  const float4* gradient4 = (const float4*)(gradient + at);
  const int fours = width % 4 == 0 ? (width / 4 + blockDim.x - 1) / blockDim.x : 0; // of a thread
  float2 stat;
  if (fours == 1) {
    stat = layer_norm_backward<1>(x4, (const float4*)gain, gradient4, eps, (float4*)(out + at), width / 4);
  } else if (fours > 1 && fours <= 4) {
    stat = layer_norm_backward<4>(x4, (const float4*)gain, gradient4, eps, (float4*)(out + at), width / 4);
  } else {
    stat = layer_norm_backward(x + at, gain, gradient + at, eps, out + at, width);
  }
  if (threadIdx.x == 0) {
    stats[blockIdx.x] = stat;
  }
}

// gains[part] (+)= sum of dy (x - mean) s, biases[part] (or none) (+)= sum of dy. Grid: (ceil(width / COLUMNS), parts), 1024
// threads.
extern "C" __global__ void train_norm_gradients(
    const float* x, const float* gradient, const float2* stats, float* gains, int add_gains, float* biases, int add_biases, int rows,
    int width) {
  const int column = blockIdx.x * COLUMNS + threadIdx.x % WARP;
  const int end = first_row(rows, blockIdx.y + 1);
  float gain = 0;
  float bias = 0;
  if (column < width) {
#pragma unroll 4
    for (int row = first_row(rows, blockIdx.y) + threadIdx.x / WARP; row < end; row += WARP) {
      const float2 stat = stats[row];
      const float down = gradient[(size_t)row * width + column];
      gain += down * ((x[(size_t)row * width + column] - stat.x) * stat.y);
      bias += down;
    }
  }
  add_columns(gain, gains, add_gains, width);
  if (biases != nullptr) {
    add_columns(bias, biases, add_biases, width);
  }
}

// Rotary embedding in place: places i and i + dim / 2 of each head turn by position * base^(-2 i / dim), or back. A thread
// for each row and place. Grid: ceil(rows * dim / 2 / block).
extern "C" __global__ void train_turn(float* x, int rows, int length, int heads, int dim, double base, int backwards) {
  const int half = dim / 2;
  const size_t n = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (n >= (size_t)rows * half) {
    return;
  }
  const int row = n / half;
  const int i = n % half;
  double sine, cosine;
  sincos(row % length * pow(base, -2.0 * i / dim), &sine, &cosine);
  const float s = backwards ? -sine : sine;
  const float c = cosine;
  float* at = x + (size_t)row * heads * dim + i;
  for (int head = 0; head < heads; head++, at += dim) {
    const float a = at[0];
    const float b = at[half];
    at[0] = a * c - b * s;
    at[half] = b * c + a * s;
  }
}

// Where the heads' matrices of a batch begin, batch by batch: out[batch][j * units + unit] is of query head j of the
// unit's group. Of each batch: the address of its matrix, numbers of a row there, and what it holds: 0 queries, 1 keys
// (of all query heads of a group the same), 2 scores, `slot` numbers each. Grid: (ceil(units * group / block), batches).
extern "C" __global__ void train_head_addresses(
    const unsigned long long* batches, unsigned long long* out, int first, int units, int group, int key_heads, int length, int dim, size_t slot) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= units * group) {
    return;
  }
  const unsigned long long* batch = batches + 3 * blockIdx.y;
  const int unit = first + i % units;
  const size_t token = (size_t)(unit / key_heads) * length;
  const int key_head = unit % key_heads;
  const int head = batch[2] == 1 ? key_head : key_head * group + i / units;
  const size_t number = batch[2] == 2 ? i * slot : token * batch[1] + (size_t)head * dim;
  out[(size_t)blockIdx.y * units * group + i] = batch[0] + number * sizeof(float);
}

// Rows of attention. `LANES` neighbouring lanes of a warp have a row of up to 4 * LANES * COUNT numbers, a lane four
// neighbours at a time; `rest` stands for those from place `end` on.
template <int LANES, int COUNT>
static __device__ void row_in(const float* row, int end, float rest, int lane, float4 (&x)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    const int j = 4 * (i * LANES + lane);
    x[i] = j < end ? *reinterpret_cast<const float4*>(row + j) : make_float4(rest, rest, rest, rest);
    x[i].y = j + 1 < end ? x[i].y : rest;
    x[i].z = j + 2 < end ? x[i].z : rest;
    x[i].w = j + 3 < end ? x[i].w : rest;
  }
}

template <int LANES, int COUNT> static __device__ void row_out(float* row, int length, int lane, const float4 (&x)[COUNT]) {
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    const int j = 4 * (i * LANES + lane);
    if (j < length) {
      *reinterpret_cast<float4*>(row + j) = x[i];
    }
  }
}

template <int LANES, int COUNT> static __device__ void softmax_row(float* row, int end, int length, float scale, int lane) {
  float4 x[COUNT];
  row_in<LANES>(row, end, -INFINITY, lane, x);
  float most = -INFINITY;
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    most = fmaxf(most, fmaxf(fmaxf(x[i].x, x[i].y), fmaxf(x[i].z, x[i].w)));
  }
  most = warp_max<LANES>(most);
  const float in_bits = scale * 1.44269504f; // exp(scale x) = 2^(in_bits x)
  float sum = 0;
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    x[i].x = exp2f((x[i].x - most) * in_bits);
    x[i].y = exp2f((x[i].y - most) * in_bits);
    x[i].z = exp2f((x[i].z - most) * in_bits);
    x[i].w = exp2f((x[i].w - most) * in_bits);
    sum += (x[i].x + x[i].y) + (x[i].z + x[i].w);
  }
  const float share = 1 / warp_sum<LANES>(sum);
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    x[i] = make_float4(x[i].x * share, x[i].y * share, x[i].z * share, x[i].w * share);
  }
  row_out<LANES>(row, length, lane, x);
}

// Scores to probabilities in place: softmax(scale * scores) over the places up to the row's own, 0 after them. Matrices
// [length, length], each `stride` numbers after the one before. Rows whose length is a multiple of 4 are taken by a quarter
// of a warp up to 128 numbers, by a warp up to 512; all others by a warp, number by number. Grid: ceil(rows / rows of a block).
extern "C" __global__ void train_causal_softmax(float* scores, size_t rows, int length, size_t stride, float scale) {
  const size_t thread = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  const bool quarter = length % 4 == 0 && length <= 128;
  const size_t n = thread / (quarter ? WARP / 4 : WARP);
  const size_t own = n < rows ? n : rows - 1; // lanes without a row take part in what is exchanged
  const int last = own % length;
  float* row = scores + own / length * stride + (size_t)last * length;
  if (quarter) {
    softmax_row<WARP / 4, 4>(row, last + 1, n < rows ? length : 0, scale, threadIdx.x % (WARP / 4));
    return;
  }
  if (n >= rows) {
    return;
  }
  const int lane = threadIdx.x % WARP;
  if (length % 4 == 0 && length <= 512) {
    softmax_row<WARP, 4>(row, last + 1, length, scale, lane);
    return;
  }
  float most = -INFINITY;
  for (int j = lane; j <= last; j += WARP) {
    most = fmaxf(most, row[j]);
  }
  most = warp_max(most);
  float sum = 0;
  for (int j = lane; j <= last; j += WARP) {
    sum += expf((row[j] - most) * scale);
  }
  sum = warp_sum(sum);
  for (int j = lane; j < length; j += WARP) {
    row[j] = j > last ? 0.0f : expf((row[j] - most) * scale) / sum;
  }
}

template <int LANES, int COUNT>
static __device__ void softmax_back_row(const float* shares, float* down, int end, int length, float scale, int lane) {
  float4 p[COUNT];
  float4 d[COUNT];
  row_in<LANES>(shares, end, 0, lane, p);
  row_in<LANES>(down, end, 0, lane, d);
  float along = 0;
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    along += (p[i].x * d[i].x + p[i].y * d[i].y) + (p[i].z * d[i].z + p[i].w * d[i].w);
  }
  along = warp_sum<LANES>(along);
#pragma unroll
  for (int i = 0; i < COUNT; i++) {
    d[i].x = p[i].x * (d[i].x - along) * scale;
    d[i].y = p[i].y * (d[i].y - along) * scale;
    d[i].z = p[i].z * (d[i].z - along) * scale;
    d[i].w = p[i].w * (d[i].w - along) * scale;
  }
  row_out<LANES>(down, length, lane, d);
}

// Gradients of probabilities to those of scores in place: scale p (dp - sum(p dp)), 0 above the diagonal. As above.
extern "C" __global__ void train_causal_softmax_backward(
    const float* probabilities, float* gradient, size_t rows, int length, size_t stride, float scale) {
  const size_t thread = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  const bool quarter = length % 4 == 0 && length <= 128;
  const size_t n = thread / (quarter ? WARP / 4 : WARP);
  const size_t own = n < rows ? n : rows - 1;
  const int last = own % length;
  const size_t at = own / length * stride + (size_t)last * length;
  const float* shares = probabilities + at;
  float* down = gradient + at;
  if (quarter) {
    softmax_back_row<WARP / 4, 4>(shares, down, last + 1, n < rows ? length : 0, scale, threadIdx.x % (WARP / 4));
    return;
  }
  if (n >= rows) {
    return;
  }
  const int lane = threadIdx.x % WARP;
  if (length % 4 == 0 && length <= 512) {
    softmax_back_row<WARP, 4>(shares, down, last + 1, length, scale, lane);
    return;
  }
  float along = 0;
  for (int j = lane; j <= last; j += WARP) {
    along += shares[j] * down[j];
  }
  along = warp_sum(along);
  for (int j = lane; j < length; j += WARP) {
    down[j] = j > last ? 0.0f : shares[j] * (down[j] - along) * scale;
  }
}

// Logits to the gradient of their loss in place: scale (softmax - one at the target); 0, and no loss, without a target.
extern "C" __global__ void train_cross_entropy(
    float* logits, const int* targets, float scale, double* losses, int width) {
  __shared__ float room[WARP];
  float* row = logits + (size_t)blockIdx.x * width;
  const int target = targets[blockIdx.x];
  if (target < 0) {
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
      row[i] = 0.0f;
    }
    if (threadIdx.x == 0) {
      losses[blockIdx.x] = 0;
    }
    return;
  }
  const float wanted = row[target]; // read by all before any writes: sums of a block lie between
  float most = -INFINITY;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    most = fmaxf(most, row[i]);
  }
  most = block_max(most, room);
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    sum += expf(row[i] - most);
  }
  sum = block_sum(sum, room);
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float share = expf(row[i] - most) / sum;
    row[i] = scale * (i == target ? share - 1 : share);
  }
  if (threadIdx.x == 0) {
    losses[blockIdx.x] = log((double)sum) + ((double)most - (double)wanted);
  }
}

template <typename V>
__device__ void combine(
    const float* const* sources, const int* from, const int* rows, const float* weights, V* out, int k, int width) {
  const int first = blockIdx.x * k;
  V* to = out + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    V sum = {};
#pragma unroll 2
    for (int j = first; j < first + k; j++) {
      const V x = ((const V*)sources[from[j]])[(size_t)rows[j] * width + i];
      sum = plus(sum, weights == nullptr ? x : times(x, weights[j]));
    }
    to[i] = sum;
  }
}

// out[t] = the sum over j of weights[t k + j] (or 1) sources[from[t k + j]][rows[t k + j]], j in order.
extern "C" __global__ void train_combine(
    const float* const* sources, const int* from, const int* rows, const float* weights, float* out, int k, int width) {
  if (width % 4 == 0) {
    combine(sources, from, rows, weights, (float4*)out, k, width / 4);
  } else {
    combine(sources, from, rows, weights, out, k, width);
  }
}

// out[row] (+)= x[row] times y[row], or with a stride of 0 times y's only row; a warp for each row.
extern "C" __global__ void train_row_products(
    const float* x, const float* y, float* out, int add, int rows, int stride, int width) {
  const size_t row = (size_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
  if (row >= rows) {
    return;
  }
  const float* left = x + row * width;
  const float* right = y + row * stride;
  const int lane = threadIdx.x % WARP;
  float sum = 0;
  if (width % 4 == 0) {
#pragma unroll 4
    for (int i = 4 * lane; i < width; i += 4 * WARP) {
      const float4 a = *reinterpret_cast<const float4*>(left + i);
      const float4 b = *reinterpret_cast<const float4*>(right + i);
      sum += (a.x * b.x + a.y * b.y) + (a.z * b.z + a.w * b.w);
    }
  } else {
    for (int i = lane; i < width; i += WARP) {
      sum += left[i] * right[i];
    }
  }
  sum = warp_sum(sum);
  if (lane == 0) {
    out[row] = add ? out[row] + sum : sum;
  }
}

// The k largest numbers of each row, of equal ones the lower column first: out[row k + j] is a column, out[rows k + row k + j] its number.
// Grid: ceil(rows / block).
extern "C" __global__ void train_largest(const float* x, float* out, int rows, int width, int k) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) {
    return;
  }
  const float* from = x + (size_t)row * width;
  float* columns = out + (size_t)row * k;
  float* numbers = columns + (size_t)rows * k;
  for (int j = 0; j < k; j++) {
    int best = -1;
    for (int i = 0; i < width; i++) {
      bool taken = false;
      for (int before = 0; before < j; before++) {
        taken |= columns[before] == i;
      }
      if (!taken && (best < 0 || from[i] > from[best])) {
        best = i;
      }
    }
    columns[j] = best;
    numbers[j] = from[best];
  }
}

// With g[j] = along[from[t k + j]][rows[t k + j]] and s the sum of the token's: out[t][from[t k + j]] = g[j] - shares[t k + j] s,
// 0 for others; or, if shares are of all, out[t][e] = [e chosen] g - shares[t experts + e] s. Grid: ceil(tokens / block).
extern "C" __global__ void train_logits_gradient(
    const float* const* along, const int* from, const int* rows, const float* shares, float* out, int tokens, int k, int experts, int of_chosen) {
  const int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= tokens) {
    return;
  }
  float* to = out + (size_t)t * experts;
  double sum = 0;
  for (int j = t * k; j < (t + 1) * k; j++) {
    sum += along[from[j]][rows[j]];
  }
  for (int e = 0; e < experts; e++) {
    to[e] = of_chosen ? 0.0f : (float)(-shares[(size_t)t * experts + e] * sum);
  }
  for (int j = t * k; j < (t + 1) * k; j++) {
    const float g = along[from[j]][rows[j]];
    to[from[j]] += of_chosen ? (float)(g - shares[j] * sum) : g;
  }
}
