package io.expertatlas.runtime.cli;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.Scoring;
import io.expertatlas.predictor.json.PredictorFiles;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.runtime.json.RecordedCountsParser;
import io.expertatlas.runtime.pipeline.ChunkCollector;
import io.expertatlas.runtime.pipeline.LastStepForetelling;
import io.expertatlas.runtime.pipeline.RecordedCounts;
import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.sim.Scenario;
import io.expertatlas.runtime.synthetic.GeneratedRouting;
import io.expertatlas.runtime.synthetic.SkewedGate;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.terminal.TraceFacts;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Where the tokens go: drawn, of a trace, or as a training counted them. A picocli {@code @Mixin}.
 */
final class RoutingOptions {
  private static final int EXPERTS = 8;
  private static final double SKEW = 0.4;
  private static final double PERSISTENCE = 1;

  @Option(
      names = "--trace",
      paramLabel = "T",
      description =
          "Replay this trace: consecutive tokens fill the micro-batches. Without it, routing is"
              + " drawn for --experts (default 8).")
  private Path trace;

  @Option(
      names = "--counts",
      paramLabel = "FILE",
      description =
          "Replay the steps of a training, as finetune --record-counts wrote them; its model and"
              + " batch are taken from there.")
  private Path counts;

  @Mixin private TraceFacts facts;

  @Option(
      names = "--skew",
      paramLabel = "X",
      description = "Sum of squared shares of a layer's experts (default: 0.4).")
  private Double skew;

  @Option(
      names = "--persistence",
      paramLabel = "P",
      description =
          "Chance that a layer keeps its popular experts from one micro-batch to the next"
              + " (default: 1).")
  private Double persistence;

  @Option(
      names = "--predictor",
      paramLabel = "P",
      description =
          "What foretells the next layer: none, last-step, oracle, a share of tokens foretold"
              + " right, or a predictor of train-predictor, for --trace (default: none).")
  private String predictor;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Seed of drawn routing and policies (default: ${DEFAULT-VALUE}).")
  private long seed;

  private RecordedCounts recorded; // once read

  long seed() {
    return seed;
  }

  double persistence(double otherwise) {
    return persistence == null ? otherwise : persistence;
  }

  ForetellingOption predictor() {
    return predictor("none");
  }

  ForetellingOption predictor(String otherwise) {
    return new ForetellingOption(predictor == null ? otherwise : predictor);
  }

  boolean hasTrace() {
    return trace != null;
  }

  boolean hasCounts() {
    return counts != null;
  }

  /**
   * The recorded counts.
   *
   * @throws IllegalArgumentException if other experts were asked for
   */
  RecordedCounts counts() throws IOException {
    if (recorded == null) {
      recorded = RecordedCountsParser.read(counts);
      ScenarioOptions.same("--experts", facts.source(counts).experts(), recorded.experts());
    }

    return recorded;
  }

  private TraceSource source() {
    return facts.source(trace);
  }

  /** Experts that were asked for. */
  int experts() {
    return facts.source(Path.of("")).experts().orElse(EXPERTS);
  }

  /** The shape of the trace. */
  ModelShape shape() {
    try (TraceReader reader = TraceFormat.openTrace(source())) {
      return reader.shape();
    }
  }

  /** In words, for the output. */
  String describe() {
    return hasTrace() || hasCounts()
        ? (hasTrace() ? trace : counts).toString()
        : "drawn, skew %s, persistence %s"
            .formatted(skew == null ? SKEW : skew, persistence(PERSISTENCE));
  }

  /** Checks options that do not go together. */
  void check() {
    if (hasTrace() && (skew != null || persistence != null)) {
      throw new IllegalArgumentException(
          "Invalid options: --skew and --persistence are for drawn routing, --trace has its own");
    }

    if (hasCounts() && (hasTrace() || skew != null || persistence != null)) {
      throw new IllegalArgumentException(
          "Invalid options: --counts has its own routing, without --trace, --skew and --persistence");
    }

    if (!hasTrace() && predictor().isFolder()) {
      throw new IllegalArgumentException(
          "Invalid --predictor: %s needs a --trace to foretell".formatted(predictor));
    }

    if (!predictor().isFolder()) {
      double share = predictor().fidelity();
      if ((hasTrace() || hasCounts()) && share < 1) {
        throw new IllegalArgumentException(
            "Invalid --predictor: %s, a share is for drawn routing. Maybe name a predictor's folder"
                .formatted(predictor));
      }
    }
  }

