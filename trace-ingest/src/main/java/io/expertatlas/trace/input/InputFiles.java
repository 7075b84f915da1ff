package io.expertatlas.trace.input;

import io.expertatlas.trace.TraceFormatException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Opens input files as they come: what is compressed with gzip or zstd, told by its first bytes,
 * reads as what is in it. Formats read through here and need not know.
 *
 * <p>Decompression is bounded: a file that holds more than 2000 times its own size (and more than
 * 16 MiB) is refused, and nothing is decompressed beyond what is asked for.
 */
public final class InputFiles {
  private InputFiles() {}

  /**
   * Opens a file for reading by place.
   *
   * @throws io.expertatlas.trace.TraceFormatException if it is compressed and broken
   */
  public static InputBytes open(Path file) throws IOException {
    Compression compression = Compression.of(file);
    return compression == Compression.NONE
        ? new PlainBytes(file)
        : new SpooledBytes(compression.open(file));
  }

  /**
   * Opens a file for reading from its first to its last byte; reading throws {@link
   * io.expertatlas.trace.TraceFormatException} if it is compressed and broken.
   */
  public static InputStream stream(Path file) throws IOException {
    return Compression.of(file).open(file);
  }

  /** Whether a file is compressed as a whole, and so has no places to start reading at. */
  public static boolean isCompressed(Path file) {
    return Compression.of(file) != Compression.NONE;
  }

  /** The name that a file has once it is decompressed: without {@code .gz} or {@code .zst}. */
  public static String plainName(Path file) {
    String name = file.getFileName() == null ? "" : file.getFileName().toString();
    String plain = name.replaceFirst("\\.(gz|zst|zstd)$", "");
    return plain.equals(name) || isCompressed(file) ? plain : name;
  }

  /** The first bytes of a file, decompressed; fewer if it has fewer, none if it cannot be read. */
  public static byte[] head(Path file, int count) {
    if (!Files.isRegularFile(file)) {
      return new byte[0];
    }

    try (InputStream in = stream(file)) {
      return in.readNBytes(count);
    } catch (IOException | TraceFormatException e) {
      return new byte[0]; // not readable: whoever opens it says why
    }
  }

  /**
   * A file, or its compressed form beside it ({@code NAME.gz}, {@code NAME.zst}) if it is not
   * there.
   */
  public static Path orCompressed(Path file) {
    for (String end : new String[] {"", ".gz", ".zst", ".zstd"}) {
      Path candidate = file.resolveSibling(file.getFileName() + end);
      if (Files.exists(candidate)) {
        return candidate;
      }
    }

    return file;
  }

  /** Closes bytes after a failure. */
  public static void closeAfterFailure(InputBytes bytes, Throwable failure) {
    try {
      bytes.close();
    } catch (IOException e) {
      failure.addSuppressed(new UncheckedIOException(e));
    }
  }
}
