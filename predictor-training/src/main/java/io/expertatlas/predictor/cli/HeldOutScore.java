package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictionMetrics;
import io.expertatlas.predictor.Scoring;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.json.MetricsParser;
import io.expertatlas.predictor.json.PredictorFiles;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.predictor.json.ScoredPredictor;
import io.expertatlas.predictor.report.PredictorReport;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection;
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
import me.tongfei.progressbar.ProgressBar;

/** Scores trained predictors on the sequences that were held out, and writes all of it. */
final class HeldOutScore {
  private static final String METRICS = "metrics.json";
  private static final String REPORT = "report.html";

  private final PrintWriter err;
  private final TraceOptions trace;
  private final ScoreOptions scoring;
  private final long seed;

  HeldOutScore(PrintWriter err, TraceOptions trace, ScoreOptions scoring, long seed) {
    this.err = err;
    this.trace = trace;
    this.scoring = scoring;
    this.seed = seed;
  }

  /**
   * Scores predictors and writes them with their metrics and a report.
   *
   * @param output as the folder is called
   * @return the metrics
   */
  String write(
      List<SavedPredictor> saved,
      PredictedModel model,
      SequenceSplit split,
      OutputFolder folder,
      Path output)
      throws IOException {
    Scoring held = score(saved, model, split);
    List<ScoredPredictor> scored = new ArrayList<>();
    for (int p = 0; p < saved.size(); p++) {
      List<PredictionMetrics> headOuts = new ArrayList<>();
      for (int h = 1; h <= held.heads(p); h++) {
        headOuts.add(held.score(p, h).metrics(seed));
      }

      ExpertPredictor predictor = saved.get(p).predictor();
      scored.add(new ScoredPredictor(predictor.kind().word(), predictor, headOuts));
    }

    String metrics =
        MetricsParser.toJson(
            scored,
            trace.source().path().toString(),
            held.tokens(),
            seed,
            scoring.iterationTokens(),
            scoring.expertBytes());
    String words =
        "%,d held-out tokens of %d sequences of %s"
            .formatted(
                held.tokens(),
                split.test().length,
                trace.source().path().toAbsolutePath().normalize().getFileName());
    folder.write(
        aside -> {
          for (SavedPredictor one : saved) {
            Path own = Files.createDirectory(aside.resolve(one.predictor().kind().word()));
            PredictorFiles.write(one, own);
          }

          Files.writeString(aside.resolve(METRICS), metrics);
          PredictorReport.of(words, scored).write(aside.resolve(REPORT));
        });
    err.printf(
        "%s, k = %d:%n%s",
        words, model.shape().topK(), MetricsTable.of(scored, scoring.expertBytes()));
    err.print(GainTable.of(saved, held, seed));
    err.printf("%s: open %s in a browser%n", output, output.resolve(REPORT));
    err.flush();
    return metrics;
  }

  private Scoring score(List<SavedPredictor> saved, PredictedModel model, SequenceSplit split) {
    Scoring held =
        new Scoring(
            model,
            saved.stream().map(SavedPredictor::predictor).toList(),
            scoring.iterationTokens(),
            (iteration, gate, predicted) -> {});
    TokenSelection selection = trace.selection();
    try (RouterStatesReader reader = RouterStatesFormat.openStates(trace.source());
        ProgressBar bar = Terminal.progress("score", reader.tokens())) {
      long token = 0;
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        RouterStates states = next.get();
        long from = token;
        held.add(
            states,
            index -> {
              int sequence = states.routes().sequence(index);
              return selection.keeps(from + index, sequence) && split.part(sequence) == Part.TEST;
            });
        token += states.tokens();
        bar.stepTo(token);
      }
    }

    held.finish();
    return held;
  }
}
