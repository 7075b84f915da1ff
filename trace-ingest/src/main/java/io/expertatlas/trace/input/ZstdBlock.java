package io.expertatlas.trace.input;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdException;
import java.io.IOException;

/** Blocks in memory, compressed with zstd, whose size is known. */
public final class ZstdBlock {
  private ZstdBlock() {}

  /**
   * Decompresses a block at once, without the window and the copies of a stream.
   *
   * @param from holds the block in {@code length} bytes from {@code at} on
   * @param size bytes that are in it
   * @throws IOException if it is broken, or holds more or fewer bytes
   */
  public static byte[] decompress(byte[] from, int at, int length, int size) throws IOException {
    byte[] into = new byte[size];
    long found;
    try {
      found = Zstd.decompressByteArray(into, 0, size, from, at, length);
    } catch (ZstdException e) {
      throw new IOException(
          "zstd block of %d bytes, %d announced in it: %s".formatted(length, size, e.getMessage()),
          e);
    }

    if (found != size) {
      throw new IOException("zstd block holds %d bytes, %d announced".formatted(found, size));
    }

    return into;
  }
}