  /**
   * The routing of a scenario, at most so many steps of a trace; the same each time it is asked.
   */
  RoutingSource routing(Scenario scenario, int steps) throws IOException {
    RoutingSource real =
        hasTrace() || hasCounts()
            ? RoutingSource.of(replayed(scenario, steps))
            : new GeneratedRouting(
                SkewedGate.ofSkew(scenario.experts(), skew == null ? SKEW : skew),
                new GeneratedRouting.Settings(
                    scenario.layers(),
                    scenario.chunks(),
                    scenario.choices(),
                    persistence(PERSISTENCE),
                    predictor().fidelity(),
                    seed));
    return predictor().isLastStep() ? new LastStepForetelling(real) : real;
  }

  private List<StepRouting> replayed(Scenario scenario, int steps) throws IOException {
    if (hasCounts()) {
      return predictor().isOracle() ? foretold(counts().steps()) : counts().steps();
    }

    ModelShape shape = shape();
    ChunkCollector collector =
        new ChunkCollector(shape, scenario.chunks(), scenario.tokens(), steps);
    if (predictor().isFolder()) {
      score(collector, scenario.tokens());
    } else {
      try (TraceReader reader = TraceFormat.openTrace(source(), facts.selection())) {
        for (Optional<RoutingTrace> next = reader.next();
            next.isPresent() && !collector.isFull();
            next = reader.next()) {
          collector.add(next.get());
        }
      }
    }

    if (collector.steps().isEmpty()) {
      throw new IllegalArgumentException(
          "Cannot simulate %s: its selected tokens do not fill a step of %d x %d tokens. Maybe use a smaller --batch-size"
              .formatted(trace, scenario.chunks(), scenario.tokens()));
    }

    return predictor().isOracle() ? foretold(collector.steps()) : collector.steps();
  }

  private static List<StepRouting> foretold(List<StepRouting> steps) {
    List<StepRouting> oracle = new ArrayList<>();
    for (StepRouting step : steps) {
      int[][][] counts = new int[step.layers()][step.chunks()][];
      for (int layer = 0; layer < counts.length; layer++) {
        for (int chunk = 0; chunk < counts[layer].length; chunk++) {
          counts[layer][chunk] = step.counts(layer, chunk);
        }
      }

      oracle.add(new StepRouting(counts, counts));
    }

    return oracle;
  }

  private void score(ChunkCollector collector, int tokens) throws IOException {
    SavedPredictor saved = PredictorFiles.read(Path.of(predictor));
    TokenSelection selection = facts.selection();
    long first = 0;
    if (saved.predictor().kind().readsHidden()) {
      try (RouterStatesReader reader = RouterStatesFormat.openStates(source())) {
        Scoring scoring =
            scoring(
                saved,
                new PredictedModel("", reader.shape(), reader.hiddenSize()),
                tokens,
                collector);
        for (Optional<RouterStates> next = reader.next();
            next.isPresent() && !collector.isFull();
            next = reader.next()) {
          RoutingTrace routes = next.get().routes();
          long before = first;
          scoring.add(next.get(), index -> selection.keeps(before + index, routes.sequence(index)));
          first += routes.tokens();
        }
      }
    } else {
      try (TraceReader reader = TraceFormat.openTrace(source(), selection)) {
        Scoring scoring =
            scoring(saved, new PredictedModel("", reader.shape(), 0), tokens, collector);
        for (Optional<RoutingTrace> next = reader.next();
            next.isPresent() && !collector.isFull();
            next = reader.next()) {
          scoring.add(next.get(), index -> true);
        }
      }
    }
  }

  private Scoring scoring(
      SavedPredictor saved, PredictedModel model, int tokens, ChunkCollector collector) {
    saved.predictor().model().checkFits(model, predictor);
    return new Scoring(model, List.of(saved.predictor()), tokens, collector);
  }
}
