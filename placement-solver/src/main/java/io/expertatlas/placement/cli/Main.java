package io.expertatlas.placement.cli;

import io.expertatlas.trace.terminal.Terminal;
import picocli.CommandLine.Command;

/** The commands of placement-solver. */
@Command(
    name = "placement-solver",
    description = "Chooses and evaluates placements of experts on GPUs.",
    mixinStandardHelpOptions = true,
    subcommands = {PlaceCommand.class, RelabelCommand.class, FrontsCommand.class, EvaluateCommand.class})
public final class Main {
  Main() {}

  /** Runs {@code place} or {@code evaluate}. */
  public static void main(String[] arguments) {
    System.exit(Terminal.execute(new Main(), arguments));
  }
}
