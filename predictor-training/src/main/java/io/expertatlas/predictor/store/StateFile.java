package io.expertatlas.predictor.store;

import io.expertatlas.predictor.PredictorFormatException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/** Reads parts of a file of plain numbers, little-endian. Each read opens it anew. */
final class StateFile {
  private static final int BUFFER = 1 << 20;

  private StateFile() {}

  private interface Sink {
    /** Takes bytes that begin {@code from} bytes behind the first that was asked for. */
    void accept(ByteBuffer bytes, int from);
  }

  /** Reads rows of so many values each, to an index on. */
  static void readFloats(Path file, int width, int row, int count, float[] into, int at) {
    read(
        file,
        4L * row * width,
        4L * count * width,
        (bytes, from) -> bytes.asFloatBuffer().get(into, at + from / 4, bytes.remaining() / 4));
  }

  /** The same of 16 bits each. */
  static void readShorts(Path file, int width, int row, int count, short[] into, int at) {
    read(
        file,
        2L * row * width,
        2L * count * width,
        (bytes, from) -> bytes.asShortBuffer().get(into, at + from / 2, bytes.remaining() / 2));
  }

  /** The same of 32 bits each, a value a row. */
  static void readInts(Path file, int[] into) {
    read(
        file,
        0,
        4L * into.length,
        (bytes, from) -> bytes.asIntBuffer().get(into, from / 4, bytes.remaining() / 4));
  }

  private static void read(Path file, long offset, long length, Sink sink) {
    ByteBuffer buffer =
        ByteBuffer.allocate((int) Math.min(BUFFER, Math.max(8, length)))
            .order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(file)) {
      long done = 0;
      while (done < length) {
        buffer.clear().limit((int) Math.min(buffer.capacity(), length - done));
        while (buffer.hasRemaining()) {
          if (channel.read(buffer, offset + done + buffer.position()) < 0) {
            throw new PredictorFormatException(
                "Truncated store file %s: it ends before byte %d"
                    .formatted(file, offset + done + buffer.limit()));
          }
        }

        buffer.flip();
        sink.accept(buffer, Math.toIntExact(done));
        done += buffer.limit();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read store file %s: %s".formatted(file, e.getMessage()), e);
    }
  }
}
