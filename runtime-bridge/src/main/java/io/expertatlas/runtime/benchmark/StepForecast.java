package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.sim.ExecutorForecast;
import io.expertatlas.runtime.sim.ExecutorRules;
import io.expertatlas.runtime.sim.PipelineSimulator;
import io.expertatlas.runtime.sim.StepResult;
import io.expertatlas.runtime.sim.StepResult.DeviceResult;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.PipelineOptions;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;

/**
 * What the simulator, fed with a profile of this machine, says of steps that were measured: same
 * plan, same policy and numbers, same routing. Each value is a median over the steps.
 *
 * @param seconds of the step
 * @param gradientSeconds forward and backward, all gradients on the host; with the optimizer if it
 *     runs beside them
 * @param optimizerSeconds the optimizer on the host
 * @param loadSeconds that copies take, of all devices
 * @param cpuExperts computed by the CPU in the last step, each pass of a chunk
 * @param cpuSeconds that experts on the CPU take in a step
 * @param basesLoaded attentions with gates
 * @param expertsLoaded experts
 * @param timeline of the last step
 */
public record StepForecast(
    double seconds,
    double gradientSeconds,
    double optimizerSeconds,
    double loadSeconds,
    long cpuExperts,
    double cpuSeconds,
    long basesLoaded,
    long expertsLoaded,
    Timeline timeline) {
  private static final double NANOS = 1e9;

  /**
   * Simulates.
   *
   * @param options of the executor
   * @param backend that it computes with
   * @param table a profile of training on it
   * @param routing of the steps; the first warms up
   * @param tokens of a micro-batch
   * @param parameters of the model
   * @param overlaps whether the optimizer moves parameters while gradients of others are computed
   * @throws IllegalArgumentException if the table is no profile of training, or of another layer,
   *     or there is one step only
   */
  public static StepForecast of(
      PipelineOptions options,
      Backend backend,
      LookupTable table,
      List<StepRouting> routing,
      int tokens,
      long parameters,
      boolean overlaps) {
    ExecutorRules rules =
        ExecutorRules.of(
            table,
            options.plan(),
            tokens,
            backend.recomputes(),
            options.cpuThreads(),
            backend.devices().get(0) == backend.cpu(),
            options.deviceBytes(),
            overlaps);
    ExecutorForecast forecast =
        new ExecutorForecast(
            options.plan(),
            routing.get(0).experts(),
            options.chunks(),
            options.policy(),
            options.seed(),
            rules,
            parameters);
    List<StepResult> steps = forecast.run(RoutingSource.of(routing), 1, routing.size() - 1, true);
    Timeline timeline = steps.get(steps.size() - 1).timeline();
    return new StepForecast(
        median(steps, StepResult::nanos) / NANOS,
        median(steps, step -> overlaps ? step.nanos() : step.nanos() - step.optimizerNanos())
            / NANOS,
        forecast.optimizerNanos() / NANOS,
        median(steps, step -> sum(step, DeviceResult::loadNanos)) / NANOS,
        timeline.spans().stream()
            .filter(span -> span.stream().equals(PipelineSimulator.CPU))
            .count(),
        median(steps, step -> sum(step, DeviceResult::cpuNanos)) / NANOS,
        (long) median(steps, step -> sum(step, DeviceResult::basesLoaded)),
        (long) median(steps, step -> sum(step, DeviceResult::expertsLoaded)),
        timeline);
  }

  private static double median(List<StepResult> steps, ToDoubleFunction<StepResult> of) {
    return Times.median(steps.stream().mapToDouble(of).toArray());
  }

  private static long sum(StepResult step, ToLongFunction<DeviceResult> of) {
    return step.devices().stream().mapToLong(of).sum();
  }
}
