package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.TensorData;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Stored numbers of any type as an array of floats. */
public final class HostFloats {
  private static final int PIECE = 1 << 18;

  private HostFloats() {}

  /**
   * All values of a tensor, row-major.
   *
   * @throws IllegalArgumentException if it has more than an array can hold, or holds whole numbers
   */
  public static float[] read(TensorData values) {
    if (values.elements() > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "Cannot hold tensor %s: %d numbers, at most %d"
              .formatted(values.name(), values.elements(), Integer.MAX_VALUE - 8));
    }

    float[] all = new float[(int) values.elements()];
    float[] piece = new float[Math.min(PIECE, all.length)];
    ByteBuffer bytes =
        ByteBuffer.allocate(piece.length * values.type().bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (int first = 0; first < all.length; first += piece.length) {
      int count = Math.min(piece.length, all.length - first);
      bytes.clear().limit(count * values.type().bytes());
      values.read(first, bytes);
      bytes.flip();
      Floats.widen(values.type(), bytes, piece, count);
      System.arraycopy(piece, 0, all, first, count);
    }

    return all;
  }
}
