package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.ExpertGroups;
import io.expertatlas.runtime.ExpertWeights;

/**
 * Linear layers and experts: which kernel for which sizes. Few rows stream the weights through our
 * kernels; many rows of bf16 go to cuBLAS; F32 has one kernel for all sizes, so that its results do
 * not depend on the batch.
 */
final class Products {
  /** Above so many rows cuBLAS is faster than streaming (measured on an H200). */
  private static final int STREAMED_ROWS = 8;

  /** Above so many rows an expert on average, likewise; the host then waits for the router. */
  private static final int STREAMED_ROWS_OF_EXPERT = 24;

  private static final int STREAM_SHARED = 48 * 1024; // bytes, for each matrix
  private static final int STORE = 0;
  private static final int ADD = 1;

  private final CudaDevice device;
  private final Kernels kernels;
  private final RowKernels rowKernels;
  private final Cublas cublas;

  Products(CudaDevice device, Kernels kernels, RowKernels rowKernels, Cublas cublas) {
    this.device = device;
    this.kernels = kernels;
    this.rowKernels = rowKernels;
    this.cublas = cublas;
  }

  /** {@code out (+)= x weight^T + bias}; bias F32 or null. */
  void linear(CudaTensor x, CudaTensor weight, CudaTensor bias, CudaTensor out, boolean add) {
    int rows = out.rows();
    int k = x.columns();
    int n = out.columns();
    boolean half = x.type() == DType.BF16 && weight.type() == DType.BF16;
    if (half && rows > STREAMED_ROWS && bias == null && !device.isRepeating()) {
      cublas.linear(
          x.address(), weight.address(), DType.BF16, out.address(), out.type(), rows, k, n, add);
      return;
    }

    Kernels.Launch launch;
    if (half && k % 8 == 0) {
      launch =
          kernels
              .on("stream_linear_" + out.letter() + "_" + tiles(rows), blocks(n), 256)
              .shared(STREAM_SHARED);
    } else {
      String types = "" + x.letter() + weight.letter() + out.letter();
      launch =
          kernels.on(
              types.equals("fff") && rows == 1 ? "linear_one_fff" : "linear_" + types,
              blocks(n),
              256);
    }

    launch.with(x).with(weight);
    launch = bias == null ? launch.withNothing() : launch.with(bias);
    launch.with(out).with(rows).with(k).with(n).with(add ? ADD : STORE).run();
  }

  /** The experts over their rows. */
  void experts(
      ExpertWeights weights, ExpertGroups groups, CudaTensor x, CudaTensor inner, CudaTensor out) {
    int choices = out.rows();
    int experts = weights.experts();
    if (choices == 0 || experts == 0) {
      return;
    }

    if (x.type() == DType.BF16
        && choices > (long) STREAMED_ROWS_OF_EXPERT * experts
        && !device.isRepeating()) {
      large(weights, groups, x, inner, out);
      return;
    }

    int k = choices / x.rows();
    int hidden = x.columns();
    int width = Math.toIntExact(weights.inner());
    boolean stream = x.type() == DType.BF16 && hidden % 8 == 0 && width % 8 == 0;
    int tiles = tiles((choices + experts - 1) / experts);
    int grid = Math.min(experts, choices);
    String up = stream ? "stream_up_" + tiles : "experts_up_" + x.letter() + x.letter();
    String down = stream ? "stream_down_" + tiles : "experts_down_" + x.letter() + x.letter();
    Kernels.Launch first = kernels.on(up, blocks(width), grid, 1, 256).with(x);
    CudaTensor downWeights;
    CudaTensor downBias = null;
    if (weights instanceof ExpertWeights.Swiglu swiglu) {
      first
          .with((CudaTensor) swiglu.gate())
          .with((CudaTensor) swiglu.up())
          .withNothing()
          .shared(stream ? 2 * STREAM_SHARED : 0);
      downWeights = (CudaTensor) swiglu.down();
    } else {
      ExpertWeights.Relu relu = (ExpertWeights.Relu) weights;
      first
          .with((CudaTensor) relu.up())
          .withNothing()
          .with((CudaTensor) relu.upBias())
          .shared(stream ? STREAM_SHARED : 0);
      downWeights = (CudaTensor) relu.down();
      downBias = (CudaTensor) relu.downBias();
    }

    first
        .with(inner)
        .with((CudaTensor) groups.order())
        .with((CudaTensor) groups.offsets())
        .with(experts)
        .with(k)
        .with(hidden)
        .with(width)
        .run();
    Kernels.Launch second =
        kernels
            .on(down, blocks(hidden), grid, 1, 256)
            .with(inner)
            .with(downWeights)
            .shared(stream ? STREAM_SHARED : 0);
    second = downBias == null ? second.withNothing() : second.with(downBias);
    second
        .with(out)
        .with((CudaTensor) groups.offsets())
        .with(experts)
        .with(width)
        .with(hidden)
        .run();
  }

