package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StagePlan;
import java.util.List;

/**
 * Whole steps of fine-tuning as its executor runs them: gradients, and the optimizer on the host.
 *
 * @param plan stages and devices
 * @param experts of each layer
 * @param chunks micro-batches of a step
 * @param policy which experts are copied, of {@code aptmoe} only
 * @param seed of the policy that draws
 * @param rules of the executor on its machine
 * @param parameters of the model
 */
public record ExecutorForecast(
    StagePlan plan,
    int experts,
    int chunks,
    AffinityPolicy policy,
    long seed,
    ExecutorRules rules,
    long parameters) {
  /**
   * Runs steps, the optimizer in them.
   *
   * @see PipelineSimulator#run
   */
  public List<StepResult> run(RoutingSource routing, int warmup, int steps, boolean records) {
    return PipelineSimulator.ofExecutor(plan, experts, chunks, policy, seed, rules)
        .run(routing, warmup, steps, records)
        .stream()
        .map(step -> step.withOptimizer(optimizerNanos(), behindNanos()))
        .toList();
  }

  /** The optimizer on all parameters. */
  public double optimizerNanos() {
    return rules.times().optimizerNanos(parameters);
  }

  /** What of it follows the gradients: all, or where it runs beside them the model's ends. */
  private double behindNanos() {
    long ends = Math.max(0, parameters - plan.layers() * rules.times().layerParameters());
    return rules.updatesMeanwhile() ? rules.times().optimizerNanos(ends) : optimizerNanos();
  }
}
