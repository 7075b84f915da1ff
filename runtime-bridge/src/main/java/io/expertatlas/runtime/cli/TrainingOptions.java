package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.finetune.RateSchedule;
import io.expertatlas.runtime.finetune.TrainingSettings;
import io.expertatlas.runtime.train.AdamW;
import picocli.CommandLine.Option;

/** What a training's result depends on: a picocli {@code @Mixin}. */
final class TrainingOptions {
  @Option(
      names = "--steps",
      defaultValue = "200",
      paramLabel = "N",
      description = "Steps of the optimizer (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--batch",
      defaultValue = "8",
      paramLabel = "B",
      description = "Sequences of a step (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(
      names = "--micro-batches",
      defaultValue = "1",
      paramLabel = "M",
      description = "Equal parts of a batch (default: ${DEFAULT-VALUE}).")
  private int microBatches;

  @Option(
      names = "--sequence-length",
      defaultValue = "128",
      paramLabel = "T",
      description = "Tokens of a sequence (default: ${DEFAULT-VALUE}).")
  private int sequenceLength;

  @Option(
      names = "--learning-rate",
      defaultValue = "3e-4",
      paramLabel = "R",
      description = "Peak of the learning rate (default: ${DEFAULT-VALUE}).")
  private double learningRate;

  @Option(
      names = "--schedule",
      defaultValue = "cosine",
      paramLabel = "S",
      description =
          "How the rate falls after the warm-up: ${COMPLETION-CANDIDATES} (default:"
              + " ${DEFAULT-VALUE}).")
  private RateSchedule schedule;

  @Option(
      names = "--warmup",
      defaultValue = "0",
      paramLabel = "N",
      description = "Steps in which the rate rises (default: ${DEFAULT-VALUE}).")
  private int warmup;

  @Option(
      names = "--beta1",
      defaultValue = "0.9",
      paramLabel = "B",
      description = "AdamW: share of the first moment that stays (default: ${DEFAULT-VALUE}).")
  private double beta1;

  @Option(
      names = "--beta2",
      defaultValue = "0.999",
      paramLabel = "B",
      description = "AdamW: share of the second moment that stays (default: ${DEFAULT-VALUE}).")
  private double beta2;

  @Option(
      names = "--epsilon",
      defaultValue = "1e-8",
      paramLabel = "E",
      description = "AdamW: added to the root (default: ${DEFAULT-VALUE}).")
  private double epsilon;

  @Option(
      names = "--weight-decay",
      defaultValue = "0.01",
      paramLabel = "D",
      description = "AdamW: decay, of all parameters (default: ${DEFAULT-VALUE}).")
  private double weightDecay;

  @Option(
      names = "--clip-norm",
      defaultValue = "1",
      paramLabel = "C",
      description = "Scale gradients down to this norm; 0: never (default: ${DEFAULT-VALUE}).")
  private double clipNorm;

  @Option(
      names = "--held-out",
      defaultValue = "0.05",
      paramLabel = "SHARE",
      description = "Share of the text that is scored, not trained on (default: ${DEFAULT-VALUE}).")
  private double heldOut;

  @Option(
      names = "--seed",
      defaultValue = "1",
      paramLabel = "S",
      description = "Seed of the order of the text (default: ${DEFAULT-VALUE}).")
  private long seed;

  /**
   * The settings.
   *
   * @throws IllegalArgumentException if a number is impossible
   */
  TrainingSettings settings() {
    return new TrainingSettings(
        steps,
        batch,
        microBatches,
        sequenceLength,
        learningRate,
        schedule,
        warmup,
        new AdamW(beta1, beta2, epsilon, weightDecay),
        clipNorm,
        heldOut,
        seed);
  }
}
