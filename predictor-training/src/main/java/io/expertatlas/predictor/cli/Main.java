package io.expertatlas.predictor.cli;

import io.expertatlas.trace.terminal.Terminal;
import picocli.CommandLine.Command;

/** The commands of predictor-training. */
@Command(
    name = "predictor-training",
    description = "Trains and scores predictors of the next experts.",
    mixinStandardHelpOptions = true,
    subcommands = {TrainCommand.class, ScoreCommand.class})
public final class Main {
  Main() {}

  /** Runs {@code train-predictor} or {@code score-predictor}. */
  public static void main(String[] arguments) {
    System.exit(Terminal.execute(new Main(), arguments));
  }
}
