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

__device__ __forceinline__ float above_zero(float a) { return fmaxf(a, 0.0f); }
__device__ __forceinline__ float4 above_zero(float4 a) {
  return make_float4(fmaxf(a.x, 0.0f), fmaxf(a.y, 0.0f), fmaxf(a.z, 0.0f), fmaxf(a.w, 0.0f));
}

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

// x = x + row or max(x + row, 0), with the row added to each row of x, `width` units of type V, in all fewer than 2^31 numbers.
// A thread's units are of one column, a quarter of the rows apart.
template <typename V, bool RELU>
__device__ void add_row(const V* row, V* x, uint32_t rows, uint32_t width) {
  const size_t count = (size_t)rows * width;
  const uint32_t step = (rows + EACH - 1) / EACH * width;
  const uint32_t first = blockIdx.x * blockDim.x + threadIdx.x;
  if (first >= step) {
    return;
  }
  V sums[EACH];
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const size_t i = first + (size_t)k * step;
    if (i < count) {
      sums[k] = x[i];
    }
  }
  const V more = row[first % width];
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    const size_t i = first + (size_t)k * step;
    if (i < count) {
      const V sum = plus(sums[k], more);
      x[i] = RELU ? above_zero(sum) : sum;
    }
  }
}

// Units of 16 and 4 bytes. Grid: ceil(ceil(count / EACH) / block), or ceil(ceil(rows / EACH) * width / block).
extern "C" __global__ void train_add_16(const float4* x, float4* out, int count) { add_values(x, out, count); }
extern "C" __global__ void train_add_4(const float* x, float* out, int count) { add_values(x, out, count); }
extern "C" __global__ void train_add_row_16(const float4* row, float4* x, int rows, int width) { add_row<float4, false>(row, x, rows, width); }
extern "C" __global__ void train_add_row_4(const float* row, float* x, int rows, int width) { add_row<float, false>(row, x, rows, width); }
extern "C" __global__ void train_add_row_relu_16(const float4* row, float4* x, int rows, int width) { add_row<float4, true>(row, x, rows, width); }
extern "C" __global__ void train_add_row_relu_4(const float* row, float* x, int rows, int width) { add_row<float, true>(row, x, rows, width); }

// out[row] = in[index[row]] * weights[row]
extern "C" __global__ void train_gather(
    const float* in, const int* index, const float* weights, float* out, int width) {
  const float* from = in + (size_t)index[blockIdx.x] * width;
  float* to = out + (size_t)blockIdx.x * width;
  const float weight = weights[blockIdx.x];
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    to[i] = from[i] * weight;
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

// into[column] += the sums that the threads of a column hold, or into[part][column] = these if there are several parts; a block
// of COLUMNS * 32 threads, thread t of column t % COLUMNS.
__device__ void add_columns(float sum, float* into, int width) {
  __shared__ float room[WARP][COLUMNS + 1];
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  __syncthreads();
  room[warp][lane] = sum;
  __syncthreads();
  const float all = warp_sum(room[lane][warp]);
  const int column = blockIdx.x * COLUMNS + warp;
  if (lane == 0 && column < width) {
    if (gridDim.y == 1) {
      into[column] += all;
    } else {
      into[(size_t)blockIdx.y * width + column] = all;
    }
  }
}

// into += the sum of the rows of x, or into[part] = that of a part. Grid: (ceil(width / COLUMNS), parts), 1024 threads.
extern "C" __global__ void train_add_rows_of(const float* x, float* into, int rows, int width) {
  const int column = blockIdx.x * COLUMNS + threadIdx.x % WARP;
  const int end = first_row(rows, blockIdx.y + 1);
  float sum = 0;
  if (column < width) {
#pragma unroll 4
    for (int row = first_row(rows, blockIdx.y) + threadIdx.x / WARP; row < end; row += WARP) {
      sum += x[(size_t)row * width + column];
    }
  }
  add_columns(sum, into, width);
}

// gradient = 0 where result is not above 0. Grid: ceil(count / block).
extern "C" __global__ void train_relu_backward(float* gradient, const float* result, size_t count) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count && !(result[i] > 0.0f)) {
    gradient[i] = 0.0f;
  }
}

