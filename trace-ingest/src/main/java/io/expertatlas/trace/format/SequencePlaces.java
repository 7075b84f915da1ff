package io.expertatlas.trace.format;

import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.io.Closeable;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Sequence and position of the tokens of a dump that does not record them: from the user's columns,
 * or sequences of one length, or one sequence.
 */
final class SequencePlaces implements Closeable {
  static final FormatOption<Integer> LENGTH =
      FormatOption.integer(
          "sequence-length", 1, "Tokens of each sequence, where the dump does not say it.");

  private final Path path;
  private final long length; // Long.MAX_VALUE: one sequence
  private final Optional<TokenColumns> columns;

  private SequencePlaces(Path path, long length, Optional<TokenColumns> columns) {
    this.path = path;
    this.length = length;
    this.columns = columns;
  }

  /**
   * Opens the user's columns, if there are any.
   *
   * @param recorded length of the sequences by the dump itself, or 0
   * @throws TraceFormatException if what the user says and what the dump says do not agree
   */
  static SequencePlaces open(TraceSource source, long tokens, long recorded) {
    Optional<Integer> given = source.options().find(LENGTH);
    boolean columns = source.sequences().isPresent() || source.positions().isPresent();
    if (recorded > 0 && (columns || given.orElse((int) recorded) != recorded)) {
      throw new TraceFormatException(
          "Cannot use --sequence-file, --position-file or another sequence-length with %s: its axes say that sequences have %d tokens"
              .formatted(source.path(), recorded));
    }

    if (recorded == 0 && given.isPresent() && (columns || tokens % given.get() != 0)) {
      throw new TraceFormatException(
          "Cannot use sequence-length %d with %s: %s"
              .formatted(
                  given.get(),
                  source.path(),
                  columns
                      ? "its sequences come from --sequence-file or --position-file"
                      : "%d tokens are no multiple of it".formatted(tokens)));
    }

    long length = recorded > 0 ? recorded : given.orElse(0);
    return new SequencePlaces(
        source.path(),
        length == 0 ? Long.MAX_VALUE : length,
        columns
            ? Optional.of(
                TokenColumns.open(
                    tokens,
                    source.sequences(),
                    source.positions(),
                    Optional.empty(),
                    source.path()))
            : Optional.empty());
  }

  /** Makes ready to read from a token on. */
  void start(long token) {
    columns.ifPresent(some -> some.start(token));
  }

  /** Says where the next tokens are; every token from {@link #start} on once, in order. */
  void read(RouteBuffer buffer, long from, int count) {
    if (columns.isPresent()) {
      columns.get().read(from, count, buffer.sequence, buffer.position, buffer.phase);
      return;
    }

    if ((from + count) / length > Integer.MAX_VALUE
        || Math.min(length, from + count) > Integer.MAX_VALUE) {
      throw new TraceFormatException(
          "Cannot count positions in %s past token %d, all in one sequence. Maybe say their sequence-length"
              .formatted(path, Integer.MAX_VALUE));
    }

    for (int token = 0; token < count; token++) {
      buffer.sequence[token] = (int) ((from + token) / length);
      buffer.position[token] = (int) ((from + token) % length);
    }
  }

  @Override
  public void close() {
    columns.ifPresent(TokenColumns::close);
  }
}
