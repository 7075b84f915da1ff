package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.HalfFloat;
import io.expertatlas.trace.input.InputBytes;
import io.expertatlas.trace.input.InputFiles;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * An {@code .npy} file (format versions 1 to 3) read by positioned reads: any rows of it, of a file
 * of any size, in C or Fortran order, through one buffer. A row is what shares the first index; its
 * elements are given in C order, {@code row * columns + column}. Not safe for several threads.
 *
 * <p>A compressed file is decompressed as far as it is read: that it has no bytes too many is seen
 * when its last row is read.
 *
 * <p>Format: numpy's {@code numpy.lib.format} documentation.
 */
final class NpyFile implements Closeable {
  /** The bytes that an {@code .npy} file starts with. */
  static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};

  /** Longest header that is read; numpy's own limit for trusted files is far below. */
  private static final int MAX_HEADER_BYTES = 1 << 20;

  private static final int MAX_COLUMNS = 1 << 20;
  private static final int BUFFER_BYTES = 1 << 20;

  private final Path path;
  private final InputBytes bytes;
  private final NpyHeader header;
  private final NpyType type;
  private final long rows;
  private final int columns;
  private final ByteBuffer buffer;

  private NpyFile(Path path, InputBytes bytes, NpyHeader header, NpyType type, int columns) {
    this.path = path;
    this.bytes = bytes;
    this.header = header;
    this.type = type;
    this.rows = header.shape().get(0);
    this.columns = columns;
    long size = header.elements() * type.size();
    this.buffer =
        ByteBuffer.allocateDirect((int) Math.max(8, Math.min(BUFFER_BYTES, size)))
            .order(type.order());
  }

  /**
   * Opens a file of numbers and checks that it has exactly the bytes that its header announces.
   *
   * @param holds what the file holds, for messages, such as {@code "expert ids"}
   * @throws TraceFormatException if it is no such file
   */
  static NpyFile open(Path path, String holds) {
    if (!Files.isRegularFile(path)) {
      throw new TraceFormatException(
          "Cannot read %s from %s: %s"
              .formatted(holds, path, Files.exists(path) ? "not a file" : "no such file"));
    }

    try {
      return open(path, InputFiles.open(path), holds);
    } catch (IOException e) {
      throw new UncheckedIOException(
          "Cannot read %s from %s: %s".formatted(holds, path, e.getMessage()), e);
    }
  }

  /**
   * Takes over the bytes of a file or of an archive's member; see {@link #open(Path, String)}.
   *
   * @param path what the bytes are called, for messages
   */
  static NpyFile open(Path path, InputBytes bytes, String holds) {
    try {
      return check(path, bytes, readHeader(path, bytes), holds);
    } catch (IOException e) {
      InputFiles.closeAfterFailure(bytes, e);
      throw new UncheckedIOException(
          "Cannot read %s from %s: %s".formatted(holds, path, e.getMessage()), e);
    } catch (RuntimeException e) {
      InputFiles.closeAfterFailure(bytes, e);
      throw e;
    }
  }

  /** Whether a file starts as an {@code .npy} file does. */
  static boolean hasMagic(Path path) {
    return Arrays.equals(InputFiles.head(path, MAGIC.length), MAGIC);
  }

  static NpyHeader readHeader(Path path, InputBytes bytes) throws IOException {
    ByteBuffer start = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN);
    int found = bytes.read(0, start);
    for (int i = 0; i < MAGIC.length; i++) {
      if (found <= i || start.get(i) != MAGIC[i]) {
        throw new TraceFormatException(
            "Invalid .npy file: %s does not start with \\x93NUMPY, but with %s"
                .formatted(
                    path,
                    found == 0
                        ? "nothing"
                        : HexFormat.of().formatHex(start.array(), 0, Math.min(found, 6))));
      }
    }

    int major = found > 6 ? start.get(6) & 0xff : 0;
    int minor = found > 7 ? start.get(7) & 0xff : 0;
    if (found > 7 && (major < 1 || major > 3 || minor != 0)) {
      throw new TraceFormatException(
          "Invalid .npy version in %s: %d.%d, known are 1.0, 2.0 and 3.0"
              .formatted(path, major, minor));
    }

    int offset = major == 1 ? 10 : 12;
    if (found < offset) {
      throw new TraceFormatException(
          "Truncated .npy file: %s has %d bytes, its header needs more".formatted(path, found));
    }

    long length = major == 1 ? start.getShort(8) & 0xffff : start.getInt(8) & 0xffffffffL;
    if (length > MAX_HEADER_BYTES) {
      throw new TraceFormatException(
          "Invalid .npy header in %s: %d bytes long, at most %d"
              .formatted(path, length, MAX_HEADER_BYTES));
    }

    long present = bytes.sizeUpTo(offset + length);
    if (present < offset + length) {
      throw new TraceFormatException(
          "Truncated .npy file: %s has %d bytes, its header needs %d"
              .formatted(path, present, offset + length));
    }

    ByteBuffer text = ByteBuffer.allocate((int) length);
    bytes.read(offset, text);
    return NpyHeader.parse(
        new String(text.array(), major == 3 ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1),
        offset + length,
        path);
  }

  private static NpyFile check(Path path, InputBytes bytes, NpyHeader header, String holds)
      throws IOException {
    NpyType type =
        NpyType.parse(header.descr())
            .orElseThrow(
                () ->
                    new TraceFormatException(
                        "Cannot read %s from %s: its dtype is '%s' (%s), expected plain numbers"
                            .formatted(
                                holds, path, header.descr(), NpyType.describe(header.descr()))));
    if (header.shape().isEmpty()) {
      throw new TraceFormatException(
          "Cannot read %s from %s: its shape is (), a single number".formatted(holds, path));
    }

    long columns;
    long expected;
    try {
      columns = 1;
      for (long length : header.shape().subList(1, header.shape().size())) {
        columns = Math.multiplyExact(columns, length);
      }

      expected =
          Math.addExact(
              header.dataOffset(), Math.multiplyExact(header.elements(), (long) type.size()));
    } catch (ArithmeticException e) {
      throw new TraceFormatException(
          "Invalid .npy header in %s: shape %s is larger than any file"
              .formatted(path, header.shapeText()),
          e);
    }

    if (bytes.isRandomAccess() || header.elements() == 0) {
      checkSize(path, bytes, header, expected);
    }

    if (columns > MAX_COLUMNS) {
      throw new TraceFormatException(
          "Invalid shape %s in %s: %d values for each token, at most %d"
              .formatted(header.shapeText(), path, columns, MAX_COLUMNS));
    }

    return new NpyFile(path, bytes, header, type, (int) columns);
  }

  private static void checkSize(Path path, InputBytes bytes, NpyHeader header, long expected)
      throws IOException {
    long limit = bytes.isRandomAccess() ? Long.MAX_VALUE : expected + 1;
    long found = bytes.sizeUpTo(limit);
    if (found == expected) {
      return;
    }

    String announced =
        "its header announces %d (shape %s, dtype '%s')"
            .formatted(expected, header.shapeText(), header.descr());
    if (found < expected) {
      throw new TraceFormatException(
          "Truncated .npy file: %s has %d bytes, %s".formatted(path, found, announced));
    }

    throw new TraceFormatException(
        bytes.isRandomAccess()
            ? "Invalid .npy file, %d trailing bytes: %s has %d bytes, %s"
                .formatted(found - expected, path, found, announced)
            : "Invalid .npy file, trailing bytes: %s holds more bytes than %d, %s"
                .formatted(path, expected, announced));
  }

  Path path() {
    return path;
  }

  /** Whether reading in the middle costs no more than at the start. */
  boolean isRandomAccess() {
    return bytes.isRandomAccess();
  }

  NpyHeader header() {
    return header;
  }

  NpyType type() {
    return type;
  }

  /** Length of the first axis. */
  long rows() {
    return rows;
  }

  /** Elements of a row: product of the other axes. */
  int columns() {
    return columns;
  }

  /** A value of this file's integer type, as text; the long holds its low 64 bits. */
  String text(long value) {
    return type.kind() == NpyType.Kind.UNSIGNED ? Long.toUnsignedString(value) : "" + value;
  }

  /**
   * Reads {@code count} rows of integers. Unsigned 64-bit values keep their bits.
   *
   * @param into {@code [row][column]}, at least {@code count * columns} long
   */
  void readIntegers(long firstRow, int count, long[] into) {
    boolean signed = type.kind() == NpyType.Kind.SIGNED;
    int size = type.size();
    read(
        firstRow,
        count,
        (bytes, elements, at, step) -> {
          int to = at;
          switch (size) {
            case 1 -> {
              for (int i = 0; i < elements; i++, to += step) {
                into[to] = signed ? bytes.get(i) : bytes.get(i) & 0xff;
              }
            }
            case 2 -> {
              for (int i = 0; i < elements; i++, to += step) {
                into[to] = signed ? bytes.getShort(2 * i) : bytes.getShort(2 * i) & 0xffff;
              }
            }
            case 4 -> {
              for (int i = 0; i < elements; i++, to += step) {
                into[to] = signed ? bytes.getInt(4 * i) : bytes.getInt(4 * i) & 0xffffffffL;
              }
            }
            default -> {
              for (int i = 0; i < elements; i++, to += step) {
                into[to] = bytes.getLong(8 * i);
              }
            }
          }
        });
  }

  /** Whether every element is an unsigned byte. */
  boolean isUnsignedBytes() {
    return type.kind() == NpyType.Kind.UNSIGNED && type.size() == 1;
  }

  /** Reads {@code count} rows of unsigned bytes; see {@link #readIntegers}. */
  void readUnsignedBytes(long firstRow, int count, short[] into) {
    byte[] some = new byte[Math.min(buffer.capacity(), count * columns)];
    read(
        firstRow,
        count,
        (bytes, elements, at, step) -> {
          bytes.get(0, some, 0, elements);
          if (step == 1) { // apart: a loop that the JIT vectorizes
            for (int i = 0; i < elements; i++) {
              into[at + i] = (short) (some[i] & 0xff);
            }
          } else {
            for (int i = 0; i < elements; i++) {
              into[at + i * step] = (short) (some[i] & 0xff);
            }
          }
        });
  }

  /** Reads {@code count} rows of floating-point numbers; see {@link #readIntegers}. */
  void readFloats(long firstRow, int count, float[] into) {
    int size = type.size();
    read(
        firstRow,
        count,
        (bytes, elements, at, step) -> {
          int to = at;
          for (int i = 0; i < elements; i++, to += step) {
            into[to] =
                switch (size) {
                  case 2 -> HalfFloat.toFloat(bytes.getShort(2 * i));
                  case 4 -> bytes.getFloat(4 * i);
                  default -> (float) bytes.getDouble(8 * i);
                };
          }
        });
  }

  /** Takes over elements that lie side by side in the file. */
  private interface Sink {
    /** Elements 0 to {@code elements - 1} of the bytes go to {@code at, at + step, ...}. */
    void accept(ByteBuffer bytes, int elements, int at, int step);
  }

  private void read(long firstRow, int count, Sink sink) {
    java.util.Objects.checkFromIndexSize(firstRow, count, rows);
    if (!header.fortranOrder() || columns <= 1) {
      run(firstRow * columns, count * columns, 0, 1, sink);
      return;
    }

    for (int column = 0; column < columns; column++) {
      run(fortranColumn(column) * rows + firstRow, count, column, columns, sink);
    }
  }

  /** The place of a C-order column among the columns of a file in Fortran order. */
  private long fortranColumn(int column) {
    long place = 0;
    int rest = column;
    int below = columns;
    long stride = 1;
    for (long length : header.shape().subList(1, header.shape().size())) {
      below /= (int) length;
      place += rest / below * stride;
      rest %= below;
      stride *= length;
    }

    return place;
  }

  /** Reads elements that lie side by side, a buffer at a time. */
  private void run(long firstElement, int count, int at, int step, Sink sink) {
    int size = type.size();
    int done = 0;
    while (done < count) {
      int some = Math.min(count - done, buffer.capacity() / size);
      buffer.clear().limit(some * size);
      long offset = header.dataOffset() + (firstElement + done) * size;
      try {
        int found = bytes.read(offset, buffer);
        if (found < some * size) {
          throw new TraceFormatException(
              "Truncated .npy file: %s ends at byte %d while it is read"
                  .formatted(path, offset + found));
        }

        if (!bytes.isRandomAccess() && firstElement + done + some == header.elements()) {
          checkSize(path, bytes, header, offset + found);
        }
      } catch (IOException e) {
        throw new UncheckedIOException(
            "Cannot read %s at byte %d: %s".formatted(path, offset, e.getMessage()), e);
      }

      sink.accept(buffer, some, at + done * step, step);
      done += some;
    }
  }

  @Override
  public void close() {
    try {
      bytes.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
