package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.json.ChromeTrace;
import io.expertatlas.runtime.json.SimulationJson;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.report.SimulationReport;
import io.expertatlas.runtime.sim.MemoryNeed;
import io.expertatlas.runtime.sim.PipelineRun;
import io.expertatlas.runtime.sim.PipelineSettings;
import io.expertatlas.runtime.sim.Scenario;
import io.expertatlas.runtime.sim.StepResult;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.files.WrittenAside;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Runs pipelines of a model that does not fit its GPUs on a described machine. */
@Command(
    name = "simulate",
    description =
        "Simulates training steps of a model whose experts do not fit the GPUs, under GPipe,"
            + " GPipeOffload, Mobius and APTMoE, on a described machine.",
    mixinStandardHelpOptions = true)
final class SimulateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ScenarioOptions scenarioOptions;
  @Mixin private RoutingOptions routingOptions;
  @Mixin private ForecastOptions forecastOptions;

  @Option(
      names = "--pipeline",
      split = ",",
      converter = KindConverter.class,
      paramLabel = "P",
      description = "gpipe, gpipe-offload, mobius, aptmoe; default: all four.")
  private List<PipelineKind> kinds = List.of();

  @Option(
      names = "--policy",
      split = ",",
      converter = PolicyConverter.class,
      paramLabel = "A",
      description =
          "Which experts aptmoe copies to the GPU: equation-1, min-max, critical-path,"
              + " artifact, random-half"
              + " (default: equation-1); several are compared.")
  private List<AffinityPolicy> policies = List.of(AffinityPolicy.EQUATION_1);

  @Option(
      names = "--stage-plan",
      defaultValue = "equal",
      paramLabel = "equal|program",
      description =
          "Stages of equally many layers, or those of an integer program that minimises the"
              + " makespan within the budget, for mobius and aptmoe (default: ${DEFAULT-VALUE}).")
  private String stagePlan;

  @Option(
      names = "--mapping",
      defaultValue = "cross",
      paramLabel = "cross|plain",
      description =
          "Neighbouring stages under different root complexes, or device d on GPU d"
              + " (default: ${DEFAULT-VALUE}).")
  private String mapping;

  @Option(
      names = "--forward-only",
      description = "No backward pass: the three phases of loading alone.")
  private boolean forwardOnly;

  @Option(
      names = "--drop-turn",
      description =
          "Drop and reload the last stage of a device between forward and backward, as the"
              + " artifact does.")
  private boolean dropTurn;

  @Option(
      names = "--steps",
      defaultValue = "3",
      paramLabel = "N",
      description = "Steps that count; a trace may have fewer (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--warmup-steps",
      defaultValue = "1",
      paramLabel = "N",
      description =
          "Steps before them, for the popularity of a last step (default: ${DEFAULT-VALUE}).")
  private int warmup;

  @Option(
      names = "--sweep",
      description =
          "Models x skews x topologies x pipelines of APTMoE's paper, beside its claims. Of the"
              + " options above --machine, --budget, --batch-size (default here 128), --policy"
              + " (the first), --persistence (default here 0), --predictor (default here 0.85) and"
              + " --seed count.")
  private boolean sweep;

  @Option(names = "--json", description = "Print one JSON object to stdout.")
  private boolean json;

  @Option(
      names = "--timeline",
      paramLabel = "FILE",
      description = "The last step of one pipeline as a Chrome trace, for ui.perfetto.dev.")
  private Path timeline;

  @Option(names = "--report", paramLabel = "FILE", description = "A page with plots and timelines.")
  private Path report;

  @Override
  public Integer call() throws IOException {
    check();
    if (sweep) {
      new Sweep(spec, scenarioOptions, routingOptions, policies.get(0)).run(json, report);
      return 0;
    }

    Scenario scenario = scenario();
    List<PipelineRun> runs = new ArrayList<>();
    for (PipelineKind kind : kinds.isEmpty() ? List.of(PipelineKind.values()) : kinds) {
      boolean chooses = kind == PipelineKind.APTMOE;
      for (AffinityPolicy policy : chooses ? policies : policies.subList(0, 1)) {
        runs.add(run(scenario, kind, policy, chooses ? policy.word() : ""));
      }
    }

    if (runs.stream().noneMatch(PipelineRun::ran)) {
      throw new IllegalArgumentException(runs.get(0).refused());
    }

    print(scenario, runs);
    return 0;
  }

  private Scenario scenario() throws IOException {
    if (forecastOptions.isThere()) {
      scenarioOptions.checkSame(routingOptions.counts());
      return forecastOptions.scenario(
          routingOptions.counts(), scenarioOptions.gpus(1), scenarioOptions.askedBudget());
    }

    if (routingOptions.hasCounts()) {
      return scenarioOptions.scenario(routingOptions.counts());
    }

    boolean traced = routingOptions.hasTrace();
    ModelShape shape =
        traced ? routingOptions.shape() : new ModelShape(1, routingOptions.experts(), 1);
    return scenarioOptions.scenario(traced ? shape.layers() : 0, shape.experts(), shape.topK());
  }

  private void check() {
    usage(
        () -> {
          routingOptions.check();
          forecastOptions.check(spec, routingOptions.hasCounts());
          if (steps < 1 || warmup < 0) {
            throw new IllegalArgumentException(
                "Invalid --steps or --warmup-steps: %d, %d, at least 1 and 0"
                    .formatted(steps, warmup));
          }

          if (!List.of("equal", "program").contains(stagePlan)) {
            throw new IllegalArgumentException(
                "Invalid --stage-plan: %s, equal or program".formatted(stagePlan));
          }

          if (!List.of("cross", "plain").contains(mapping)) {
            throw new IllegalArgumentException(
                "Invalid --mapping: %s, cross or plain".formatted(mapping));
          }

          boolean one = kinds.size() == 1 && policies.size() == 1;
          if (timeline != null && (sweep || !one)) {
            throw new IllegalArgumentException(
                "Invalid --timeline: it shows one pipeline, name it with --pipeline");
          }

          if (sweep && routingOptions.predictor().isLastStep()) {
            throw new IllegalArgumentException(
                "Invalid --predictor: last-step, --sweep takes none, oracle or a share");
          }

          if (sweep && (routingOptions.hasTrace() || routingOptions.hasCounts())) {
            throw new IllegalArgumentException(
                "Invalid options: --sweep draws its routing, %s has its own"
                    .formatted(routingOptions.hasTrace() ? "--trace" : "--counts"));
          }
        });
  }

  private void usage(Runnable checks) {
    try {
      checks.run();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private PipelineRun run(
      Scenario scenario, PipelineKind kind, AffinityPolicy policy, String policyName)
      throws IOException {
    boolean records = report != null || timeline != null;
    if (forecastOptions.isThere()) {
      try (ProgressBar bar = Terminal.progress(kind.word(), warmup + (long) steps)) {
        return forecastOptions.run(
            scenario,
            kind,
            policy,
            policyName,
            scenarioOptions.askedStages(),
            routingOptions.seed(),
            routingOptions.counts().parameters(),
            counted(routingOptions.routing(scenario, warmup + steps), bar),
            warmup,
            steps,
            records);
      }
    }

    PipelineSettings settings =
        new PipelineSettings(
            scenario.chunks(),
            !forwardOnly,
            !dropTurn,
            policy,
            DemandLoader.OUTSTANDING,
            routingOptions.seed());
    StagePlan plan =
        new StageChoice(
                stagePlan.equals("program"), mapping.equals("cross"), spec.commandLine().getErr())
            .plan(scenario, kind, scenarioOptions.stages(), settings);
    MemoryNeed need = scenario.need(plan, settings);
    try {
      need.check(plan, scenario.budgetBytes());
    } catch (IllegalArgumentException e) {
      return new PipelineRun(plan, policyName, need, e.getMessage(), List.of());
    }

    List<StepResult> results;
    try (ProgressBar bar = Terminal.progress(kind.word(), warmup + (long) steps)) {
      results =
          scenario.run(
              plan,
              settings,
              counted(routingOptions.routing(scenario, warmup + steps), bar),
              warmup,
              steps,
              records);
    }

    return new PipelineRun(plan, policyName, need, "", results);
  }

  private static RoutingSource counted(RoutingSource source, ProgressBar bar) {
    return () -> {
      bar.step();
      return source.next();
    };
  }

  private void print(Scenario scenario, List<PipelineRun> runs) throws IOException {
    PrintWriter err = spec.commandLine().getErr();
    err.print(SimulationTable.of(scenario, runs));
    err.flush();
    if (timeline != null) {
      List<StepResult> kept = runs.get(0).steps();
      WrittenAside.file(
          timeline, aside -> ChromeTrace.write(kept.get(kept.size() - 1).timeline(), aside));
    }

    String profile =
        forecastOptions.isThere() ? forecastOptions.profileName() : scenarioOptions.profileName();
    String routing = routingOptions.describe();
    if (report != null) {
      SimulationReport.of(scenario, runs, profile, routing).write(report);
    }

    if (json) {
      PrintWriter out = spec.commandLine().getOut();
      out.println(
          SimulationJson.toJson(
              scenario,
              runs,
              profile,
              routing,
              routingOptions.predictor().text(),
              routingOptions.seed()));
      out.flush();
    }
  }

  private static final class KindConverter implements ITypeConverter<PipelineKind> {
    @Override
    public PipelineKind convert(String value) {
      return Terminal.option(() -> PipelineKind.ofWord(value));
    }
  }

  private static final class PolicyConverter implements ITypeConverter<AffinityPolicy> {
    @Override
    public AffinityPolicy convert(String value) {
      return Terminal.option(() -> AffinityPolicy.ofWord(value));
    }
  }
}
