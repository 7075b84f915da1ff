package io.expertatlas.trace.input;

import io.expertatlas.trace.TraceFormatException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/**
 * What a decompressor gives. Data that does not decompress, or to more than {@link #MAX_RATIO}
 * times its size, is refused.
 */
final class DecompressedStream extends FilterInputStream {
  /** Deflate reaches 1032; a trace that zstd packs tighter than this holds nothing. */
  static final long MAX_RATIO = 2000;

  /** What may be decompressed from any file, however small. */
  static final long FREE_BYTES = 1 << 24;

  private final String name;
  private final long compressed;
  private long found;

  DecompressedStream(InputStream in, String name, long compressed) {
    super(in);
    this.name = name;
    this.compressed = compressed;
  }

  static TraceFormatException broken(String name, IOException cause) {
    return new TraceFormatException(
        "Invalid compressed data in %s: %s".formatted(name, cause.getMessage()), cause);
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] into, int offset, int length) throws IOException {
    int count;
    try {
      count = in.read(into, offset, length);
    } catch (IOException e) {
      throw broken(name, e);
    }

    found += Math.max(0, count);
    if (found > FREE_BYTES && found / MAX_RATIO > compressed) {
      throw new TraceFormatException(
          "Invalid compressed data in %s: its %d bytes hold more than %d times as much. Maybe decompress it first, if that is right"
              .formatted(name, compressed, MAX_RATIO));
    }

    return count;
  }

  @Override
  public long skip(long count) throws IOException {
    byte[] passed = new byte[(int) Math.min(Math.max(0, count), 1 << 13)];
    return Math.max(0, read(passed, 0, passed.length));
  }

  @Override
  public boolean markSupported() {
    return false;
  }
}
