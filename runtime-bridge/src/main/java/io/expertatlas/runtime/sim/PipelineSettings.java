package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.AffinityPolicy;
import java.util.Objects;

/**
 * How a pipeline runs.
 *
 * @param chunks micro-batches of a step
 * @param backward whether gradients are computed
 * @param keepTurn whether the last stage of a device stays for its backward pass
 * @param policy which experts are copied, of {@code aptmoe} only
 * @param outstanding copies that may be under way at once
 * @param seed of the policy that draws
 */
public record PipelineSettings(
    int chunks,
    boolean backward,
    boolean keepTurn,
    AffinityPolicy policy,
    int outstanding,
    long seed) {
  /** Checks the numbers. */
  public PipelineSettings {
    Objects.requireNonNull(policy, "policy is null");
    if (chunks < 1 || outstanding < 1) {
      throw new IllegalArgumentException(
          "Invalid settings: %d micro-batches, %d outstanding copies, at least 1 each"
              .formatted(chunks, outstanding));
    }
  }
}
