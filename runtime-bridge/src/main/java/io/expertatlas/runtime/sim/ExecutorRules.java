package io.expertatlas.runtime.sim;

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
}
