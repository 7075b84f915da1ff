package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.json.LookupTableParser;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import io.expertatlas.runtime.sim.ExecutorForecast;
import io.expertatlas.runtime.sim.ExecutorRules;
import io.expertatlas.runtime.sim.Machine;
import io.expertatlas.runtime.sim.MemoryNeed;
import io.expertatlas.runtime.sim.PipelineRun;
import io.expertatlas.runtime.sim.PipelineSettings;
import io.expertatlas.runtime.sim.Scenario;
import io.expertatlas.runtime.sim.StepResult;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** A forecast of what {@code finetune} does on a machine that was profiled: a {@code @Mixin}. */
final class ForecastOptions {
  /** Of the paper's machine, or what the executor does not do. */
  private static final List<String> OTHERS =
      List.of(
          "--preset",
          "--profile",
          "--machine",
          "--topology",
          "--stage-plan",
          "--mapping",
          "--forward-only",
          "--drop-turn",
          "--predictor",
          "--sweep");

  @Option(
      names = "--costs",
      paramLabel = "FILE",
      description =
          "A table of 'atlas profile': forecast what finetune does on its machine with the --counts"
              + " of the same layer and batch, AdamW on the host in the step. --stages is then one a"
              + " layer by default (gpipe: one for each GPU), --budget without a bound.")
  private Path costs;

  @Option(
      names = "--recompute",
      description = "With --costs of the CPU: as finetune --recompute; on cuda always so.")
  private boolean recomputes;

  @Option(
      names = "--overlap-optimizer",
      description =
          "With --costs: AdamW moves a stage's parameters as soon as their gradients are on the"
              + " host, as finetune does with --clip-norm 0.")
  private boolean overlaps;

  private LookupTable table;

  boolean isThere() {
    return costs != null;
  }

  /** Checks options that do not go together. */
  void check(CommandSpec spec, boolean hasCounts) {
    if (!isThere()) {
      if (recomputes || overlaps) {
        throw new IllegalArgumentException(
            "Invalid options: --recompute and --overlap-optimizer are of a forecast by --costs");
      }

      return;
    }

    if (!hasCounts) {
      throw new IllegalArgumentException(
          "Invalid options: --costs forecasts steps whose --counts were recorded");
    }

    for (String other : OTHERS) {
      if (spec.commandLine().getParseResult().hasMatchedOption(other)) {
        throw new IllegalArgumentException(
            "Invalid options: --costs forecasts what finetune does on a profiled machine, %s is not of it"
                .formatted(other));
      }
    }
  }

  String profileName() {
    return costs.toString();
  }

  /**
   * The model, and the machine that was profiled.
   *
   * @param budget of a GPU, null: no bound
   * @throws IllegalArgumentException if the table is of another layer or batch, or does not say its
   *     device
   */
  Scenario scenario(RecordedCounts counts, int gpus, Long budget) throws IOException {
    table = LookupTableParser.read(costs);
    TrainingProfile.Sizes sizes = table.training().sizes();
    int tokens = counts.batch() / counts.microBatches() * counts.sequenceLength();
    int[] found = {sizes.experts(), sizes.topK(), sizes.tokens(), sizes.sequenceLength()};
    int[] asked = {counts.experts(), counts.topK(), tokens, counts.sequenceLength()};
    if (!Arrays.equals(found, asked)) {
      throw new IllegalArgumentException(
          ("Invalid --costs: %s is of another layer or batch: experts, top-k, tokens of a"
                  + " micro-batch, sequence length %s, the counts have %s")
              .formatted(costs, Arrays.toString(found), Arrays.toString(asked)));
    }

    if (table.machine().device().isEmpty()) {
      throw new IllegalArgumentException(
          "Invalid --costs: %s does not say its machine's device, cpu or cuda. Maybe profile again"
              .formatted(costs));
    }

    long bytes = budget == null ? Scenario.UNBOUNDED : budget;
    return new Scenario(
        table,
        counts.layers(),
        counts.experts(),
        sizes.heads(),
        counts.topK(),
        gpus,
        counts.microBatches(),
        counts.batch(),
        counts.sequenceLength(),
        new Machine(
            table.machine().description(),
            1,
            IntStream.range(0, gpus).mapToObj(List::of).toList(),
            table.machine().cpuCores(),
            1,
            1, // the profile has all times
            0,
            bytes,
            0,
            0,
            0,
            1,
            1,
            0),
        bytes);
  }

  /**
   * Forecasts.
   *
   * @param stages asked for, null: as finetune has them
   * @param records whether the last step's timeline is kept
   */
  PipelineRun run(
      Scenario scenario,
      PipelineKind kind,
      AffinityPolicy policy,
      String policyName,
      Integer stages,
      long seed,
      long parameters,
      RoutingSource routing,
      int warmup,
      int steps,
      boolean records) {
    int devices = scenario.devices();
    int most = kind == PipelineKind.GPIPE ? devices : scenario.layers();
    StagePlan plan =
        StagePlan.equal(
            kind,
            devices,
            scenario.layers(),
            stages == null || kind == PipelineKind.GPIPE ? most : stages);
    MemoryNeed need =
        scenario
            .need(
                plan,
                new PipelineSettings(
                    scenario.chunks(), true, true, policy, DemandLoader.OUTSTANDING, seed))
            .withOptimizerOnHost();
    try {
      need.check(plan, scenario.budgetBytes());
    } catch (IllegalArgumentException e) {
      return new PipelineRun(plan, policyName, need, e.getMessage(), List.of());
    }

    boolean onCpu = table.machine().device().equals("cpu");
    ExecutorRules rules =
        ExecutorRules.of(
            table,
            plan,
            scenario.tokens(),
            recomputes || !onCpu,
            table.machine().cpuCores(),
            onCpu,
            onCpu || !scenario.isBounded()
                ? scenario.budgetBytes()
                : TrainingDevices.plannedOnGpu(scenario.budgetBytes()),
            overlaps);
    List<StepResult> results =
        new ExecutorForecast(
                plan, scenario.experts(), scenario.chunks(), policy, seed, rules, parameters)
            .run(routing, warmup, steps, records);
    return new PipelineRun(plan, policyName, need, "", results);
  }
}
