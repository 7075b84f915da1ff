package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.StagePlan;
import java.util.List;
import java.util.function.ToLongFunction;

/**
 * A pipeline and what its steps did.
 *
 * @param plan its stages
 * @param policy which experts were copied; empty where all are
 * @param need of the fullest GPU
 * @param refused why it cannot run; empty if it ran
 * @param steps that were kept; empty if it was refused
 */
public record PipelineRun(
    StagePlan plan, String policy, MemoryNeed need, String refused, List<StepResult> steps) {
  /** Takes a copy. */
  public PipelineRun {
    steps = List.copyOf(steps);
  }

  /** Whether it ran. */
  public boolean ran() {
    return !steps.isEmpty();
  }

  /** Pipeline, and policy if it has one. */
  public String name() {
    return policy.isEmpty() ? plan.kind().word() : plan.kind().word() + " " + policy;
  }

  /** The median step, in seconds; NaN if it did not run. */
  public double stepSeconds() {
    if (!ran()) {
      return Double.NaN;
    }

    long[] sorted = steps.stream().mapToLong(StepResult::nanos).sorted().toArray();
    int middle = sorted.length / 2;
    return (sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2.0)
        / 1e9;
  }

  /** Sum over devices and steps. */
  public long sum(ToLongFunction<StepResult.DeviceResult> of) {
    return steps.stream().flatMap(step -> step.devices().stream()).mapToLong(of).sum();
  }

  /** A part of the time of all devices and steps. */
  public double share(ToLongFunction<StepResult.DeviceResult> of) {
    double all =
        steps.stream().mapToDouble(step -> (double) step.nanos() * step.devices().size()).sum();
    return sum(of) / all;
  }

  /** Tokens whose expert was on the GPU when their gate spoke, of all; forward. */
  public double hitRate() {
    long hits = sum(StepResult.DeviceResult::hits);
    return (double) hits / (hits + sum(StepResult.DeviceResult::misses));
  }

  /** Tokens that experts computed on the CPU, of all. */
  public double cpuShare() {
    long cpu = sum(StepResult.DeviceResult::cpuTokens);
    return (double) cpu / (cpu + sum(StepResult.DeviceResult::gpuTokens));
  }
}
