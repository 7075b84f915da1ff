// Causal attention of whole sequences of up to 128 tokens, forward and backward, in TF32 on tensor cores: scores stay in
// registers. Backward makes probabilities again from sums of exponents, row by row, as FlashAttention-2 (Dao, 2023) does,
// but adds up in a fixed order: the same operands give the same bits.
//
// A block of four warps takes a head of a sequence. Scores come in tiles of 16 x 16, of which only those on and below the
// diagonal are computed; a warp takes a row (later a column) of tiles near one end and one as far from the other end, so
// that all have the same work. Rows after a sequence's last count as zeros: as keys no query before them sees them, as
// queries nothing comes down to them.
//
// The instruction multiplies tiles of 16 x 8 and 8 x 8. Lane 4 g + t of a warp holds rows g and g + 8 of the left one in
// columns t and t + 4, rows t and t + 4 of the right one in column g, and rows g and g + 8 of the result in columns 2 t and
// 2 t + 1. What is summed over may be taken in any order that both sides share. So for scores a lane takes those numbers
// of a head's 32 that lie from 8 t to 8 t + 7, 16 bytes at a time; and what becomes of scores is a left operand as it lies
// there, columns 2 t and 2 t + 1 as t and t + 4. With a PITCH of 4 more than a head's size, which is a multiple of 32, the
// lanes of each load from shared memory find different banks.
#include "numbers.cuh"

constexpr int TILE = 16;                // tokens
constexpr int LONGEST = 128;            // tokens of a sequence
constexpr int TILES = LONGEST / TILE;   // of the longest
constexpr int BLOCK = TILES / 2 * WARP; // threads: a warp has two rows of tiles
constexpr float LOG2_E = 1.4426950408889634f;

// In shared memory: numbers from a row to the next, and of a head's rows.
template <int D> constexpr int PITCH = D + 4;
template <int D> constexpr int ROOM = LONGEST * PITCH<D>;

// To the nearest number of TF32 as cvt.rna does, in fewer instructions: adds half of what its last place counts and clears
// what is behind that place. The larger of two keeps a NaN from becoming a number.
__device__ __forceinline__ float rounded(float x) {
  const int bits = __float_as_int(x);
  return __int_as_float(max((int)(bits + 0x1000u), bits) & ~0x1fff);
}

__device__ __forceinline__ float4 rounded(float4 x) {
  return make_float4(rounded(x.x), rounded(x.y), rounded(x.z), rounded(x.w));
}

// 2^x; 0 where that is below the smallest normal number.
__device__ __forceinline__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// sums += left x right; of left, rows g and g + 8 in column t, then both in t + 4.
__device__ __forceinline__ void mma(
    float (&sums)[4], float low, float high, float low4, float high4, float right, float right4) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(__float_as_uint(low)), "r"(__float_as_uint(high)), "r"(__float_as_uint(low4)), "r"(__float_as_uint(high4)),
        "r"(__float_as_uint(right)), "r"(__float_as_uint(right4)));
}

// Rows of a head, `stride` numbers from one to the next; those from `rows` on are zeros.
struct Rows {
  const float* at;
  int stride;
  int rows;

  __device__ __forceinline__ float4 four(int row, int column) const {
    return row < rows ? *reinterpret_cast<const float4*>(at + (size_t)row * stride + column) : make_float4(0, 0, 0, 0);
  }
};

// Where the i-th four of a lane's numbers of a row begin.
__device__ __forceinline__ int place(int i) { return i / 2 * 32 + threadIdx.x % 4 * 8 + i % 2 * 4; }

// The first or second of a lane's rows of a tile.
__device__ __forceinline__ int row_of_tile(int i) { return threadIdx.x % WARP / 4 + 8 * i; }

// The first or second of a warp's rows of tiles.
__device__ __forceinline__ int tile_of_warp(int i) {
  const int warp = threadIdx.x / WARP;
  return i == 0 ? warp : TILES - 1 - warp;
}

// Rounded rows into shared memory, as many as whole tiles have, by the block.
template <int D>
__device__ __forceinline__ void share(const Rows& from, float* to) {
  constexpr int FOURS = D / 4;
  const int end = (from.rows + TILE - 1) / TILE * TILE;
#pragma unroll
  for (int i = 0; i < LONGEST * FOURS / BLOCK; i++) {
    const int row = (i * BLOCK + threadIdx.x) / FOURS;
    const int column = threadIdx.x % FOURS * 4;
    if (row < end) {
      *reinterpret_cast<float4*>(to + row * PITCH<D> + column) = rounded(from.four(row, column));
    }
  }
}

