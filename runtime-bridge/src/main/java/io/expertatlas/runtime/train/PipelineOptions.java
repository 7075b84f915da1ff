package io.expertatlas.runtime.train;

import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.ExpertCosts;
import io.expertatlas.runtime.pipeline.StagePlan;
import java.util.Objects;

/**
 * How a pipeline of logical devices computes; the result does not depend on it.
 *
 * @param plan stages and devices
 * @param chunks micro-batches of a step
 * @param policy which experts are copied, for APTMoE
 * @param costs what the policy weighs
 * @param deviceBytes memory of each device
 * @param cpuThreads threads that compute experts on the CPU, for APTMoE
 * @param seed of the policy that draws
 */
public record PipelineOptions(
    StagePlan plan,
    int chunks,
    AffinityPolicy policy,
    ExpertCosts costs,
    long deviceBytes,
    int cpuThreads,
    long seed) {
  /**
   * Checks the options.
   *
   * @throws IllegalArgumentException if a number is below 1
   */
  public PipelineOptions {
    Objects.requireNonNull(plan, "plan is null");
    Objects.requireNonNull(policy, "policy is null");
    Objects.requireNonNull(costs, "costs is null");
    if (chunks < 1 || deviceBytes < 1 || cpuThreads < 1) {
      throw new IllegalArgumentException(
          "Invalid pipeline: %d micro-batches, %d bytes a device, %d threads, at least 1 each"
              .formatted(chunks, deviceBytes, cpuThreads));
    }
  }
}
