package io.expertatlas.runtime.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A file of any size, mapped read-only in windows of 1 GiB as they are needed: a buffer holds less
 * than 2 GiB. Pages are read by the system when they are touched. Not safe for several threads.
 */
final class MappedFile {
  private static final long WINDOW = 1L << 30;

  private final Path path;
  private final long bytes;
  private final MappedByteBuffer[] windows;

  MappedFile(Path path) throws IOException {
    this.path = path;
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      this.bytes = channel.size();
    }

    this.windows = new MappedByteBuffer[Math.toIntExact((bytes + WINDOW - 1) / WINDOW)];
  }

  long bytes() {
    return bytes;
  }

  /** Fills a buffer from a place in the file on; the file must be long enough. */
  void read(long offset, ByteBuffer into) throws IOException {
    if (offset < 0 || offset + into.remaining() > bytes) {
      throw new IOException(
          "Cannot read %d bytes at %d of %s: it has %d"
              .formatted(into.remaining(), offset, path, bytes));
    }

    while (into.hasRemaining()) {
      MappedByteBuffer window = window((int) (offset / WINDOW));
      int at = (int) (offset % WINDOW);
      int count = Math.min(into.remaining(), window.capacity() - at);
      into.put(into.position(), window, at, count);
      into.position(into.position() + count);
      offset += count;
    }
  }

  private MappedByteBuffer window(int index) throws IOException {
    if (windows[index] == null) {
      long from = index * WINDOW;
      try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
        windows[index] =
            channel.map(FileChannel.MapMode.READ_ONLY, from, Math.min(WINDOW, bytes - from));
      }
    }

    return windows[index];
  }
}
