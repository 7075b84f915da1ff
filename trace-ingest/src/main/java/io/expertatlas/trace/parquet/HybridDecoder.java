package io.expertatlas.trace.parquet;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.parquet.column.values.bitpacking.BytePacker;
import org.apache.parquet.column.values.bitpacking.Packer;

/**
 * Decodes Parquet's hybrid of run lengths and bit-packed groups, many values at a time.
 *
 * @see <a href="https://parquet.apache.org/docs/file-format/data-pages/encodings/">Encodings</a>
 */
final class HybridDecoder {
  private static final int GROUP = 8;
  private static final int BLOCK = 32;

  private final byte[] bytes;
  private final ByteBuffer buffer; // of the bytes
  private final int end;
  private final int bits;
  private final BytePacker packer;
  private final int[] group = new int[GROUP];
  private final byte[] tail = new byte[BLOCK]; // a last group may be cut off

  private int at;
  private boolean packed;
  private int left; // values left in the run
  private int repeated; // value of a run length
  private int groupLeft; // values left in the group

  /** Reads {@code bytes[from..to)}, values of so many bits. */
  HybridDecoder(byte[] bytes, int from, int to, int bits) {
    if (bits < 0 || bits > 32 || from > to || to > bytes.length) {
      throw new IllegalArgumentException("%d bits at %d to %d".formatted(bits, from, to));
    }

    this.bytes = bytes;
    this.buffer = ByteBuffer.wrap(bytes);
    this.at = from;
    this.end = to;
    this.bits = bits;
    this.packer = Packer.LITTLE_ENDIAN.newBytePacker(bits);
  }

  /** The next values, into {@code into[from..from + count)}. */
  void read(int[] into, int from, int count) {
    int done = from;
    int stop = from + count;
    while (done < stop) {
      if (left == 0) {
        startRun();
      }

      int some = Math.min(left, stop - done);
      if (packed) {
        unpack(into, done, some);
      } else {
        Arrays.fill(into, done, done + some, repeated);
      }

      left -= some;
      done += some;
    }
  }

  private void startRun() {
    long header = 0;
    for (int shift = 0; ; shift += 7) {
      if (at >= end || shift > 28) {
        throw new IllegalArgumentException("a page ends before its values");
      }

      byte next = bytes[at++];
      header |= (next & 0x7fL) << shift;
      if (next >= 0) {
        break;
      }
    }

    packed = (header & 1) == 1;
    long length = (header >>> 1) * (packed ? GROUP : 1);
    if (length == 0 || length > Integer.MAX_VALUE) {
      throw new IllegalArgumentException("a run of %d values".formatted(length));
    }

    left = (int) length;
    groupLeft = 0;
    if (!packed) {
      int width = (bits + 7) / 8;
      if (at + width > end) {
        throw new IllegalArgumentException("a page ends before its values");
      }

      repeated = 0;
      for (int i = 0; i < width; i++) {
        repeated |= (bytes[at++] & 0xff) << (8 * i);
      }
    }
  }

  private void unpack(int[] into, int from, int count) {
    int done = from;
    int stop = from + count;
    while (done < stop) {
      if (groupLeft > 0) {
        int some = Math.min(groupLeft, stop - done);
        System.arraycopy(group, GROUP - groupLeft, into, done, some);
        groupLeft -= some;
        done += some;
      } else if (stop - done >= BLOCK && at + 4 * bits <= end) {
        packer.unpack32Values(buffer, at, into, done);
        at += 4 * bits;
        done += BLOCK;
      } else if (stop - done >= GROUP && at + bits <= end) {
        packer.unpack8Values(buffer, at, into, done);
        at += bits;
        done += GROUP;
      } else {
        startGroup();
      }
    }
  }

  private void startGroup() {
    if (at >= end && bits > 0) {
      throw new IllegalArgumentException("a page ends before its values");
    }

    if (at + bits <= end) {
      packer.unpack8Values(buffer, at, group, 0);
    } else {
      Arrays.fill(tail, (byte) 0);
      System.arraycopy(bytes, at, tail, 0, end - at);
      packer.unpack8Values(ByteBuffer.wrap(tail), 0, group, 0);
    }

    at += bits;
    groupLeft = GROUP;
  }
}
