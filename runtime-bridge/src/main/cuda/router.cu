// Which experts a token takes, and the sort of tokens by expert.
#include "numbers.cuh"

constexpr int MOST_EXPERTS = 512;
constexpr int SORT_WARPS = 16;

// The k largest logits of a token, ties to the lower expert, and their probabilities by softmax over all; by one warp.
// renormalise: weights divided by the sum of the chosen. k at most 32. By logits, as tiny probabilities are all 0.
__device__ __forceinline__ void choose(
    const float* logits, int experts, int k, int renormalise, int* chosen, float* weights) {
  const int lane = threadIdx.x % WARP;
  float mine[MOST_EXPERTS / WARP];
  float most = -INFINITY;
#pragma unroll
  for (int i = 0; i < MOST_EXPERTS / WARP; i++) {
    const int e = i * WARP + lane;
    mine[i] = e < experts ? logits[e] : -INFINITY;
    most = fmaxf(most, mine[i]);
  }
  most = warp_max(most);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < MOST_EXPERTS / WARP; i++) {
    sum += i * WARP + lane < experts ? expf(mine[i] - most) : 0.0f;
  }
  sum = warp_sum(sum);
  float taken = 0;
  float kept = 0;  // lane j keeps choice j's weight
  unsigned gone = 0;  // bit i: this lane's expert i is chosen already
  for (int j = 0; j < k; j++) {
    float best = -INFINITY;
    int at = 0x7fffffff;
#pragma unroll
    for (int i = 0; i < MOST_EXPERTS / WARP; i++) {
      const int e = i * WARP + lane;
      if (e < experts && (gone >> i & 1) == 0 && (at == 0x7fffffff || mine[i] > best)) {
        best = mine[i];
        at = e;
      }
    }
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, best, step);
      const int where = __shfl_xor_sync(0xffffffffu, at, step);
      if (where != 0x7fffffff && (at == 0x7fffffff || other > best || (other == best && where < at))) {
        best = other;
        at = where;
      }
    }
    gone |= at % WARP == lane ? 1u << at / WARP : 0;
    const float p = expf(best - most) / sum;
    taken += p;
    if (lane == j) {
      kept = p;
      chosen[j] = at;
    }
  }
  if (lane < k) {
    weights[lane] = renormalise ? kept / taken : kept;
  }
}

// chosen and weights [rows][k] from logits [rows][experts]. One warp a token, 8 warps a block.
extern "C" __global__ void route(
    const float* logits, int rows, int experts, int k, int renormalise, int* chosen, float* weights) {
  const size_t row = (size_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
  if (row < rows) {
    choose(logits + row * experts, experts, k, renormalise, chosen + row * k, weights + row * k);
  }
}

// RMSNorm of a token, its router logits and its choice in one pass. One block a token; router [experts][hidden]; shared
// memory: (hidden + experts) floats. The router sees the norm's output as stored.
template <typename X, typename A>
__device__ void norm_and_route(
    const X* x, const float* weight, float eps, const float* router, A* out, float* logits, int hidden, int experts, int k,
    int renormalise, int* chosen, float* weights) {
  extern __shared__ __align__(16) float normed[];
  __shared__ float room[WARP];
  float* logit = normed + hidden;
  const size_t token = blockIdx.x;
  const X* row = x + token * hidden;
  float squares = 0;
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    const float v = number(row[i]);
    normed[i] = v;
    squares += v * v;
  }
  const float scale = 1 / sqrtf(block_sum(squares, room) / hidden + eps);
  for (int i = threadIdx.x; i < hidden; i += blockDim.x) {
    A* to = out + token * hidden + i;
    put(to, normed[i] * scale * weight[i]);
    normed[i] = number(*to);
  }
  __syncthreads();
  const int lane = threadIdx.x % WARP;
  for (int e = threadIdx.x / WARP; e < experts; e += blockDim.x / WARP) {
    const float* w = router + (size_t)e * hidden;
    float sum = 0;
    const int wide = hidden % 8 == 0 ? hidden : 0;
    for (int i = lane * 8; i < wide; i += WARP * 8) {
      float v[8];
      eight(w + i, v);
#pragma unroll
      for (int j = 0; j < 8; j++) {
        sum += v[j] * normed[i + j];
      }
    }
    for (int i = wide + lane; i < hidden; i += WARP) {
      sum += w[i] * normed[i];
    }
    sum = warp_sum(sum);
    if (lane == 0) {
      logit[e] = sum;
      logits[token * experts + e] = sum;
    }
  }
  __syncthreads();
  if (threadIdx.x < WARP) {
    choose(logit, experts, k, renormalise, chosen + token * k, weights + token * k);
  }
}