// The rows of a tile as a left operand.
template <int D>
struct Left {
  float4 fours[D / 16][2];

  __device__ __forceinline__ Left(const Rows& from, int tile) {
#pragma unroll
    for (int i = 0; i < D / 16; i++) {
#pragma unroll
      for (int j = 0; j < 2; j++) {
        fours[i][j] = rounded(from.four(tile * TILE + row_of_tile(j), place(i)));
      }
    }
  }
};

// sums = left x right', with rows of the right operand in shared memory: a tile of inner products.
template <int D>
__device__ __forceinline__ void inner(const Left<D>& left, const float* right, float (&sums)[2][4]) {
#pragma unroll
  for (int n = 0; n < 2; n++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      sums[n][j] = 0;
    }
#pragma unroll
    for (int i = 0; i < D / 16; i++) {
      const float4 r = *reinterpret_cast<const float4*>(right + row_of_tile(n) * PITCH<D> + place(i));
      const float4 low = left.fours[i][0];
      const float4 high = left.fours[i][1];
      mma(sums[n], low.x, high.x, low.y, high.y, r.x, r.y);
      mma(sums[n], low.z, high.z, low.w, high.w, r.z, r.w);
    }
  }
}

// Sums of a tile's rows, as many numbers as a head has.
template <int D>
struct Sums {
  float tiles[D / 8][4] = {};

  // += scores x right, with rows of the right operand in shared memory.
  __device__ __forceinline__ void add(const float (&scores)[2][4], const float* right) {
    const float* at = right + threadIdx.x % 4 * 2 * PITCH<D> + threadIdx.x % WARP / 4;
#pragma unroll
    for (int n = 0; n < 2; n++) {
      const float x[4] = {
          rounded(scores[n][0]), rounded(scores[n][2]), rounded(scores[n][1]), rounded(scores[n][3])};
#pragma unroll
      for (int i = 0; i < D / 8; i++) {
        const int row = n * 8 * PITCH<D> + i * 8;
        mma(tiles[i], x[0], x[1], x[2], x[3], at[row], at[row + PITCH<D>]);
      }
    }
  }

  // out (+)= scale x sums, the rows of a tile; a row has a scale of its own.
  __device__ __forceinline__ void put(
      float* out, int stride, int rows, int tile, const float (&scale)[2], bool add) const {
#pragma unroll
    for (int j = 0; j < 2; j++) {
      const int row = tile * TILE + row_of_tile(j);
      if (row >= rows) {
        return;
      }
      float* at = out + (size_t)row * stride + threadIdx.x % 4 * 2;
#pragma unroll
      for (int i = 0; i < D / 8; i++) {
        float2* two = reinterpret_cast<float2*>(at + i * 8);
        const float2 before = add ? *two : make_float2(0, 0);
        *two = make_float2(before.x + scale[j] * tiles[i][2 * j], before.y + scale[j] * tiles[i][2 * j + 1]);
      }
    }
  }
};

// 2^(in_bits (score - most)) of a row of tiles, with the largest score of each row and the sum. Scores are those of
// queries and of the keys up to a query's own; what follows has none.
template <int D>
__device__ __forceinline__ void exponents(
    const Left<D>& query, const float* keys, int tile, float in_bits, float (&out)[TILES][2][4], float (&most)[2],
    float (&sum)[2]) {
  most[0] = most[1] = -INFINITY;
#pragma unroll
  for (int k = 0; k < TILES; k++) {
    if (k <= tile) {
      inner<D>(query, keys + k * TILE * PITCH<D>, out[k]);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const int n = i / 4;
        const int j = i % 4;
        const int key = n * 8 + threadIdx.x % 4 * 2 + j % 2;
        out[k][n][j] = k < tile || key <= row_of_tile(j / 2) ? out[k][n][j] : -INFINITY;
        most[j / 2] = fmaxf(most[j / 2], out[k][n][j]);
      }
    }
  }
  most[0] = warp_max<4>(most[0]);
  most[1] = warp_max<4>(most[1]);
  const float shift[2] = {most[0] * in_bits, most[1] * in_bits};
  sum[0] = sum[1] = 0;
