package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import java.io.Closeable;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Sequence, position and phase of the tokens of a dump, in their order.
 *
 * <p>Without a file of sequences, all tokens are one sequence, 0. Without one of positions, they
 * are counted from 0 in each sequence; a reader that starts in the middle counts what lies before.
 * Without phases, every token is prefill.
 */
final class TokenColumns implements Closeable {
  private static final int SCAN = 1 << 16;

  private final Optional<TokenColumn> sequences;
  private final Optional<TokenColumn> positions;
  private final Optional<TokenColumn> phases;
  private final SequenceCounter counter = new SequenceCounter();
  private final Path experts;

  private TokenColumns(
      Optional<TokenColumn> sequences,
      Optional<TokenColumn> positions,
      Optional<TokenColumn> phases,
      Path experts) {
    this.sequences = sequences;
    this.positions = positions;
    this.phases = phases;
    this.experts = experts;
  }

  /** Opens the columns that there are; {@code experts} is the file that they go with. */
  static TokenColumns open(
      long tokens,
      Optional<Path> sequences,
      Optional<Path> positions,
      Optional<Path> phases,
      Path experts) {
    Opened opened = new Opened();
    try {
      return new TokenColumns(
          opened.column(sequences, "sequence ids", Integer.MAX_VALUE, tokens, experts),
          opened.column(positions, "positions", Integer.MAX_VALUE, tokens, experts),
          opened.column(phases, "phases", 1, tokens, experts),
          experts);
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  private static final class Opened {
    private final java.util.List<TokenColumn> columns = new java.util.ArrayList<>();

    Optional<TokenColumn> column(
        Optional<Path> path, String holds, long max, long tokens, Path experts) {
      Optional<TokenColumn> column =
          path.map(p -> TokenColumn.open(p, holds, max, tokens, experts));
      column.ifPresent(columns::add);
      return column;
    }

    void close() {
      columns.forEach(TokenColumn::close);
    }
  }

  /** Makes ready to read from a token on. */
  void start(long firstToken) {
    if (sequences.isEmpty() || positions.isPresent()) {
      return; // nothing to count
    }

    int[] before = new int[(int) Math.min(SCAN, firstToken)];
    for (long token = 0; token < firstToken; token += before.length) {
      int count = (int) Math.min(before.length, firstToken - token);
      sequences.get().read(token, count, before);
      for (int i = 0; i < count; i++) {
        counter.next(before[i]);
      }
    }
  }

  /** Reads the next tokens; every token from {@link #start} on is read once, in order. */
  void read(long firstToken, int count, int[] sequence, int[] position, byte[] phase) {
    sequences.ifPresent(column -> column.read(firstToken, count, sequence));
    if (positions.isPresent()) {
      positions.get().read(firstToken, count, position);
    } else if (sequences.isPresent()) {
      for (int i = 0; i < count; i++) {
        position[i] = counter.next(sequence[i]);
      }
    } else {
      if (firstToken + count - 1 > Integer.MAX_VALUE) {
        throw new TraceFormatException(
            "Cannot count positions in %s past token %d, all in one sequence. Maybe name its sequences with --sequence-file"
                .formatted(experts, Integer.MAX_VALUE));
      }

      for (int i = 0; i < count; i++) {
        position[i] = (int) firstToken + i;
      }
    }

    if (phases.isPresent()) {
      int[] codes = new int[count];
      phases.get().read(firstToken, count, codes);
      for (int i = 0; i < count; i++) {
        phase[i] = (byte) codes[i];
      }
    }
  }

  @Override
  public void close() {
    sequences.ifPresent(TokenColumn::close);
    positions.ifPresent(TokenColumn::close);
    phases.ifPresent(TokenColumn::close);
  }
}
