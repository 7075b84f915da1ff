package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.Timeline;
import java.util.List;

/**
 * What a simulated step did.
 *
 * @param nanos from its begin to the end of all work, gradients on the host included
 * @param optimizerNanos that the optimizer takes, in the step or beside gradients; 0: not simulated
 * @param devices what each device did
 * @param concentration of the step's routing, see {@code StepRouting.concentration}
 * @param timeline spans, empty unless asked for
 */
public record StepResult(
    long nanos,
    long optimizerNanos,
    List<DeviceResult> devices,
    double concentration,
    Timeline timeline) {
  /** Takes copies. */
  public StepResult {
    devices = List.copyOf(devices);
  }

  /** The step with an optimizer that takes so long, and so much of it behind the gradients. */
  StepResult withOptimizer(double optimizer, double behind) {
    return new StepResult(
        nanos + Math.round(behind), Math.round(optimizer), devices, concentration, timeline);
  }

  /**
   * What a device did.
   *
   * @param gpuNanos its GPU computed
   * @param cpuNanos its CPU cores computed experts
   * @param loadNanos its link from the host was busy
   * @param basesLoaded attentions with gates copied to the GPU
   * @param expertsLoaded experts copied to the GPU
   * @param gpuTokens tokens that experts computed on the GPU, forward, over all layers
   * @param cpuTokens the same on the CPU
   * @param hits tokens whose expert was on the GPU when their gate spoke, forward
   * @param misses tokens whose expert was not
   */
  public record DeviceResult(
      long gpuNanos,
      long cpuNanos,
      long loadNanos,
      long basesLoaded,
      long expertsLoaded,
      long gpuTokens,
      long cpuTokens,
      long hits,
      long misses) {}
}