#pragma unroll
  for (int k = 0; k < TILES; k++) {
    if (k <= tile) {
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const int n = i / 4;
        const int j = i % 4;
        out[k][n][j] = power_of_two(out[k][n][j] * in_bits - shift[j / 2]);
        sum[j / 2] += out[k][n][j];
      }
    }
  }
  sum[0] = warp_sum<4>(sum[0]);
  sum[1] = warp_sum<4>(sum[1]);
}

// out = what each head sees; q and out [tokens, heads * D], k and v [tokens, heads / group * D], sequences of `length`
// tokens one after the other. Shared: keys and values. Grid: sequences * heads.
template <int D>
__device__ __forceinline__ void attend(
    const float* q, const float* k, const float* v, float* out, int heads, int group, int length, float scale) {
  extern __shared__ __align__(16) float room[];
  float* second = room + ROOM<D>;
  const size_t token = (size_t)(blockIdx.x / heads) * length;
  const int head = blockIdx.x % heads;
  const int stride = heads * D;
  const int key_stride = heads / group * D;
  const size_t at = token * stride + head * D;
  const size_t key_at = token * key_stride + head / group * D;
  share<D>({k + key_at, key_stride, length}, room);
  share<D>({v + key_at, key_stride, length}, second);
  __syncthreads();
  for (int i = 0; i < 2 && tile_of_warp(i) * TILE < length; i++) {
    const int tile = tile_of_warp(i);
    float shares[TILES][2][4], most[2], sum[2];
    exponents<D>(Left<D>({q + at, stride, length}, tile), room, tile, scale * LOG2_E, shares, most, sum);
    Sums<D> seen;
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      if (j <= tile) {
        seen.add(shares[j], second + j * TILE * PITCH<D>);
      }
    }
    seen.put(out + at, stride, length, tile, {1 / sum[0], 1 / sum[1]}, false);
  }
}

// What keys need to know of a query: log2 of the sum of its scores' exponents, the sum of its shares times gradients.
struct Stats {
  float log_sum;
  float along;
};

// The gradients of a tile of queries, but for the scale, from what comes down to them; keys and values in shared memory.
// Notes the queries' stats.
template <int D>
__device__ __forceinline__ Sums<D> query_gradients(
    const Rows& queries, const Rows& downs, const float* keys, const float* values, int tile, float in_bits,
    Stats* stats) {
  float shares[TILES][2][4], most[2], sum[2];
  exponents<D>(Left<D>(queries, tile), keys, tile, in_bits, shares, most, sum);
  const float share[2] = {1 / sum[0], 1 / sum[1]};
  const Left<D> left(downs, tile);
  float along[2] = {};
#pragma unroll
  for (int k = 0; k < TILES; k++) {
    if (k <= tile) {
      float down[2][4];
      inner<D>(left, values + k * TILE * PITCH<D>, down);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const int n = i / 4;
        const int j = i % 4;
        shares[k][n][j] *= share[j / 2];
        along[j / 2] += shares[k][n][j] * down[n][j];
      }
    }
  }
#pragma unroll
  for (int j = 0; j < 2; j++) {
    along[j] = warp_sum<4>(along[j]);
    if (threadIdx.x % 4 == 0) {
      stats[tile * TILE + row_of_tile(j)] = {most[j] * in_bits + log2f(sum[j]), along[j]};
    }
  }
  Sums<D> out;
#pragma unroll
  for (int k = 0; k < TILES; k++) {
    if (k <= tile) {
      float down[2][4];
      inner<D>(left, values + k * TILE * PITCH<D>, down); // again: to keep them takes too many registers
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const int n = i / 4;
        const int j = i % 4;
        down[n][j] = shares[k][n][j] * (down[n][j] - along[j / 2]);
      }
      out.add(down, keys + k * TILE * PITCH<D>);
    }
  }
  return out;
}

