package io.expertatlas.trace;

import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;

/**
 * A file format that traces are kept in. Implementations are found through {@link ServiceLoader},
 * so that a stage reads every format on its class path without importing one.
 */
public interface TraceFormat {
  /** The name that {@code --format} takes. */
  String name();

  /** Whether the path looks like this format: by name, kind and first bytes, not by its content. */
  boolean recognizes(TraceSource source);

  /**
   * Opens tokens {@code range.from()} to {@code range.to()} of the trace, without reading those
   * before them where the format allows it. A range that ends behind the trace is cut; one that
   * lies behind it reads as no token.
   *
   * @throws TraceFormatException if it is not of this format, or a fact is missing that the source
   *     must give
   */
  TraceReader open(TraceSource source, TokenRange range);

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
   * The format that the source names, or the only one that recognizes it.
   *
   * @throws TraceFormatException if no format, or more than one, fits
   */
  static TraceFormat find(TraceSource source) {
    List<TraceFormat> found = new ArrayList<>();
    List<String> known = new ArrayList<>();
    for (TraceFormat format : ServiceLoader.load(TraceFormat.class)) {
      known.add(format.name());
      boolean wanted =
          source.format().isEmpty()
              ? format.recognizes(source)
              : format.name().equals(source.format());
      if (wanted) {
        found.add(format);
      }
    }

    if (found.size() == 1) {
      return found.get(0);
    }

    if (!source.format().isEmpty()) {
      throw new TraceFormatException(
          "Invalid trace format: %s, known are %s".formatted(source.format(), known));
    }

    if (!java.nio.file.Files.exists(source.path())) {
      throw new TraceFormatException(
          "Cannot read %s: no such file or folder".formatted(source.path()));
    }

    throw new TraceFormatException(
        "Cannot tell the format of %s: %s. Maybe name it with --format"
            .formatted(
                source.path(),
                found.isEmpty()
                    ? "none of " + known + " recognizes it"
                    : found.stream().map(TraceFormat::name).toList() + " all recognize it"));
  }
}