  /** Many rows: each expert's as dense products. The host reads how many there are. */
  private void large(
      ExpertWeights weights, ExpertGroups groups, CudaTensor x, CudaTensor inner, CudaTensor out) {
    int choices = out.rows();
    int experts = weights.experts();
    int hidden = x.columns();
    int width = Math.toIntExact(weights.inner());
    int half = x.type().bytes();
    CudaTensor tokens = device.scratch("tokens of rows", DType.I32, choices);
    kernels
        .on("tokens_of_rows", (choices + 255) / 256, 256)
        .with((CudaTensor) groups.order())
        .with((CudaTensor) groups.offsets())
        .with(experts)
        .with(tokens)
        .with(choices)
        .with(choices / x.rows())
        .run();
    int[] offsets = device.read(groups.offsets());
    int used = offsets[experts];
    if (used == 0) {
      return;
    }

    CudaTensor sorted = device.scratch("rows by expert", x.type(), choices, hidden);
    rowKernels.gather(x, tokens, sorted, used);
    long matrix = (long) width * hidden * half;
    long gates = inner.address();
    long ups = gates + (long) choices * width * half;
    ExpertWeights.Swiglu swiglu = weights instanceof ExpertWeights.Swiglu s ? s : null;
    ExpertWeights.Relu relu = weights instanceof ExpertWeights.Relu r ? r : null;
    CudaTensor up = (CudaTensor) (swiglu == null ? relu.up() : swiglu.gate());
    CudaTensor down = (CudaTensor) (swiglu == null ? relu.down() : swiglu.down());
    for (int e = 0; e < experts; e++) {
      int count = offsets[e + 1] - offsets[e];
      if (count > 0) {
        long from = sorted.address() + (long) offsets[e] * hidden * half;
        long at = (long) offsets[e] * width * half;
        product(from, up.address() + e * matrix, gates + at, count, hidden, width);
        if (swiglu != null) {
          long second = ((CudaTensor) swiglu.up()).address() + e * matrix;
          product(from, second, ups + at, count, hidden, width);
        } else {
          CudaTensor some = inner.view(at, java.util.List.of((long) count, (long) width));
          device.addBias(device.rows(relu.upBias(), e, 1), some);
          device.relu(some);
        }
      }
    }

    if (swiglu != null) {
      kernels
          .on("swiglu_h", (width + 2047) / 2048, used, 1, 256)
          .with(inner)
          .with(inner.view((long) choices * width * half, inner.shape()))
          .with(inner)
          .with(width)
          .run();
    }

    for (int e = 0; e < experts; e++) {
      int count = offsets[e + 1] - offsets[e];
      if (count > 0) {
        long at = (long) offsets[e] * hidden * half;
        product(
            gates + (long) offsets[e] * width * half,
            down.address() + e * matrix,
            out.address() + at,
            count,
            width,
            hidden);
        if (relu != null) {
          device.addBias(
              device.rows(relu.downBias(), e, 1),
              out.view(at, java.util.List.of((long) count, (long) hidden)));
        }
      }
    }
  }

  private void product(long x, long weight, long out, int m, int k, int n) {
    cublas.linear(x, weight, DType.BF16, out, DType.BF16, m, k, n, false);
  }

  /** Tiles of eight rows of x at a time. */
  private static int tiles(int rows) {
    return rows <= 8 ? 1 : rows <= 16 ? 2 : 4;
  }

  private static int blocks(int n) {
    return (n + 15) / 16;
  }
}
