package io.expertatlas.runtime.benchmark;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.sim.ExecutorRules;
import io.expertatlas.runtime.sim.PipelineSimulator;
import io.expertatlas.runtime.sim.ProfiledTimes;
import io.expertatlas.runtime.sim.StepResult;
import io.expertatlas.runtime.sim.StepResult.DeviceResult;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.PipelineOptions;

/**
 * What the simulator, fed with a profile of this machine, says of a step that was measured: same
 * plan, same policy and numbers, same routing, the second of two steps.
 *
 * @param seconds of the step
 * @param gradientSeconds forward and backward, all gradients on the host; with the optimizer if it
 *     runs beside them
 * @param optimizerSeconds the optimizer on the host
 * @param loadSeconds that copies take, of all devices
 * @param cpuExperts computed by the CPU in a step, each pass of a chunk
 * @param cpuSeconds that these take
 * @param basesLoaded attentions with gates
 * @param expertsLoaded experts
 * @param timeline of the step
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
   * @param routing of the step
   * @param tokens of a micro-batch
   * @param parameters of the model
   * @param overlaps whether the optimizer moves parameters while gradients of others are computed
   * @throws IllegalArgumentException if the table is no profile of training, or of another layer
   */
  public static StepForecast of(
      PipelineOptions options,
      Backend backend,
      LookupTable table,
      StepRouting routing,
      int tokens,
      long parameters,
      boolean overlaps) {
    ProfiledTimes times =
        new ProfiledTimes(
            table, backend.recomputes(), tokens, Double.POSITIVE_INFINITY); // as fast as memory
    boolean inDoubles = backend.cpu() instanceof DoubleDevice;
    PipelineSimulator simulator =
        PipelineSimulator.ofExecutor(
            options.plan(),
            routing.experts(),
            options.chunks(),
            options.policy(),
            options.seed(),
            new ExecutorRules(
                times,
                inDoubles ? options.cpuThreads() : 1,
                backend.devices().get(0) == backend.cpu(),
                holdsRoom(options, table),
                overlaps));
    simulator.step(routing, false); // the popularity of a step before
    StepResult step = simulator.step(routing, true);
    double optimizer = times.optimizerNanos(parameters) / NANOS;
    long ends = Math.max(0, parameters - options.plan().layers() * times.layerParameters());
    double gradients =
        (step.nanos() + (overlaps ? times.optimizerNanos(ends) : 0)) / NANOS; // ends come last
    return new StepForecast(
        overlaps ? gradients : gradients + optimizer,
        gradients,
        optimizer,
        step.devices().stream().mapToLong(DeviceResult::loadNanos).sum() / NANOS,
        step.timeline().spans().stream()
            .filter(span -> span.stream().equals(PipelineSimulator.CPU))
            .count(),
        step.devices().stream().mapToLong(DeviceResult::cpuNanos).sum() / NANOS,
        step.devices().stream().mapToLong(DeviceResult::basesLoaded).sum(),
        step.devices().stream().mapToLong(DeviceResult::expertsLoaded).sum(),
        step.timeline());
  }

  /**
   * Whether there is no room for a next stage beside the one that computes, its gradients and those
   * of the last one, that are on their way.
   */
  private static boolean holdsRoom(PipelineOptions options, LookupTable table) {
    long layer = table.shape().layerBytes(table.training().sizes().experts());
    long activations = Math.max(0, table.training().sizes().peakBytes() - 2 * layer);
    StagePlan plan = options.plan();
    long most = 0;
    for (int stage = 0; stage < plan.stages(); stage++) {
      most = Math.max(most, plan.endLayer(stage) - plan.firstLayer(stage));
    }

    return options.deviceBytes() < 4 * most * layer + activations;
  }
}
