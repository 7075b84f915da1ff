package io.expertatlas.trace.format;

import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.Traces;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Writes small {@code .npy} files for tests, of any version, type and order. */
public final class NpyWriter {
  private NpyWriter() {}

  /** Writes the choices of a trace as {@code [tokens, layers, k]}, unsigned 16-bit. */
  public static void write(Path file, RoutingTrace trace) throws IOException {
    long[] values = Arrays.stream(Traces.choices(trace)).asLongStream().toArray();
    Files.write(
        file,
        bytes(
            1,
            "<u2",
            false,
            values,
            trace.tokens(),
            trace.shape().layers(),
            trace.shape().topK()));
  }

  /**
   * The bytes of a file.
   *
   * @param version 1 to 3
   * @param descr type of an element, such as {@code >i4}; f2 is not written
   * @param fortran whether the first index varies fastest in the file
   * @param values in C order
   * @param shape length of each axis
   */
  public static byte[] bytes(
      int version, String descr, boolean fortran, long[] values, long... shape) {
    String axes = Arrays.toString(shape).replace("[", "(").replace("]", shape.length == 1 ? ",)" : ")");
    return bytes(
        version,
        "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }"
            .formatted(descr, fortran ? "True" : "False", axes),
        data(descr, fortran, values, shape));
  }

  /** The bytes of a file with any header text. */
  public static byte[] bytes(int version, String header, byte[] data) {
    int prefix = version == 1 ? 10 : 12;
    int length = (prefix + header.length() + 1 + 63) / 64 * 64 - prefix;
    String padded = header + " ".repeat(length - header.length() - 1) + "\n";
    ByteBuffer out =
        ByteBuffer.allocate(prefix + length + data.length).order(ByteOrder.LITTLE_ENDIAN);
    out.put(NpyFile.MAGIC).put((byte) version).put((byte) 0);
    if (version == 1) {
      out.putShort((short) length);
    } else {
      out.putInt(length);
    }

    return out.put(padded.getBytes(StandardCharsets.ISO_8859_1)).put(data).array();
  }

  private static byte[] data(String descr, boolean fortran, long[] values, long[] shape) {
    int size = descr.charAt(2) - '0';
    ByteBuffer out =
        ByteBuffer.allocate(values.length * size)
            .order(descr.charAt(0) == '>' ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < values.length; i++) {
      long value = values[fortran ? cOrder(i, shape) : i];
      switch (size) {
        case 1 -> out.put((byte) value);
        case 2 -> out.putShort((short) value);
        case 4 -> out.putInt((int) value);
        default -> out.putLong(value);
      }
    }

    return out.array();
  }

  /** The C-order place of the element that stands at a place in Fortran order. */
  private static int cOrder(int place, long[] shape) {
    long rest = place;
    long[] index = new long[shape.length];
    for (int axis = 0; axis < shape.length; axis++) {
      index[axis] = rest % shape[axis];
      rest /= shape[axis];
    }

    long at = 0;
    for (int axis = 0; axis < shape.length; axis++) {
      at = at * shape[axis] + index[axis];
    }

    return (int) at;
  }
}