// The same; then into += the sum of the gradient's rows, as train_add_rows_of, and products[b][row] = the gradient's row times the
// result's, of the COLUMNS columns from b * COLUMNS on. Grid: (ceil(width / COLUMNS), parts), 1024 threads.
extern "C" __global__ void __launch_bounds__(1024, 2) train_add_row_relu_backward(
    float* gradient, const float* result, float* into, float* products, int rows, int width) {
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
  add_columns(sum, into, width);
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

// With n = (x - mean) s, s = 1 / sqrt(var + eps), g = gain dy: out = s (g - mean(g) - n mean(g n)); stats[row] = (mean, s).
extern "C" __global__ void train_layer_norm_backward(
    const float* x, const float* gain, const float* gradient, float eps, float* out, float2* stats, int width) {
  __shared__ float room[WARP];
  const size_t at = (size_t)blockIdx.x * width;
  float total = 0;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    total += x[at + i];
    sum += gain[i] * gradient[at + i];
  }
  const float mean = block_sum(total, room) / width;
  sum = block_sum(sum, room) / width;
  float squares = 0;
  float along = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const float v = x[at + i] - mean;
    squares += v * v;
    along += gain[i] * gradient[at + i] * v;
  }
  const float scale = 1 / sqrtf(block_sum(squares, room) / width + eps);
  along = block_sum(along, room) * scale / width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    out[at + i] = scale * (gain[i] * gradient[at + i] - sum - (x[at + i] - mean) * scale * along);
  }
  if (threadIdx.x == 0) {
    stats[blockIdx.x] = make_float2(mean, scale);
  }
}

// gain_gradient += sum of dy (x - mean) s, bias_gradient (or none) += sum of dy; or those of parts. Grid: (ceil(width / COLUMNS),
// parts), 1024 threads.
extern "C" __global__ void train_norm_gradients(
    const float* x, const float* gradient, const float2* stats, float* gain_gradient, float* bias_gradient, int rows, int width) {
  const int column = blockIdx.x * COLUMNS + threadIdx.x % WARP;
  const int end = first_row(rows, blockIdx.y + 1);
  float gains = 0;
  float biases = 0;
  if (column < width) {
#pragma unroll 4
    for (int row = first_row(rows, blockIdx.y) + threadIdx.x / WARP; row < end; row += WARP) {
      const float2 stat = stats[row];
      const float down = gradient[(size_t)row * width + column];
      gains += down * ((x[(size_t)row * width + column] - stat.x) * stat.y);
      biases += down;
    }
  }
  add_columns(gains, gain_gradient, width);
  if (bias_gradient != nullptr) {
    add_columns(biases, bias_gradient, width);
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

// out[t] = the sum over j of weights[t k + j] (or 1) sources[from[t k + j]][rows[t k + j]], j in order.
extern "C" __global__ void train_combine(
    const float* const* sources, const int* from, const int* rows, const float* weights, float* out, int k, int width) {
  const int first = blockIdx.x * k;
  float* to = out + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = 0;
    for (int j = first; j < first + k; j++) {
      const float x = sources[from[j]][(size_t)rows[j] * width + i];
      sum += weights == nullptr ? x : weights[j] * x;
    }
    to[i] = sum;
  }
}

// out[row] = x[row] times y[row], or with a stride of 0 times y's only row; a block for each row.
extern "C" __global__ void train_row_products(
    const float* x, const float* y, float* out, int stride, int width) {
  __shared__ float room[WARP];
  const float* left = x + (size_t)blockIdx.x * width;
  const float* right = y + (size_t)blockIdx.x * stride;
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    sum += left[i] * right[i];
  }
  sum = block_sum(sum, room);
  if (threadIdx.x == 0) {
    out[blockIdx.x] = sum;
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
