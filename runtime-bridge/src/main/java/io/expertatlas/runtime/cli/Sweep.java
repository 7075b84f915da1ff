package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.json.Presets;
import io.expertatlas.runtime.json.SimulationJson;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.DemandLoader;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.pipeline.Preset;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.report.SweepReport;
import io.expertatlas.runtime.sim.Machine;
import io.expertatlas.runtime.sim.PaperClaims;
import io.expertatlas.runtime.sim.PaperClaims.Claim;
import io.expertatlas.runtime.sim.PipelineRun;
import io.expertatlas.runtime.sim.PipelineSettings;
import io.expertatlas.runtime.sim.Scenario;
import io.expertatlas.runtime.sim.SweepPoint;
import io.expertatlas.runtime.synthetic.GeneratedRouting;
import io.expertatlas.runtime.synthetic.SkewedGate;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Model.CommandSpec;

/**
 * The comparison of APTMoE's paper: 64 layers on 4 GPUs, as many micro-batches as GPUs; topologies
 * C1+G1, C1+G2, C1+G4; then 8 and 16 GPUs and other batches.
 */
final class Sweep {
  private static final int LAYERS = 64;
  private static final int BATCH = 128;
  private static final String FORETOLD = "0.85"; // the paper's token accuracy
  private static final double PERSISTENCE = 0; // as the artifact draws its routing
  private static final int WARMUP = 1;
  private static final int STEPS = 2;
  private static final List<String> TOPOLOGIES = List.of("C1+G1", "C1+G2", "C1+G4");
  private static final double[] SKEWS_OF_8 = {0.2, 0.4, 0.6, 0.8};
  private static final double[] SKEWS_OF_16 = {0.1, 0.2, 0.3, 0.4};
  private static final double[] SKEWS_OF_64 = {0.05, 0.1, 0.15, 0.2};

  private final CommandSpec spec;
  private final ScenarioOptions scenarioOptions;
  private final RoutingOptions routingOptions;
  private final AffinityPolicy policy;
  private final List<SweepPoint> points = new ArrayList<>();

  /** A model, and where it runs. */
  private record Case(
      String preset, int experts, double skew, String topology, int gpus, int batch) {
    String model() {
      return preset + "-" + experts;
    }
  }

  Sweep(
      CommandSpec spec,
      ScenarioOptions scenarioOptions,
      RoutingOptions routingOptions,
      AffinityPolicy policy) {
    this.spec = spec;
    this.scenarioOptions = scenarioOptions;
    this.routingOptions = routingOptions;
    this.policy = policy;
  }

  private static List<Case> cases(int batch) {
    List<Case> cases = new ArrayList<>();
    for (String model : List.of("S-8", "S-16", "S-64", "M-8", "M-16", "L-8")) {
      String preset = model.substring(0, 1);
      int experts = Integer.parseInt(model.substring(2));
      double[] skews = experts == 8 ? SKEWS_OF_8 : experts == 16 ? SKEWS_OF_16 : SKEWS_OF_64;
      for (double skew : skews) {
        for (String topology : TOPOLOGIES) {
          cases.add(new Case(preset, experts, skew, topology, 4, batch));
        }
      }
    }

    for (int gpus : new int[] {8, 16}) {
      cases.add(new Case("S", 64, 0.1, "C1+G2", gpus, batch));
      cases.add(new Case("M", 16, 0.2, "C1+G2", gpus, batch));
    }

    cases.add(new Case("S", 16, 0.3, "C1+G2", 4, batch / 2));
    cases.add(new Case("S", 16, 0.3, "C1+G2", 4, batch * 2));
    return cases;
  }

  void run(boolean json, Path report) throws IOException {
    double fidelity = routingOptions.predictor(FORETOLD).fidelity();
    List<Case> cases = cases(scenarioOptions.batchSize(BATCH));
    try (ProgressBar bar = Terminal.progress("sweep", cases.size())) {
      for (Case one : cases) {
        simulate(one, fidelity);
        bar.step();
      }
    }

    List<Claim> claims = PaperClaims.of(points);
    PrintWriter err = spec.commandLine().getErr();
    err.print(SimulationTable.of(claims));
    err.flush();
    if (report != null) {
      SweepReport.of(points, claims, scenarioOptions.machine().name(), policy.word(), fidelity)
          .write(report);
    }

    if (json) {
      PrintWriter out = spec.commandLine().getOut();
      out.println(
          SimulationJson.sweepToJson(
              points, claims, policy.word(), fidelity, routingOptions.seed()));
      out.flush();
    }
  }

  private void simulate(Case one, double fidelity) throws IOException {
    Preset preset = Presets.find(one.preset());
    Machine machine =
        scenarioOptions.machine().withGpusPerCpu(ScenarioOptions.gpusPerCpu(one.topology()));
    Scenario scenario =
        new Scenario(
            preset.table(),
            LAYERS,
            one.experts(),
            preset.heads(),
            1,
            one.gpus(),
            one.gpus(),
            one.batch(),
            preset.sequenceLength(),
            machine,
            scenarioOptions.budget(machine));
    for (PipelineKind kind : PipelineKind.values()) {
      PipelineRun run = run(scenario, kind, one.skew(), fidelity);
      points.add(
          new SweepPoint(
              one.model(),
              one.skew(),
              one.topology(),
              one.gpus(),
              one.batch(),
              kind,
              run.stepSeconds()));
    }
  }

  /** The fewest stages that fit, from 16 on. */
  private PipelineRun run(Scenario scenario, PipelineKind kind, double skew, double fidelity) {
    PipelineSettings settings =
        new PipelineSettings(
            scenario.chunks(), true, true, policy, DemandLoader.OUTSTANDING, routingOptions.seed());
    int stages = kind == PipelineKind.GPIPE ? scenario.devices() : 16;
    StagePlan plan = StagePlan.balanced(kind, scenario.devices(), LAYERS, stages);
    while (kind.offloads()
        && 2 * stages <= LAYERS
        && scenario.need(plan, settings).bytes() > scenario.budgetBytes()) {
      stages *= 2;
      plan = StagePlan.balanced(kind, scenario.devices(), LAYERS, stages);
    }

    if (scenario.need(plan, settings).bytes() > scenario.budgetBytes()) {
      return new PipelineRun(
          plan, policy.word(), scenario.need(plan, settings), "too large", List.of());
    }

    GeneratedRouting routing =
        new GeneratedRouting(
            SkewedGate.ofSkew(scenario.experts(), skew),
            new GeneratedRouting.Settings(
                LAYERS,
                scenario.chunks(),
                scenario.choices(),
                routingOptions.persistence(PERSISTENCE),
                fidelity,
                routingOptions.seed()));
    return new PipelineRun(
        plan,
        policy.word(),
        scenario.need(plan, settings),
        "",
        scenario.run(plan, settings, routing, WARMUP, STEPS, false));
  }
}
