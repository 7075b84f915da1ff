package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import java.io.Closeable;
import java.nio.file.Path;

/** One integer for each token: an {@code .npy} file of shape {@code [tokens]}. */
final class TokenColumn implements Closeable {
  private final NpyFile file;
  private final String holds;
  private final long max;
  private long[] buffer = {};

  private TokenColumn(NpyFile file, String holds, long max) {
    this.file = file;
    this.holds = holds;
    this.max = max;
  }

  /**
   * Opens a column.
   *
   * @param holds what it holds, in plural, for messages
   * @param max largest value; the smallest is 0
   * @throws TraceFormatException if the file has another shape, type or length
   */
  static TokenColumn open(Path path, String holds, long max, long tokens, Path experts) {
    NpyFile file = NpyFile.open(path, holds);
    try {
      if (!file.type().isInteger()) {
        throw new TraceFormatException(
            "Cannot read %s from %s: its dtype is '%s' (%s), expected integers"
                .formatted(holds, path, file.header().descr(), file.type().kind()));
      }

      if (file.header().shape().size() != 1) {
        throw new TraceFormatException(
            "Invalid shape %s of %s in %s: expected (%d,)"
                .formatted(file.header().shapeText(), holds, path, tokens));
      }

      if (file.rows() != tokens) {
        throw new TraceFormatException(
            "Invalid number of %s: %d in %s, but %s has %d tokens"
                .formatted(holds, file.rows(), path, experts, tokens));
      }

      return new TokenColumn(file, holds, max);
    } catch (TraceFormatException e) {
      file.close();
      throw e;
    }
  }

  /** Reads the values of {@code count} tokens. */
  void read(long firstToken, int count, int[] into) {
    if (buffer.length < count) {
      buffer = new long[count];
    }

    file.readIntegers(firstToken, count, buffer);
    for (int i = 0; i < count; i++) {
      long value = buffer[i];
      if (value < 0 || value > max) {
        throw new TraceFormatException(
            "Invalid value %s among the %s in %s at token %d: 0 to %d"
                .formatted(file.text(value), holds, file.path(), firstToken + i, max));
      }

      into[i] = (int) value;
    }
  }

  @Override
  public void close() {
    file.close();
  }
}
