package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.PredictorKind;
import io.expertatlas.predictor.nd4j.TrainerConfig;
import io.expertatlas.trace.terminal.Terminal;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;

/** How predictors are trained: a picocli {@code @Mixin}. */
final class TrainOptions {
  @Option(
      names = "--predictors",
      split = ",",
      paramLabel = "KIND",
      converter = KindConverter.class,
      description =
          "Which: popularity, previous-token, affinity, next-gate, pre-gate, affine-route,"
              + " residual; all that can be made by default (next-gate needs --gates).")
  private List<PredictorKind> kinds = List.of();

  @Option(
      names = "--lookahead",
      paramLabel = "H",
      description = "Predict the next H layers (default: ${DEFAULT-VALUE}).")
  private int lookahead = 3;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      description = "At most so many passes over the training tokens (default: ${DEFAULT-VALUE}).")
  private int epochs = 60;

  @Option(
      names = "--batch",
      paramLabel = "N",
      description = "Tokens of a step (default: ${DEFAULT-VALUE}).")
  private int batch = 128;

  @Option(
      names = "--learning-rate",
      paramLabel = "R",
      description = "Of Adam (default: ${DEFAULT-VALUE}).")
  private double learningRate = 1e-3;

  @Option(
      names = "--rank",
      paramLabel = "N",
      description =
          "Rectified units a layer of the residual predictor (default: ${DEFAULT-VALUE}).")
  private int rank = 32;

  @Option(
      names = "--start",
      paramLabel = "S",
      description =
          "Where the pre-gate's map starts: ${COMPLETION-CANDIDATES} (default: gate, APTMoE's paper;"
              + " random without --gates, and in APTMoE's program).")
  private Start start = Start.GATE;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "Of the split, starts and shuffles (default: ${DEFAULT-VALUE}).")
  private long seed = 1;

  @Option(
      names = "--test-share",
      paramLabel = "P",
      description = "Share of the sequences that are held out (default: ${DEFAULT-VALUE}).")
  private double testShare = 0.25;

  @Option(
      names = "--validation-share",
      paramLabel = "P",
      description = "Share of the sequences for early stopping (default: ${DEFAULT-VALUE}).")
  private double validationShare = 0.15;

  enum Start {
    GATE,
    RANDOM
  }

  List<PredictorKind> kinds() {
    return kinds;
  }

  int lookahead() {
    return lookahead;
  }

  int batch() {
    return batch;
  }

  double learningRate() {
    return learningRate;
  }

  boolean startsAtGate(PredictorKind kind) {
    return kind != PredictorKind.PRE_GATE || start == Start.GATE;
  }

  long seed() {
    return seed;
  }

  double testShare() {
    return testShare;
  }

  double validationShare() {
    return validationShare;
  }

  int epochs() {
    return epochs;
  }

  TrainerConfig config(PredictorKind kind, int hiddenSize) {
    return TrainerConfig.of(kind, seed, epochs, batch, learningRate, rank, hiddenSize);
  }

  private static final class KindConverter implements ITypeConverter<PredictorKind> {
    @Override
    public PredictorKind convert(String value) {
      return Terminal.option(() -> PredictorKind.ofWord(value));
    }
  }
}
