package io.expertatlas.trace;

import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.ServiceLoader;

/**
 * A file format that router states are kept in. Implementations are found through {@link
 * ServiceLoader}.
 */
public interface RouterStatesFormat extends FileFormat {
  /**
   * Opens tokens {@code range.from()} to {@code range.to()}; the range is cut as by {@link
   * TraceFormat#open(TraceSource, TokenRange)}.
   *
   * @throws TraceFormatException if it is not of this format, holds no states, or a fact is missing
   *     that the source must give
   */
  RouterStatesReader open(TraceSource source, TokenRange range);

  /**
   * Opens all tokens with the format that the source names, or with the one that recognizes it.
   *
   * @throws TraceFormatException if no format, or more than one, fits, or the file is broken
   */
  static RouterStatesReader openStates(TraceSource source) {
    return find(source).open(source, TokenRange.ALL);
  }

  /**
   * The format that the source names, or the only one that recognizes it. The source's options have
   * been checked against those that it takes.
   *
   * @throws TraceFormatException if no format, or more than one, fits, or an option does not
   */
  static RouterStatesFormat find(TraceSource source) {
    return new FormatSearch<>(RouterStatesFormat.class, source).require("router states");
  }

  /** Whether {@link #find} would find a format. */
  static boolean fits(TraceSource source) {
    return new FormatSearch<>(RouterStatesFormat.class, source).only().isPresent();
  }
}
