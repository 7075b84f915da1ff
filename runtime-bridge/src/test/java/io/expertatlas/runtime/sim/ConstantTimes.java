package io.expertatlas.runtime.sim;

/** Stages of one layer that take the same everywhere; links are free. */
record ConstantTimes(double load, double forward, double backward, double send, double capacity)
    implements WorkTimes {
  static ConstantTimes golden(double load) {
    return new ConstantTimes(load, 1, 2, 0, Double.POSITIVE_INFINITY);
  }

  @Override
  public double attentionNanos(boolean isBackward) {
    return isBackward ? backward : forward;
  }

  @Override
  public double loadAttentionNanos() {
    return load;
  }

  @Override
  public double loadGateNanos() {
    return 0;
  }

  @Override
  public double storeBaseNanos() {
    return 0;
  }

  @Override
  public double storeExpertNanos() {
    return 0;
  }

  @Override
  public double sendNanos(int fromGpu, int toGpu) {
    return send;
  }

  @Override
  public double rootComplexCapacity() {
    return capacity;
  }

  @Override
  public double cpuNanos(int tokens, boolean isBackward) {
    return 0;
  }

  @Override
  public double gpuNanos(int tokens, boolean isBackward) {
    return 0;
  }

  @Override
  public double loadExpertNanos() {
    return 0;
  }
}
