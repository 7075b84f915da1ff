package io.expertatlas.placement.cli;

import io.expertatlas.placement.MovePlan.Staging;
import io.expertatlas.placement.format.ModelSize;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The options that price moved experts against saved hops: a picocli {@code @Mixin}. */
final class MoveOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--horizon",
      paramLabel = "TOKENS",
      description = "Tokens that will run under the new placement before it is changed again.")
  private Long horizon;

  @Option(
      names = "--expert-bytes",
      paramLabel = "B",
      description = "Size of an expert, which a move sends (default: from --model-config).")
  private Long expertBytes;

  @Option(
      names = "--hop-bytes",
      paramLabel = "B",
      description =
          "What a token sends in a hop inside a node, its activations (default: from"
              + " --model-config).")
  private Long hopBytes;

  @Option(
      names = "--min-gain",
      defaultValue = "0.01",
      paramLabel = "G",
      description =
          "Stay unless moving saves this share of all bytes over the horizon, the moves included"
              + " (default: ${DEFAULT-VALUE}).")
  private double minGain;

  @Option(
      names = "--staging",
      defaultValue = "spare",
      paramLabel = "S",
      description =
          "How experts change places on full GPUs: spare uses one slot more on one GPU at a time,"
              + " swap exchanges two experts at once (default: ${DEFAULT-VALUE}).")
  private Staging staging;

  /**
   * What moving is weighed by.
   *
   * @param horizon in tokens
   * @param expertBytes that a move sends
   * @param hopBytes that a hop of cost 1 sends
   * @param minGain least share of the bytes that moving must save
   * @param staging how cycles are broken
   */
  record Terms(long horizon, long expertBytes, long hopBytes, double minGain, Staging staging) {}

  /**
   * The terms that were given.
   *
   * @param config of the model
   * @param defaultHorizon if none was given; 0 if one must be
   * @throws ParameterException if one is missing or out of range
   */
  Terms terms(Optional<Path> config, long defaultHorizon) throws IOException {
    long tokens = horizon == null ? defaultHorizon : horizon;
    if (horizon == null && defaultHorizon == 0) {
      throw usage("Missing required option: '--horizon=TOKENS'");
    }

    Optional<ModelSize> size =
        config.isPresent() && (expertBytes == null || hopBytes == null)
            ? Optional.of(ModelSize.read(config.get()))
            : Optional.empty();
    return new Terms(
        positive("--horizon", tokens),
        positive("--expert-bytes", given("--expert-bytes", expertBytes, size, true)),
        positive("--hop-bytes", given("--hop-bytes", hopBytes, size, false)),
        share(minGain),
        staging);
  }

  private long given(String name, Long value, Optional<ModelSize> size, boolean expert) {
    if (value != null) {
      return value;
    }

    if (size.isEmpty()) {
      throw usage("Missing required option: '%s=B' or '--model-config=FILE'".formatted(name));
    }

    return expert ? size.get().expertBytes() : size.get().hopBytes();
  }

  private long positive(String name, long value) {
    if (value < 1) {
      throw usage("Invalid %s: %d, at least 1".formatted(name, value));
    }

    return value;
  }

  private double share(double value) {
    if (!(value >= 0 && value < 1)) {
      throw usage("Invalid --min-gain: %s, 0 to below 1".formatted(value));
    }

    return value;
  }

  private ParameterException usage(String message) {
    return new ParameterException(command.commandLine(), message);
  }
}
