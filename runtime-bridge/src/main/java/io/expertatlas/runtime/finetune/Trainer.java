package io.expertatlas.runtime.finetune;

import io.expertatlas.runtime.train.Parameter;
import io.expertatlas.runtime.train.StepExecutor;
import io.expertatlas.runtime.train.TokenBatch;
import io.expertatlas.runtime.train.TrainableModel;
import java.io.IOException;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/** The loop of a training: gradients, clipping, AdamW, checkpoints. */
final class Trainer {
  private final TrainableModel model;
  private final StepExecutor executor;
  private final TrainingSettings settings;
  private final TokenRows rows;
  private final CheckpointFolder checkpoints;
  private final int checkpointEvery;
  private final TrainingObserver observer;

  Trainer(
      TrainableModel model,
      StepExecutor executor,
      TrainingSettings settings,
      TokenRows rows,
      CheckpointFolder checkpoints,
      int checkpointEvery,
      TrainingObserver observer) {
    this.model = model;
    this.executor = executor;
    this.settings = settings;
    this.rows = rows;
    this.checkpoints = checkpoints;
    this.checkpointEvery = checkpointEvery;
    this.observer = observer;
  }

  /**
   * Trains from the newest checkpoint on, or from the beginning, to the last step; a checkpoint is
   * written then too.
   *
   * @throws TrainingException if loss or gradients are no numbers; nothing is written then
   */
  TrainingState run() throws IOException, InterruptedException {
    checkpoints.clean();
    TrainingState state = checkpoints.resume(model.parameters());
    if (state.step() == 0) {
      state = new TrainingState(List.of(), heldOutLoss());
    }

    while (state.step() < settings.steps()) {
      List<TrainingState.Point> curve = new ArrayList<>(state.curve());
      curve.add(step(state.step()));
      state = new TrainingState(curve, state.heldOutBefore());
      observer.stepped(state.step(), curve.get(curve.size() - 1), executor.peakBytes());
      boolean isLast = state.step() == settings.steps();
      if (isLast || (checkpointEvery > 0 && state.step() % checkpointEvery == 0)) {
        checkpoints.write(state, model.parameters());
      }
    }

    return state;
  }

  private TrainingState.Point step(int step) throws InterruptedException {
    TokenBatch batch = new TokenBatch(rows.batch(step, settings.batch()));
    double rate = settings.rate(step);
    if (settings.clipNorm() == 0) {
      return updatedMeanwhile(batch, step, rate);
    }

    double loss = executor.gradients(batch);
    double norm = Parameter.gradientNorm(model.parameters());
    check(step, loss, norm, rate);
    if (norm > settings.clipNorm()) {
      Parameter.scaleGradients(model.parameters(), settings.clipNorm() / norm);
    }

    settings.optimizer().step(model.parameters(), rate, step + 1, executor.isInDoubles());
    return new TrainingState.Point(loss, rate, norm);
  }

  /** Without clipping, parameters move as soon as their gradients are known. */
  private TrainingState.Point updatedMeanwhile(TokenBatch batch, int step, double rate)
      throws InterruptedException {
    Map<Parameter, Double> squares = new IdentityHashMap<>();
    double loss =
        executor.step(
            batch,
            (parameters, isBeside) -> {
              List<Double> found = Parameter.gradientSquares(parameters);
              for (int i = 0; i < found.size(); i++) {
                Parameter parameter = parameters.get(i);
                if (!Double.isFinite(found.get(i))) { // the loss is not known yet
                  throw new TrainingException(
                      ("Stopped in step %d of %d: the gradient of %s is no number, learning rate"
                              + " %s. Maybe lower it")
                          .formatted(step + 1, settings.steps(), parameter.name(), rate));
                }

                squares.put(parameter, found.get(i));
              }

              settings
                  .optimizer()
                  .step(parameters, rate, step + 1, executor.isInDoubles(), isBeside);
            });
    double sum = 0;
    for (Parameter parameter : model.parameters()) {
      sum += squares.get(parameter);
    }

    check(step, loss, Math.sqrt(sum), rate);
    return new TrainingState.Point(loss, rate, Math.sqrt(sum));
  }

  private void check(int step, double loss, double norm, double rate) {
    if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
      throw new TrainingException(
          "Stopped in step %d of %d: loss %s, gradient norm %s, learning rate %s. Maybe lower it"
              .formatted(step + 1, settings.steps(), loss, norm, rate));
    }
  }

  /**
   * The mean loss over all held-out targets.
   *
   * @throws TrainingException if it is no number
   */
  double heldOutLoss() throws InterruptedException {
    double sum = 0;
    long targets = 0;
    for (TokenBatch batch : rows.heldOut(settings.batch() / settings.microBatches())) {
      sum += executor.loss(batch) * batch.targets();
      targets += batch.targets();
      observer.scored(batch.sequences().size());
    }

    if (!Double.isFinite(sum)) {
      throw new TrainingException(
          "The loss of the held-out text is %s, over %d tokens".formatted(sum, targets));
    }

    return sum / targets;
  }
}
