package io.expertatlas.trace.terminal;

import picocli.CommandLine.Option;

/** What every command that runs a Spark job is told: a picocli {@code @Mixin}. */
public final class JobOptions {
  @Option(
      names = "--master",
      paramLabel = "M",
      description = "Spark master; without it, spark-submit's, else local[*].")
  private String master = "";

  @Option(names = "--overwrite", description = "Replace the output if it exists.")
  private boolean overwrite;

  /** The Spark master, or empty. */
  public String master() {
    return master;
  }

  /** Whether an existing output is replaced. */
  public boolean overwrite() {
    return overwrite;
  }
}
