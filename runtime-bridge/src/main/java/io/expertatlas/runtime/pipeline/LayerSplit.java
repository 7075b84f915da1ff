package io.expertatlas.runtime.pipeline;

/**
 * Which experts of a layer the CPU computes: the first {@code onCpu} of an order, the others belong
 * on the GPU. Immutable.
 */
public final class LayerSplit {
  private final int[] order; // coldest first
  private final int onCpu;
  private final boolean[] gpu; // [expert]

  LayerSplit(int[] order, int onCpu) {
    this.order = order;
    this.onCpu = onCpu;
    this.gpu = new boolean[order.length];
    for (int place = onCpu; place < order.length; place++) {
      gpu[order[place]] = true;
    }
  }

  /** Experts of the layer. */
  public int experts() {
    return order.length;
  }

  /** The expert at a place, coldest first. */
  public int expert(int place) {
    return order[place];
  }

  /** How many experts stay on the CPU, k. */
  public int onCpu() {
    return onCpu;
  }

  /** Whether an expert belongs on the GPU. */
  public boolean isOnGpu(int expert) {
    return gpu[expert];
  }
}