#define NORM_AND_ROUTE(NAME, X, A)                                                                                    \
  extern "C" __global__ void norm_and_route_##NAME(                                                                  \
      const X* x, const float* weight, float eps, const float* router, A* out, float* logits, int hidden,            \
      int experts, int k, int renormalise, int* chosen, float* weights) {                                            \
    norm_and_route(x, weight, eps, router, out, logits, hidden, experts, k, renormalise, chosen, weights);           \
  }

NORM_AND_ROUTE(ff, float, float)
NORM_AND_ROUTE(fh, float, bf16)
NORM_AND_ROUTE(hh, bf16, bf16)

// Stable counting sort of `choices` expert ids by one block of SORT_WARPS warps. local[id] is the index of an expert among
// the `experts` of this rank, or -1: such choices, and ids below 0, get no row. order[row] = choice, place[choice] = row or
// -1, offsets [experts + 1]. Each warp counts a run of choices; ranks inside a step of 32 come from matching lanes.
extern "C" __global__ void __launch_bounds__(SORT_WARPS * WARP) sort_by_expert(
    const int* chosen, const int* local, int choices, int experts, int* order, int* place, int* offsets) {
  __shared__ int counts[SORT_WARPS][MOST_EXPERTS];
  __shared__ int starts[MOST_EXPERTS];
  const int warp = threadIdx.x / WARP;
  const int lane = threadIdx.x % WARP;
  for (int e = lane; e < experts; e += WARP) {
    counts[warp][e] = 0;
  }
  __syncwarp();
  const int run = (choices + SORT_WARPS * WARP - 1) / (SORT_WARPS * WARP) * WARP;
  const int from = min(warp * run, choices);
  const int to = min(from + run, choices);
  for (int i = from + lane; i - lane < to; i += WARP) {
    const int id = i < to ? chosen[i] : -1;
    const int e = id < 0 ? -1 : local[id];
    const unsigned same = __match_any_sync(0xffffffffu, e);
    if (e >= 0 && __ffs(same) - 1 == lane) {
      counts[warp][e] += __popc(same);
    }
    __syncwarp();
  }
  __syncthreads();
  for (int e = threadIdx.x; e < experts; e += blockDim.x) {
    int sum = 0;
    for (int w = 0; w < SORT_WARPS; w++) {
      const int c = counts[w][e];
      counts[w][e] = sum;
      sum += c;
    }
    starts[e] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    int sum = 0;
    for (int e = 0; e < experts; e++) {
      const int c = starts[e];
      starts[e] = sum;
      offsets[e] = sum;
      sum += c;
    }
    offsets[experts] = sum;
  }
  __syncthreads();
  for (int i = from + lane; i - lane < to; i += WARP) {
    const int id = i < to ? chosen[i] : -1;
    const int e = id < 0 ? -1 : local[id];
    const unsigned same = __match_any_sync(0xffffffffu, e);
    if (e >= 0) {
      const int row = starts[e] + counts[warp][e] + __popc(same & ((1u << lane) - 1));
      order[row] = i;
      place[i] = row;
    } else if (i < to) {
      place[i] = -1;
    }
    __syncwarp();
    if (e >= 0 && __ffs(same) - 1 == lane) {
      counts[warp][e] += __popc(same);
    }
    __syncwarp();
  }
}

// to[row] = order[row] / k for the rows in use: the token of each row, for gathering. 0 for the others.
extern "C" __global__ void tokens_of_rows(const int* order, const int* offsets, int experts, int* to, int choices, int k) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < choices) {
    to[i] = i < offsets[experts] ? order[i] / k : 0;
  }
}
