package io.expertatlas.affinity;

import java.util.Arrays;

/**
 * Non-negative integers as bytes, seven bits a byte, lowest first, the high bit set on all but the
 * last. Arrays are runs of zeros, as their length, each followed by one value.
 */
final class CompactBytes {
  private static final int MAX_INTEGER_BYTES = 9;
  private static final int MAX_BYTES = Integer.MAX_VALUE - 8; // of an array

  private CompactBytes() {}

  static final class Writer {
    private byte[] bytes = new byte[1 << 10];
    private int size;

    void integer(long value) {
      reserve(MAX_INTEGER_BYTES);
      long rest = value;
      while (rest >= 0x80) {
        bytes[size++] = (byte) (rest & 0x7f | 0x80);
        rest >>>= 7;
      }

      bytes[size++] = (byte) rest;
    }

    private void reserve(int more) {
      long needed = (long) size + more;
      if (needed <= bytes.length) {
        return;
      }

      if (needed > MAX_BYTES) {
        throw new IllegalStateException(
            "Cannot send a route counter of more than %d bytes".formatted(MAX_BYTES));
      }

      bytes = Arrays.copyOf(bytes, (int) Math.min(MAX_BYTES, Math.max(2L * bytes.length, needed)));
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
      reserve(content.length);
      System.arraycopy(content, 0, bytes, size, content.length);
      size += content.length;
    }

    byte[] toBytes() {
      return Arrays.copyOf(bytes, size);
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
