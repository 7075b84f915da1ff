package io.expertatlas.trace.terminal;

import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import java.nio.file.Path;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options that name a trace and a part of it: a picocli {@code @Mixin}. */
public final class TraceOptions {
  @Option(
      names = "--trace",
      required = true,
      paramLabel = "T",
      description = "Routing-trace dataset, capture folder or raw file (.npy).")
  private Path trace;

  @Mixin private TraceFacts facts;

  /** Where the trace is. */
  public TraceSource source() {
    return facts.source(trace);
  }

  /** Which part of it is asked for. */
  public TokenSelection selection() {
    return facts.selection();
  }

  /**
   * Opens the selected part of the trace.
   *
   * @throws io.expertatlas.trace.TraceFormatException if it cannot be read
   */
  public TraceReader open() {
    return TraceFormat.openTrace(source(), selection());
  }
}
