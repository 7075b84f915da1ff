package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.AffinePredictor;
import io.expertatlas.predictor.ExpertPredictor;
import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.TablePredictor;
import io.expertatlas.predictor.json.GateWeights;
import io.expertatlas.predictor.json.SavedPredictor;
import io.expertatlas.predictor.json.SavedPredictor.Training;
import io.expertatlas.predictor.nd4j.LayerTask;
import io.expertatlas.predictor.nd4j.TrainedLayer;
import io.expertatlas.predictor.nd4j.TrainerConfig;
import io.expertatlas.predictor.nd4j.TrainingCounts;
import io.expertatlas.predictor.nd4j.TrainingPlan;
import io.expertatlas.predictor.nd4j.TrainingRunner;
import io.expertatlas.trace.terminal.Terminal;
import io.expertatlas.trace.terminal.TraceOptions;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import me.tongfei.progressbar.ProgressBar;

/** Makes predictors of the kinds that are asked for: trained, counted, or copied. */
final class KindTraining {
  private final PrintWriter err;
  private final TraceOptions trace;
  private final TrainOptions options;
  private final PredictedModel model;
  private final Optional<AffinePredictor> nextGate;

  KindTraining(
      PrintWriter err,
      TraceOptions trace,
      TrainOptions options,
      PredictedModel model,
      Optional<GateWeights> gates) {
    this.err = err;
    this.trace = trace;
    this.options = options;
    this.model = model;
    this.nextGate =
        gates.map(
            found ->
                AffinePredictor.nextGate(
                    model, options.lookahead(), found.weights(), found.biases()));
  }

  /**
   * Trains what has to be trained, all layers of all kinds side by side.
   *
   * @param work folder for checkpoints
   */
  List<SavedPredictor> train(
      List<PredictorKind> kinds, TrainingRunner runner, SequenceSplit split, Path work) {
    TrainingCounts counts = runner.count(split, options.lookahead());
    TrainingPlan plan = new TrainingPlan(model, options.lookahead(), counts.train(), nextGate);
    err.printf(
        "%s: %s, hidden size %d; %d tokens to train on, %d for validation; %s%n",
        model.name().isEmpty() ? "a model" : model.name(),
        model.shape(),
        model.hiddenSize(),
        counts.train().tokens(),
        counts.validationTokens(),
        split);
    err.flush();
    List<LayerTask> tasks = new ArrayList<>();
    for (PredictorKind kind : kinds) {
      if (kind.isTrained()) {
        TrainerConfig config = options.config(kind, model.hiddenSize());
        tasks.addAll(plan.tasks(config, options.startsAtGate(kind), work));
      }
    }

    List<TrainedLayer> trained = run(runner, tasks, split);
    List<SavedPredictor> saved = new ArrayList<>();
    int next = 0;
    int layers = model.shape().layers() - 1;
    for (PredictorKind kind : kinds) {
      List<TrainedLayer> own = kind.isTrained() ? trained.subList(next, next + layers) : List.of();
      next += own.size();
      saved.add(
          new SavedPredictor(
              predictor(kind, plan, own, counts), split, training(kind, own, counts)));
    }

    return saved;
  }

  private ExpertPredictor predictor(
      PredictorKind kind, TrainingPlan plan, List<TrainedLayer> own, TrainingCounts counts) {
    if (kind.isTrained()) {
      return plan.predictor(kind, own);
    }

    return kind == PredictorKind.NEXT_GATE
        ? nextGate.orElseThrow()
        : TablePredictor.of(kind, model, options.lookahead(), counts.train());
  }

  private Training training(PredictorKind kind, List<TrainedLayer> own, TrainingCounts counts) {
    return new Training(
        trace.source().path().toString(),
        trace.selection().toString(),
        kind == PredictorKind.NEXT_GATE ? 0 : counts.train().tokens(),
        options.seed(),
        kind.isTrained() ? options.batch() : 0,
        kind.isTrained() ? options.learningRate() : 0,
        own.stream().map(TrainedLayer::epoch).toList());
  }

  private List<TrainedLayer> run(
      TrainingRunner runner, List<LayerTask> tasks, SequenceSplit split) {
    if (tasks.isEmpty()) {
      return List.of();
    }

    long begin = System.nanoTime();
    List<TrainedLayer> trained;
    try (ProgressBar bar = Terminal.progress("train", (long) tasks.size() * options.epochs())) {
      trained = runner.train(tasks, split, bar::step);
      bar.stepTo(bar.getMax());
    }

    err.printf("Trained %d layers in %.1f s%n", tasks.size(), (System.nanoTime() - begin) / 1e9);
    return trained;
  }
}
