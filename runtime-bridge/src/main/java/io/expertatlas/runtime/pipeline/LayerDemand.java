package io.expertatlas.runtime.pipeline;

import java.util.Arrays;

/**
 * What a layer asks for: tokens of each expert and what they take on either side. Immutable.
 *
 * <p>With the experts sorted by rising count (ties: lower id first), C(k) is the CPU's time for the
 * first k, L(k) = base + (E - k) * loadExpert the time to load what the GPU needs for the others,
 * and R(k) = C(k) / L(k) (APTMoE, equation 1).
 */
public final class LayerDemand {
  private final int[] order; // coldest first
  private final double[] cpu; // [k] time of the k coldest
  private final double[] gpu; // [k] time of all but the k coldest
  private final double[] compute; // [k] time of both sides, micro-batch by micro-batch
  private final double baseNanos;
  private final double loadExpertNanos;

  /**
   * A demand.
   *
   * @param counts {@code [expert]} tokens
   * @param cpuNanos {@code [expert]} on the CPU
   * @param gpuNanos {@code [expert]} on the GPU; zeros leave the GPU out of account
   * @param baseNanos loading attention and gate
   * @param loadExpertNanos loading an expert
   */
  public LayerDemand(
      long[] counts,
      double[] cpuNanos,
      double[] gpuNanos,
      double baseNanos,
      double loadExpertNanos) {
    int experts = counts.length;
    this.order = byCount(counts);
    this.baseNanos = baseNanos;
    this.loadExpertNanos = loadExpertNanos;
    this.cpu = new double[experts + 1];
    this.gpu = new double[experts + 1];
    for (int k = 1; k <= experts; k++) {
      cpu[k] = cpu[k - 1] + cpuNanos[order[k - 1]];
    }

    for (int k = experts - 1; k >= 0; k--) {
      gpu[k] = gpu[k + 1] + gpuNanos[order[k]];
    }

    this.compute = new double[experts + 1];
    Arrays.setAll(compute, k -> Math.max(cpu[k], gpu[k]));
  }

  private LayerDemand(LayerDemand other, double[] compute) {
    this.order = other.order;
    this.cpu = other.cpu;
    this.gpu = other.gpu;
    this.baseNanos = other.baseNanos;
    this.loadExpertNanos = other.loadExpertNanos;
    this.compute = compute;
  }

  /**
   * The same, with what each micro-batch takes.
   *
   * @param cpuNanos {@code [micro-batch][expert]} on the CPU
   * @param gpuNanos {@code [micro-batch][expert]} on the GPU
   * @param layerNanos {@code [micro-batch]} of the GPU for the rest of the layer
   * @param scale from these micro-batches to all of the step
   */
  LayerDemand withMicroBatches(
      double[][] cpuNanos, double[][] gpuNanos, double[] layerNanos, double scale) {
    double[] sum = new double[order.length + 1];
    for (int batch = 0; batch < layerNanos.length; batch++) {
      double cold = 0;
      double hot = Arrays.stream(gpuNanos[batch]).sum();
      for (int k = 0; k < sum.length; k++) {
        sum[k] += scale * (layerNanos[batch] + Math.max(cold, hot));
        if (k < order.length) {
          cold += cpuNanos[batch][order[k]];
          hot -= gpuNanos[batch][order[k]];
        }
      }
    }

    return new LayerDemand(this, sum);
  }

  /** Experts by rising count, ties by lower id. */
  static int[] byCount(long[] counts) {
    long[] keys = new long[counts.length];
    int bits = 32 - Integer.numberOfLeadingZeros(counts.length);
    for (int expert = 0; expert < keys.length; expert++) {
      keys[expert] = counts[expert] << bits | expert;
    }

    Arrays.sort(keys);
    int[] order = new int[keys.length];
    for (int place = 0; place < order.length; place++) {
      order[place] = (int) (keys[place] & (1L << bits) - 1);
    }

    return order;
  }

  int[] order() {
    return order;
  }

  /** Experts of the layer. */
  public int experts() {
    return order.length;
  }

  /** C(k). */
  public double cpuNanos(int k) {
    return cpu[k];
  }

  /** L(k). */
  public double loadNanos(int k) {
    return baseNanos + (order.length - k) * loadExpertNanos;
  }

  /** The GPU's time for all but the k coldest. */
  public double gpuNanos(int k) {
    return gpu[k];
  }

  /** R(k) of equation 1. */
  public double ratio(int k) {
    return cpu[k] / loadNanos(k);
  }

  /** What the artifact compares with 1: it charges loads of the experts that are not loaded. */
  double artifactRatio(int k) {
    return cpu[k] / (baseNanos + k * loadExpertNanos);
  }

  /**
   * How long a layer computes: micro-batches one after the other, each the rest of the layer and
   * then the slower side of its experts. Without micro-batches max(C(k), GPU time).
   */
  public double computeNanos(int k) {
    return compute[k];
  }

  /** max(L(k), computing): how long a layer takes, loads of one going on while another computes. */
  public double pathNanos(int k) {
    return Math.max(loadNanos(k), compute[k]);
  }

  /** max(C(k), L(k), GPU time): how long the layer's slower side takes. */
  public double spanNanos(int k) {
    return Math.max(Math.max(cpu[k], loadNanos(k)), gpu[k]);
  }
}
