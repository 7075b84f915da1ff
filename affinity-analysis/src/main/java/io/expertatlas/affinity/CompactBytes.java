package io.expertatlas.affinity;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;

/**
 * Non-negative integers as bytes, seven bits a byte, lowest first, the high bit set on all but the
 * last. Arrays are runs of zeros, as their length, each followed by one value.
 */
final class CompactBytes {
  private CompactBytes() {}

  static final class Writer {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    void integer(long value) {
      long rest = value;
      while (rest >= 0x80) {
        out.write((int) rest & 0x7f | 0x80);
        rest >>>= 7;
      }

      out.write((int) rest);
    }

    void array(long[] values) {
      int zeros = 0;
      for (long value : values) {
        if (value == 0) {
          zeros++;
        } else {
          integer(zeros);
          integer(value);
          zeros = 0;
        }
      }

      integer(zeros); // together with the length, the reader knows that no value follows
    }

    void bytes(byte[] content) {
      integer(content.length);
      out.writeBytes(content);
    }

    byte[] toBytes() {
      return out.toByteArray();
    }
  }

  static final class Reader {
    private final byte[] bytes;
    private int at;

    Reader(byte[] bytes) {
      this.bytes = bytes;
    }

    long integer() {
      long value = 0;
      for (int shift = 0; shift < 63; shift += 7) {
        if (at == bytes.length) {
          throw new IllegalArgumentException("Invalid route counter: it ends at byte " + at);
        }

        byte next = bytes[at++];
        value |= (next & 0x7fL) << shift;
        if (next >= 0) {
          return value;
        }
      }

      throw new IllegalArgumentException("Invalid route counter: no number at byte " + at);
    }

    byte[] bytes() {
      long length = integer();
      if (length > bytes.length - at) {
        throw new IllegalArgumentException(
            "Invalid route counter: %d bytes wanted at byte %d".formatted(length, at));
      }

      at += (int) length;
      return Arrays.copyOfRange(bytes, at - (int) length, at);
    }

    long[] array(int length) {
      long[] values = new long[length];
      long next = integer();
      while (next < length) {
        values[(int) next] = integer();
        next += 1 + integer();
      }

      if (next != length) {
        throw new IllegalArgumentException(
            "Invalid route counter: an array of %d values ends at %d".formatted(length, next));
      }

      return values;
    }
  }
}
