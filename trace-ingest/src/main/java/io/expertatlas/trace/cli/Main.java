package io.expertatlas.trace.cli;

import io.expertatlas.trace.terminal.Terminal;
import picocli.CommandLine.Command;

/** The command line of the trace stage. */
@Command(
    name = "trace",
    description = "Routing traces: read dumps, write and inspect datasets.",
    mixinStandardHelpOptions = true,
    subcommands = {IngestCommand.class, InspectCommand.class})
public final class Main {
  private Main() {}

  /** Runs a command and exits with its code. */
  public static void main(String[] arguments) {
    System.exit(Terminal.execute(new Main(), arguments));
  }
}
