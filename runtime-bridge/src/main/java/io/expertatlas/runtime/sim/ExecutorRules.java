package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.StagePlan;

/**
 * How the executor of fine-tuning differs from the paper's machine.
 *
 * @param times of its machine
 * @param cpuWorkers experts that the CPU computes at once, for all devices
 * @param hostDevices whether devices are the CPU itself: what they store, they wait for, and
 *     experts beside them add to the same gradients
 * @param storesHoldRoom whether the next stage's weights find no room until gradients of the last
 *     one are on the host
 * @param updatesMeanwhile whether the optimizer moves a stage's parameters as soon as their
 *     gradients are on the host, on a thread of its own; else it is no part of the step
 */
public record ExecutorRules(
    ProfiledTimes times,
    int cpuWorkers,
    boolean hostDevices,
    boolean storesHoldRoom,
    boolean updatesMeanwhile) {
  /**
   * Checks the workers.
   *
   * @throws IllegalArgumentException if there is none
   */
  public ExecutorRules {
    if (cpuWorkers < 1) {
      throw new IllegalArgumentException(
          "Invalid number of CPU workers: %d, at least 1".formatted(cpuWorkers));
    }
  }

  /**
   * The rules on the machine of a profile.
   *
   * @param table a profile of training
   * @param tokens of a micro-batch
   * @param recomputes whether backward computes each layer forward again
   * @param cpuThreads for experts on the CPU: in doubles each computes one, else all of them one
   * @param deviceBytes memory of a device
   * @throws IllegalArgumentException if the table is no profile of training
   */
  public static ExecutorRules of(
      LookupTable table,
      StagePlan plan,
      int tokens,
      boolean recomputes,
      int cpuThreads,
      boolean hostDevices,
      long deviceBytes,
      boolean updatesMeanwhile) {
    return new ExecutorRules(
        new ProfiledTimes(table, recomputes, tokens, Double.POSITIVE_INFINITY), // fast as memory
        table.shape().bytesPerValue() == Double.BYTES ? cpuThreads : 1,
        hostDevices,
        holdsRoom(table, plan, deviceBytes),
        updatesMeanwhile);
  }

  /**
   * The share of their speed at which weights are loaded: both read the host's memory.
   *
   * @param busy workers of the CPU
   */
  double loadPace(int busy) {
    return busy == 0 || hostDevices ? 1 : times.loadPaceBesideCpu();
  }

  /**
   * Whether there is no room for a next stage beside the one that computes, its gradients and those
   * of the last one, that are on their way.
   */
  private static boolean holdsRoom(LookupTable table, StagePlan plan, long deviceBytes) {
    long layer = table.shape().layerBytes(table.training().sizes().experts());
    long activations = Math.max(0, table.training().sizes().peakBytes() - 2 * layer);
    long most = 0;
    for (int stage = 0; stage < plan.stages(); stage++) {
      most = Math.max(most, plan.endLayer(stage) - plan.firstLayer(stage));
    }

    return deviceBytes < 4 * most * layer + activations;
  }
}
