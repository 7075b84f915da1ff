package io.expertatlas.trace.torch;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputBytes;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** The bytes of a pickle, one after the other. No length is believed before the bytes are there. */
final class PickleInput {
  private static final int MAX_NAME = 200;

  private final InputBytes bytes;
  private final long size;
  private final String label;
  private final ByteBuffer buffer =
      ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN).limit(0);
  private long bufferStart;

  PickleInput(InputBytes bytes, String label) throws IOException {
    this.bytes = bytes;
    this.size = bytes.sizeUpTo(Long.MAX_VALUE);
    this.label = label;
  }

  long position() {
    return bufferStart + buffer.position();
  }

  private void need(int count) throws IOException {
    if (buffer.remaining() < count) {
      bufferStart = position();
      buffer.clear();
      bytes.read(bufferStart, buffer);
      buffer.flip();
      if (buffer.remaining() < count) {
        throw new TraceFormatException(
            "Truncated pickle: %s ends at byte %d".formatted(label, size));
      }
    }
  }

  int u1() throws IOException {
    need(1);
    return buffer.get() & 0xff;
  }

  int u2() throws IOException {
    need(2);
    return buffer.getShort() & 0xffff;
  }

  int i4() throws IOException {
    need(4);
    return buffer.getInt();
  }

  long u4() throws IOException {
    return i4() & 0xffffffffL;
  }

  long i8() throws IOException {
    need(8);
    return buffer.getLong();
  }

  double bigEndianDouble() throws IOException {
    return Double.longBitsToDouble(Long.reverseBytes(i8()));
  }

  /** A little-endian two's complement number of up to 8 bytes. */
  long integer(int length) throws IOException {
    long value = 0;
    for (int i = 0; i < length; i++) {
      value |= (long) u1() << 8 * i;
    }

    int unused = 64 - 8 * length;
    return length == 0 ? 0 : value << unused >> unused;
  }

  /** Passes over bytes. */
  void skip(long count) {
    checkLength(count, Long.MAX_VALUE);
    if (count <= buffer.remaining()) {
      buffer.position(buffer.position() + (int) count);
    } else {
      bufferStart = position() + count;
      buffer.clear().limit(0);
    }
  }

  String text(long length, int max) throws IOException {
    checkLength(length, max);
    byte[] text = new byte[(int) length];
    if (length <= buffer.capacity()) {
      need((int) length);
      buffer.get(text);
    } else {
      bytes.read(position(), ByteBuffer.wrap(text));
      skip(length);
    }

    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text)).toString();
    } catch (CharacterCodingException e) {
      throw new TraceFormatException(
          "Invalid pickle: %s has a text that is not UTF-8 before byte %d"
              .formatted(label, position()),
          e);
    }
  }

  private void checkLength(long length, long max) {
    if (length < 0 || length > size - position()) {
      throw new TraceFormatException(
          "Truncated pickle: %s announces %s bytes at byte %d, but has %d left"
              .formatted(label, Long.toUnsignedString(length), position(), size - position()));
    }

    if (length > max) {
      throw new TraceFormatException(
          "Invalid pickle: %s has a text of %d bytes at byte %d, at most %d"
              .formatted(label, length, position(), max));
    }
  }

  /** A name that ends with its line. */
  String line() throws IOException {
    StringBuilder line = new StringBuilder();
    for (int next = u1(); next != '\n'; next = u1()) {
      line.append((char) next);
      if (line.length() > MAX_NAME) {
        throw new TraceFormatException(
            "Invalid pickle: %s has a name of more than %d characters at byte %d"
                .formatted(label, MAX_NAME, position()));
      }
    }

    return line.toString();
  }
}
