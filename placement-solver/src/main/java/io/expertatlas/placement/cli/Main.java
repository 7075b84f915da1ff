package io.expertatlas.placement.cli;

import io.expertatlas.trace.terminal.Terminal;
import picocli.CommandLine.Command;

/** The commands of placement-solver. */
@Command(
    name = "placement-solver",
    description = "Chooses and evaluates placements of experts on GPUs.",
    mixinStandardHelpOptions = true,
    subcommands = {
      PlaceCommand.class,
      RelabelCommand.class,
      FrontsCommand.class,
      EvaluateCommand.class,
      BenchmarkCommand.class,
      WindowsCommand.class
    })
public final class Main {
  Main() {}

  /** Runs the command that the arguments name. */
  public static void main(String[] arguments) {
    System.exit(Terminal.execute(new Main(), arguments));
  }
}
