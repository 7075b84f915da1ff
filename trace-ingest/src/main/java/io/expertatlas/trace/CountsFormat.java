package io.expertatlas.trace;

import java.util.ServiceLoader;

/**
 * A file format that counts over time are kept in, without routes. Implementations are found
 * through {@link ServiceLoader}.
 */
public interface CountsFormat extends FileFormat {
  /**
   * Opens the counts.
   *
   * @throws TraceFormatException if it is not of this format, or a fact is missing that the source
   *     must give
   */
  CountsReader open(TraceSource source);

  /**
   * Opens counts with the format that the source names, or with the one that recognizes it.
   *
   * @throws TraceFormatException if no format, or more than one, fits, or the file is broken
   */
  static CountsReader openCounts(TraceSource source) {
    return find(source).open(source);
  }

  /**
   * The format that the source names, or the only one that recognizes it. The source's options have
   * been checked against those that it takes.
   *
   * @throws TraceFormatException if no format, or more than one, fits, or an option does not
   */
  static CountsFormat find(TraceSource source) {
    return new FormatSearch<>(CountsFormat.class, source).require("counts");
  }

  /** Whether {@link #find} would find a format. */
  static boolean fits(TraceSource source) {
    return new FormatSearch<>(CountsFormat.class, source).only().isPresent();
  }
}
