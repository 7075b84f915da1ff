package io.expertatlas.trace;

import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.ServiceLoader;

/**
 * A file format that traces are kept in. Implementations are found through {@link ServiceLoader},
 * so that a stage reads every format on its class path without importing one.
 */
public interface TraceFormat extends FileFormat {
  /**
   * Opens tokens {@code range.from()} to {@code range.to()} of the trace, without reading those
   * before them where the format allows it. A range that ends behind the trace is cut; one that
   * lies behind it reads as no token.
   *
   * @throws TraceFormatException if it is not of this format, or a fact is missing that the source
   *     must give
   */
  TraceReader open(TraceSource source, TokenRange range);

  /**
   * Whether a range of tokens is read without reading those before it, so that many tasks can share
   * a trace. A compressed file is not: it goes to one task.
   */
  default boolean isSplittable(TraceSource source) {
    return true;
  }

  /** Opens the whole trace; see {@link #open(TraceSource, TokenRange)}. */
  default TraceReader open(TraceSource source) {
    return open(source, TokenRange.ALL);
  }

  /**
   * Opens a trace with the format that the source names, or with the one that recognizes it.
   *
   * @throws TraceFormatException if no format, or more than one, fits, or the file is broken
   */
  static TraceReader openTrace(TraceSource source) {
    return find(source).open(source);
  }

  /**
   * Opens a part of a trace; see {@link #openTrace(TraceSource)}. Tokens before and behind the
   * selected range are not read.
   *
   * @throws TraceFormatException if no format, or more than one, fits, or the file is broken
   */
  static TraceReader openTrace(TraceSource source, TokenSelection selection) {
    return new TokenSelection(TokenRange.ALL, selection.sequences())
        .of(find(source).open(source, selection.tokens()));
  }

  /**
   * The format that the source names, or the only one that recognizes it. The source's options have
   * been checked against those that it takes.
   *
   * @throws TraceFormatException if no format, or more than one, fits, or an option does not
   */
  static TraceFormat find(TraceSource source) {
    return new FormatSearch<>(TraceFormat.class, source).require("routes");
  }

  /** Whether {@link #find} would find a format. */
  static boolean fits(TraceSource source) {
    return new FormatSearch<>(TraceFormat.class, source).only().isPresent();
  }
}
