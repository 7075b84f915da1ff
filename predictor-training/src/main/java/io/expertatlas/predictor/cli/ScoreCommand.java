package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictionMetrics;
import io.expertatlas.predictor.PredictorFormatException;
import io.expertatlas.predictor.Scoring;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.json.MetricsParser;
import io.expertatlas.predictor.json.PredictorFiles;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.predictor.json.ScoredPredictor;
import io.expertatlas.predictor.parquet.PopularityFiles;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.files.OutputFolder;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.IntPredicate;
import java.util.regex.Pattern;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code atlas score-predictor}. */
@Command(
    name = "score-predictor",
    description =
        "Scores a predictor on a trace and writes the popularity of each iteration, from the gate"
            + " and from the predictor.",
    mixinStandardHelpOptions = true)
final class ScoreCommand implements Callable<Integer> {
  private static final Pattern FILES =
      Pattern.compile("metrics\\.json|popularity\\.parquet|popularity-[a-z0-9-]+\\.npy");

  @Spec private CommandSpec spec;
  @Mixin private TraceOptions trace;
  @Mixin private ScoreOptions scoring;

  @Option(
      names = "--predictor",
      required = true,
      paramLabel = "R",
      description = "Folder with predictor.json and weights.safetensors.")
  private Path predictor;

  @Option(
      names = "--held-out",
      description = "Only the sequences that the predictor's own split held out.")
  private boolean heldOut;

  @Option(
      names = "--model",
      paramLabel = "NAME",
      description = "Name of the trace's model; without it, what the trace says.")
  private String modelName = "";

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "Of the bootstrap intervals (default: ${DEFAULT-VALUE}).")
  private long seed = 1;

  @Option(
      names = "--output",
      paramLabel = "O",
      description =
          "Folder to be created: metrics.json, popularity.parquet, popularity-gate.npy,"
              + " popularity-predictor-H.npy.")
  private Path output;

  @Option(names = "--overwrite", description = "Replace an existing folder of scores.")
  private boolean overwrite;

  @Option(names = "--json", description = "Print the metrics to stdout.")
  private boolean json;

  @Override
  public Integer call() throws IOException {
    int iterationTokens = scoring.iterationTokens();
    scoring.expertBytes();
    SavedPredictor saved = PredictorFiles.read(predictor);
    String metrics;
    if (output == null) {
      metrics = score(saved, iterationTokens, (iteration, gate, predicted) -> {});
    } else {
      OutputFolder folder = new OutputFolder(output, overwrite, "score folder", FILES);
      folder.check();
      String[] written = new String[1];
      folder.write(aside -> written[0] = scoreInto(aside, saved, iterationTokens));
      metrics = written[0];
    }

    if (json) {
      spec.commandLine().getOut().print(metrics);
      spec.commandLine().getOut().flush();
    }

    return 0;
  }

  private String scoreInto(Path folder, SavedPredictor saved, int iterationTokens)
      throws IOException {
    ExpertPredictor scored = saved.predictor();
    try (PopularityFiles files =
        new PopularityFiles(
            folder,
            scored.model().shape(),
            scored.kind().word(),
            Math.min(scored.lookahead(), scored.model().shape().layers() - 1))) {
      String metrics = score(saved, iterationTokens, files);
      Files.writeString(folder.resolve("metrics.json"), metrics);
      return metrics;
    }
  }

  private String score(SavedPredictor saved, int iterationTokens, Scoring.PopularitySink sink) {
    Scoring run =
        RouterStatesFormat.fits(trace.source())
            ? scoreStates(saved, iterationTokens, sink)
            : scoreRoutes(saved, iterationTokens, sink);
    run.finish();
    if (run.tokens() == 0) {
      throw new PredictorFormatException(
          "Cannot score on %s: no token is selected by %s%s"
              .formatted(
                  trace.source().path(),
                  trace.selection(),
                  heldOut ? " and held out by the predictor's split" : ""));
    }

    List<PredictionMetrics> headOuts = new ArrayList<>();
    for (int h = 1; h <= run.heads(0); h++) {
      headOuts.add(run.score(0, h).metrics(seed));
    }

    ExpertPredictor predicted = saved.predictor();
    List<ScoredPredictor> scored =
        List.of(new ScoredPredictor(predicted.kind().word(), predicted, headOuts));
    PrintWriter err = spec.commandLine().getErr();
    err.printf(
        "%,d tokens of %s, k = %d:%n%s",
        run.tokens(),
        trace.source().path(),
        predicted.model().shape().topK(),
        MetricsTable.of(scored, scoring.expertBytes()));
    err.flush();
    return MetricsParser.toJson(
        scored,
        trace.source().path().toString(),
        run.tokens(),
        seed,
        iterationTokens,
        scoring.expertBytes());
  }

  private Scoring start(
      SavedPredictor saved, PredictedModel model, int tokens, Scoring.PopularitySink sink) {
    saved.predictor().model().checkFits(model, predictor);
    return new Scoring(model, List.of(saved.predictor()), tokens, sink);
  }

  private Scoring scoreStates(SavedPredictor saved, int tokens, Scoring.PopularitySink sink) {
    try (RouterStatesReader reader = RouterStatesFormat.openStates(trace.source());
        ProgressBar bar = Terminal.progress("score", reader.tokens())) {
      String name = modelName.isEmpty() ? reader.model() : modelName;
      Scoring run =
          start(saved, new PredictedModel(name, reader.shape(), reader.hiddenSize()), tokens, sink);
      long token = 0;
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        run.add(next.get(), kept(next.get().routes(), token, saved.split()));
        token += next.get().tokens();
        bar.stepTo(token);
      }

      return run;
    }
  }

  private Scoring scoreRoutes(SavedPredictor saved, int tokens, Scoring.PopularitySink sink) {
    try (TraceReader reader = TraceFormat.openTrace(trace.source());
        ProgressBar bar = Terminal.progress("score", reader.tokens())) {
      Scoring run = start(saved, new PredictedModel(modelName, reader.shape(), 0), tokens, sink);
      long token = 0;
      for (Optional<RoutingTrace> next = reader.next(); next.isPresent(); next = reader.next()) {
        run.add(next.get(), kept(next.get(), token, saved.split()));
        token += next.get().tokens();
        bar.stepTo(token);
      }

      return run;
    }
  }

  private IntPredicate kept(RoutingTrace batch, long first, SequenceSplit split) {
    TokenSelection selection = trace.selection();
    return index -> {
      int sequence = batch.sequence(index);
      return selection.keeps(first + index, sequence)
          && (!heldOut || split.part(sequence) == Part.TEST);
    };
  }
}
