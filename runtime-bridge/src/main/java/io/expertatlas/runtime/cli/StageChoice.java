package io.expertatlas.runtime.cli;

import io.expertatlas.placement.solver.StageOutcome;
import io.expertatlas.placement.solver.StageSolver;
import io.expertatlas.runtime.pipeline.CrossMapping;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.sim.PipelineSettings;
import io.expertatlas.runtime.sim.Scenario;
import java.io.PrintWriter;
import java.util.ServiceLoader;
import java.util.stream.IntStream;

/**
 * How the stages of a pipeline are chosen.
 *
 * @param solves whether an integer program chooses them, where the kind interleaves stages
 * @param crosses whether neighbours go under different root complexes
 * @param err is told what the program found
 */
record StageChoice(boolean solves, boolean crosses, PrintWriter err) {
  private static final double EFFORT = 10; // deterministic seconds

  /**
   * The plan.
   *
   * @param asked number of stages; gpipe has one for each device
   * @throws IllegalArgumentException if the numbers do not go together, or no stages fit the budget
   */
  StagePlan plan(Scenario scenario, PipelineKind kind, int asked, PipelineSettings settings) {
    int devices = scenario.devices();
    int stages = kind == PipelineKind.GPIPE ? devices : asked;
    StagePlan plan = StagePlan.balanced(kind, devices, scenario.layers(), stages);
    boolean interleaves = kind == PipelineKind.MOBIUS || kind == PipelineKind.APTMOE;
    if (solves && interleaves) {
      plan = solved(scenario, plan, settings);
    }

    return crosses
        ? plan.onGpus(
            CrossMapping.of(
                IntStream.range(0, devices)
                    .mapToObj(gpu -> scenario.machine().complexOf(gpu))
                    .toList()))
        : plan;
  }

  private StagePlan solved(Scenario scenario, StagePlan equal, PipelineSettings settings) {
    StageSolver solver =
        ServiceLoader.load(StageSolver.class)
            .findFirst()
            .orElseThrow(
                () -> new IllegalStateException("Cannot solve for stages: no solver is installed"));
    long activations = scenario.need(equal, settings).activations();
    StageOutcome outcome =
        solver.solve(scenario.stageProblem(equal.stages(), activations), EFFORT, settings.seed());
    if (!outcome.isFound()) {
      throw new IllegalArgumentException(
          "Cannot find %d stages within %s a GPU: %s. Maybe use more stages"
              .formatted(
                  equal.stages(),
                  ByteSize.show(scenario.budgetBytes()),
                  outcome.isInfeasible() ? "there are none" : "none was found in time"));
    }

    err.printf(
        "stages of %s: makespan of whole stages %.4f s, at most %.2f %% above the least%n",
        equal.kind().word(), outcome.makespanNanos() / 1e9, 100 * Math.max(0, outcome.gap()));
    err.flush();
    return StagePlan.of(
        equal.kind(),
        equal.devices(),
        equal.layers(),
        outcome.firstLayer(),
        IntStream.range(0, equal.devices()).toArray());
  }
}
