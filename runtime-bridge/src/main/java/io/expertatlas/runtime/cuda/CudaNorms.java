package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.matrix.MatrixDevice.Scope;

/** Norms of the rows of a matrix, a block a row. Gains and biases have a number for each column. */
final class CudaNorms {
  private static final int THREADS = 256;

  private CudaNorms() {}

  static CudaMatrix rms(CudaMatrix x, CudaMatrix gain, double epsilon) {
    return forward("rms_norm_ff", x, epsilon, gain);
  }

  static CudaMatrix layer(CudaMatrix x, CudaMatrix gain, CudaMatrix bias, double epsilon) {
    return forward("layer_norm_ff", x, epsilon, gain, bias);
  }

  private static CudaMatrix forward(
      String kernel, CudaMatrix x, double epsilon, CudaMatrix... gainAndBias) {
    CudaMatrix out = x.device().make(x.rows(), x.columns());
    Kernels.Launch launch = x.device().on(kernel, x.rows(), THREADS).with(x.address());
    for (CudaMatrix parameter : gainAndBias) {
      launch = launch.with(parameter.address());
    }

    launch.with((float) epsilon).with(out.address()).with(x.columns()).run();
    return out;
  }

  /** The gradient of x; adds that of the gain. */
  static CudaMatrix rmsBackward(
      CudaMatrix x, CudaMatrix gain, double epsilon, CudaMatrix down, CudaMatrix gainGradient) {
    return backward("train_rms_norm_backward", x, gain, epsilon, down, gainGradient, null);
  }

  /** The gradient of x; adds those of gain and bias. */
  static CudaMatrix layerBackward(
      CudaMatrix x,
      CudaMatrix gain,
      double epsilon,
      CudaMatrix down,
      CudaMatrix gainGradient,
      CudaMatrix biasGradient) {
    return backward(
        "train_layer_norm_backward", x, gain, epsilon, down, gainGradient, biasGradient);
  }

  /**
   * Backward of a norm.
   *
   * @param down gradient of the result
   * @param biasGradient null: it has no bias
   */
  private static CudaMatrix backward(
      String kernel,
      CudaMatrix x,
      CudaMatrix gain,
      double epsilon,
      CudaMatrix down,
      CudaMatrix gainGradient,
      CudaMatrix biasGradient) {
    CudaMatrixDevice device = x.device();
    if (x.count() == 0) {
      return device.make(x.rows(), x.columns());
    }

    try (Scope scratch = device.scope()) {
      CudaMatrix out = device.make(x.rows(), x.columns());
      CudaMatrix stats = device.make(x.rows(), 2);
      device
          .on(kernel, x.rows(), THREADS)
          .with(x.address())
          .with(gain.address())
          .with(down.address())
          .with((float) epsilon)
          .with(out.address())
          .with(stats.address())
          .with(x.columns())
          .run();
      addGradients(x, down, stats, gainGradient, biasGradient);
      scratch.keep(out);
      return out;
    }
  }

  private static void addGradients(
      CudaMatrix x,
      CudaMatrix down,
      CudaMatrix stats,
      CudaMatrix gainGradient,
      CudaMatrix biasGradient) {
    ColumnSums sums = new ColumnSums(x);
    CudaMatrix gains = sums.room(gainGradient);
    CudaMatrix biases = biasGradient == null ? null : sums.room(biasGradient);
    Kernels.Launch launch =
        gains.adding(
            sums.on("train_norm_gradients")
                .with(x.address())
                .with(down.address())
                .with(stats.address()));
    launch = biases == null ? launch.with(0L).with(0) : biases.adding(launch);
    launch.with(x.rows()).with(x.columns()).run();
    sums.addUp(gains, gainGradient);
    if (biases != null) {
      sums.addUp(biases, biasGradient);
    }
  }
}
