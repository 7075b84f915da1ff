package io.expertatlas.runtime.finetune;

import io.expertatlas.runtime.train.AdamW;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * What a training's result depends on, besides model and text.
 *
 * @param steps of the optimizer
 * @param batch sequences of a step
 * @param microBatches equal parts of a batch
 * @param sequenceLength tokens of a sequence
 * @param learningRate peak
 * @param schedule of the rate
 * @param warmup steps in which the rate rises
 * @param optimizer AdamW's numbers
 * @param clipNorm gradients are scaled down to this norm; 0: never
 * @param heldOut share of the text that is not trained on
 * @param seed of the order of text
 */
public record TrainingSettings(
    int steps,
    int batch,
    int microBatches,
    int sequenceLength,
    double learningRate,
    RateSchedule schedule,
    int warmup,
    AdamW optimizer,
    double clipNorm,
    double heldOut,
    long seed) {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is impossible
   */
  public TrainingSettings {
    Objects.requireNonNull(schedule, "schedule is null");
    Objects.requireNonNull(optimizer, "optimizer is null");
    atLeast("--steps", steps, 1);
    atLeast("--batch", batch, 1);
    atLeast("--micro-batches", microBatches, 1);
    atLeast("--sequence-length", sequenceLength, 2);
    atLeast("--warmup", warmup, 0);
    if (batch % microBatches != 0) {
      throw new IllegalArgumentException(
          "Invalid --micro-batches: %d, a divisor of --batch %d".formatted(microBatches, batch));
    }

    if (warmup > steps) {
      throw new IllegalArgumentException(
          "Invalid --warmup: %d, at most --steps %d".formatted(warmup, steps));
    }

    if (!(learningRate > 0) || Double.isInfinite(learningRate)) {
      throw new IllegalArgumentException(
          "Invalid --learning-rate: %s, above 0".formatted(learningRate));
    }

    if (!(clipNorm >= 0)) {
      throw new IllegalArgumentException("Invalid --clip-norm: %s, at least 0".formatted(clipNorm));
    }

    if (!(heldOut > 0 && heldOut < 1)) {
      throw new IllegalArgumentException(
          "Invalid --held-out: %s, between 0 and 1".formatted(heldOut));
    }
  }

  private static void atLeast(String option, int value, int least) {
    if (value < least) {
      throw new IllegalArgumentException(
          "Invalid %s: %d, at least %d".formatted(option, value, least));
    }
  }

  /** The learning rate of a step, from 0. */
  double rate(int step) {
    return schedule.rate(learningRate, step, steps, warmup);
  }

  /** All of them by the name of their option, for files and comparisons. */
  Map<String, String> words() {
    Map<String, String> words = new LinkedHashMap<>();
    words.put("steps", Integer.toString(steps));
    words.put("batch", Integer.toString(batch));
    words.put("micro-batches", Integer.toString(microBatches));
    words.put("sequence-length", Integer.toString(sequenceLength));
    words.put("learning-rate", Double.toString(learningRate));
    words.put("schedule", schedule.word());
    words.put("warmup", Integer.toString(warmup));
    words.put("beta1", Double.toString(optimizer.beta1()));
    words.put("beta2", Double.toString(optimizer.beta2()));
    words.put("epsilon", Double.toString(optimizer.epsilon()));
    words.put("weight-decay", Double.toString(optimizer.weightDecay()));
    words.put("clip-norm", Double.toString(clipNorm));
    words.put("held-out", Double.toString(heldOut));
    words.put("seed", Long.toString(seed));
    return words;
  }
}
