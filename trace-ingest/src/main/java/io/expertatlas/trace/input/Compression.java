package io.expertatlas.trace.input;

import com.github.luben.zstd.ZstdInputStream;
import io.expertatlas.trace.TraceFormatException;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPInputStream;

/** How a file is compressed as a whole, told by its first bytes. */
enum Compression {
  NONE,
  GZIP,
  ZSTD;

  private static final int BUFFER = 1 << 16;

  /** How a file is compressed; one that cannot be read is not: whoever opens it says why. */
  static Compression of(Path file) {
    if (!Files.isRegularFile(file)) {
      return NONE;
    }

    try (InputStream in = Files.newInputStream(file)) {
      byte[] first = in.readNBytes(4);
      if (startsWith(first, 0x1f, 0x8b)) {
        return GZIP;
      }

      return startsWith(first, 0x28, 0xb5, 0x2f, 0xfd) ? ZSTD : NONE;
    } catch (IOException e) {
      return NONE;
    }
  }

  private static boolean startsWith(byte[] bytes, int... start) {
    boolean starts = bytes.length >= start.length;
    for (int i = 0; starts && i < start.length; i++) {
      starts = (bytes[i] & 0xff) == start[i];
    }

    return starts;
  }

  /**
   * The file's bytes, decompressed.
   *
   * @throws TraceFormatException while it is read, if the file is broken or grows out of bounds
   */
  InputStream open(Path file) throws IOException {
    InputStream raw = new BufferedInputStream(Files.newInputStream(file), BUFFER);
    try {
      return switch (this) {
        case NONE -> raw;
        case GZIP -> bounded(new GZIPInputStream(raw, BUFFER), file);
        case ZSTD -> bounded(zstd(raw, file), file);
      };
    } catch (IOException e) {
      raw.close();
      throw DecompressedStream.broken(file.toString(), e);
    } catch (RuntimeException e) {
      raw.close();
      throw e;
    }
  }

  private static InputStream bounded(InputStream in, Path file) throws IOException {
    return new DecompressedStream(in, file.toString(), Files.size(file));
  }

  private static InputStream zstd(InputStream raw, Path file) throws IOException {
    try {
      return new ZstdInputStream(raw);
    } catch (LinkageError e) {
      throw new TraceFormatException(
          "Cannot read %s: it is compressed with zstd, and zstd-jni is not on the class path (%s). Maybe decompress it first"
              .formatted(file, e.getMessage()),
          e);
    }
  }
}
