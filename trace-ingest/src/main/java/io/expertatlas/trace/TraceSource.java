package io.expertatlas.trace;

import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Where a trace is and what its files do not say themselves.
 *
 * @param path a routing-trace dataset, a capture folder or a raw file
 * @param format name of the {@link TraceFormat}; empty: found by looking at the path
 * @param experts experts in each layer, for files that do not say it
 * @param sequences file with the sequence id of each token, for files without; empty: one sequence
 * @param positions file with the position of each token; empty: counted from 0 in each sequence
 * @param options what else its format wants to be told
 */
public record TraceSource(
    Path path,
    String format,
    OptionalInt experts,
    Optional<Path> sequences,
    Optional<Path> positions,
    FormatOptions options) {
  /** Checks that nothing is null. */
  public TraceSource {
    Objects.requireNonNull(path, "path is null");
    Objects.requireNonNull(format, "format is null");
    Objects.requireNonNull(experts, "experts is null");
    Objects.requireNonNull(sequences, "sequences is null");
    Objects.requireNonNull(positions, "positions is null");
    Objects.requireNonNull(options, "options is null");
  }

  /** A source without format options. */
  public TraceSource(
      Path path,
      String format,
      OptionalInt experts,
      Optional<Path> sequences,
      Optional<Path> positions) {
    this(path, format, experts, sequences, positions, FormatOptions.NONE);
  }

  /** A source whose files say everything. */
  public static TraceSource of(Path path) {
    return new TraceSource(path, "", OptionalInt.empty(), Optional.empty(), Optional.empty());
  }

  /** The same source with the number of experts in each layer. */
  public TraceSource withExperts(int number) {
    return new TraceSource(path, format, OptionalInt.of(number), sequences, positions, options);
  }

  /** The same source, read as the named format. */
  public TraceSource withFormat(String name) {
    return new TraceSource(path, name, experts, sequences, positions, options);
  }

  /** The same source with format options. */
  public TraceSource withOptions(FormatOptions given) {
    return new TraceSource(path, format, experts, sequences, positions, given);
  }

  /** The same source with absolute paths. */
  public TraceSource absolute() {
    return new TraceSource(
        path.toAbsolutePath(),
        format,
        experts,
        sequences.map(Path::toAbsolutePath),
        positions.map(Path::toAbsolutePath),
        options);
  }
}
