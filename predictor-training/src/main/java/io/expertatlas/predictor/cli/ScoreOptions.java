package io.expertatlas.predictor.cli;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** How predictors are scored: a picocli {@code @Mixin}. */
final class ScoreOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec;

  @Option(
      names = "--iteration-tokens",
      paramLabel = "N",
      description = "Tokens of an iteration, for popularity (default: ${DEFAULT-VALUE}).")
  private int iterationTokens = 1024;

  @Option(
      names = "--expert-bytes",
      paramLabel = "N",
      description = "Size of an expert: tells missed and over-fetched bytes a token and layer.")
  private long expertBytes;

  int iterationTokens() {
    return atLeast("--iteration-tokens", iterationTokens, 1);
  }

  long expertBytes() {
    return atLeast("--expert-bytes", expertBytes, 0);
  }

  private <N extends Number> N atLeast(String option, N value, long least) {
    if (value.longValue() < least) {
      throw new ParameterException(
          spec.commandLine(), "Invalid %s: %s, at least %d".formatted(option, value, least));
    }

    return value;
  }
}