// Adds up the gradients of a tile of keys, but for the scale, and of their values. Scores stand on their side: a row for a
// key, a column for a query, from the tile's own on; queries and what comes down to them are in shared memory.
template <int D>
__device__ __forceinline__ void key_gradients(
    const Rows& keys, const Rows& values, const float* queries, const float* downs, int tile, float in_bits,
    const Stats* stats, Sums<D>& key_out, Sums<D>& value_out) {
  const Left<D> key(keys, tile);
  const Left<D> value(values, tile);
  for (int q = tile; q * TILE < keys.rows; q++) {
    const float* query = queries + q * TILE * PITCH<D>;
    const float* down = downs + q * TILE * PITCH<D>;
    float shares[2][4], scores[2][4];
    inner<D>(key, query, shares);
    inner<D>(value, down, scores);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int n = i / 4;
      const int j = i % 4;
      const int query_of_tile = n * 8 + threadIdx.x % 4 * 2 + j % 2;
      const Stats of = stats[q * TILE + query_of_tile];
      const bool seen = q > tile || row_of_tile(j / 2) <= query_of_tile;
      shares[n][j] = seen ? power_of_two(shares[n][j] * in_bits - of.log_sum) : 0.0f;
      scores[n][j] = shares[n][j] * (scores[n][j] - of.along);
    }
    value_out.add(shares, down);
    key_out.add(scores, query);
  }
}

// Gradients of q, k and v from that of what heads see; matrices as above. Of each group of heads that share keys it takes
// one, `member`; what keys and values get is added to what they got of the members before it, from 0. Shared: keys and
// values, in their place later queries and what comes down to them; stats. Grid: sequences * key heads.
template <int D>
__device__ __forceinline__ void attend_backward(
    const float* q, const float* k, const float* v, const float* gradient, float* q_out, float* k_out, float* v_out,
    int key_heads, int group, int member, int length, float scale) {
  extern __shared__ __align__(16) float room[];
  float* second = room + ROOM<D>;
  Stats* stats = reinterpret_cast<Stats*>(second + ROOM<D>);
  const int key_head = blockIdx.x % key_heads;
  const size_t token = (size_t)(blockIdx.x / key_heads) * length;
  const int key_stride = key_heads * D;
  const int stride = key_stride * group;
  const size_t key_at = token * key_stride + key_head * D;
  const size_t at = token * stride + (key_head * group + member) * D;
  const Rows keys = {k + key_at, key_stride, length};
  const Rows values = {v + key_at, key_stride, length};
  const Rows queries = {q + at, stride, length};
  const Rows downs = {gradient + at, stride, length};
  const float in_bits = scale * LOG2_E;
  share<D>(keys, room);
  share<D>(values, second);
  __syncthreads();
  for (int i = 0; i < 2 && tile_of_warp(i) * TILE < length; i++) {
    const int tile = tile_of_warp(i);
    const Sums<D> out = query_gradients<D>(queries, downs, room, second, tile, in_bits, stats);
    out.put(q_out + at, stride, length, tile, {scale, scale}, false);
  }
  __syncthreads();
  share<D>(queries, room);
  share<D>(downs, second);
  __syncthreads();
  for (int i = 0; i < 2 && tile_of_warp(i) * TILE < length; i++) {
    const int tile = tile_of_warp(i);
    Sums<D> key_out, value_out;
    key_gradients<D>(keys, values, room, second, tile, in_bits, stats, key_out, value_out);
    key_out.put(k_out + key_at, key_stride, length, tile, {scale, scale}, member > 0);
    value_out.put(v_out + key_at, key_stride, length, tile, {1, 1}, member > 0);
  }
}

#define ATTEND(D, BLOCKS, BACKWARD_BLOCKS)                                                                             \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS) train_attend_##D(                                        \
      const float* q, const float* k, const float* v, float* out, int heads, int group, int length, float scale) {     \
    attend<D>(q, k, v, out, heads, group, length, scale);                                                              \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(BLOCK, BACKWARD_BLOCKS) train_attend_backward_##D(                      \
      const float* q, const float* k, const float* v, const float* gradient, float* q_out, float* k_out, float* v_out, \
      int key_heads, int group, int member, int length, float scale) {                                                 \
    attend_backward<D>(q, k, v, gradient, q_out, k_out, v_out, key_heads, group, member, length, scale);               \
  }

// Head size; blocks that a processor is to hold at once, forward and backward: registers allow no more without spilling.
ATTEND(32, 4, 4)
ATTEND(64, 3, 2)
