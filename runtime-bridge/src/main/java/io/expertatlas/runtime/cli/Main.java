package io.expertatlas.runtime.cli;

import io.expertatlas.trace.terminal.Terminal;
import picocli.CommandLine.Command;

/** The commands of runtime-bridge. */
@Command(
    name = "runtime-bridge",
    description = "Runs models under a placement of their experts.",
    mixinStandardHelpOptions = true,
    subcommands = {
      RunCommand.class,
      BenchmarkRunCommand.class,
      SimulateCommand.class,
      ProfileCommand.class,
      FinetuneCommand.class,
      BenchmarkFinetuneCommand.class
    })
public final class Main {
  Main() {}

  /** Runs a command. */
  public static void main(String[] arguments) {
    System.exit(Terminal.execute(new Main(), arguments));
  }
}
