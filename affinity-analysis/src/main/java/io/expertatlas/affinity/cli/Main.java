package io.expertatlas.affinity.cli;

import io.expertatlas.trace.terminal.Terminal;
import picocli.CommandLine.Command;

/** The command line of the affinity stage, also for spark-submit. */
@Command(
    name = "affinity",
    description = "Expert popularity and inter-layer affinity of routing traces.",
    mixinStandardHelpOptions = true,
    subcommands = AnalyzeCommand.class)
public final class Main {
  private Main() {}

  /** Runs a command and exits with its code. */
  public static void main(String[] arguments) {
    System.exit(Terminal.execute(new Main(), arguments));
  }
}
