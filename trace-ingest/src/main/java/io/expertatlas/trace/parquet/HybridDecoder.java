package io.expertatlas.trace.parquet;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.parquet.column.values.bitpacking.BytePacker;
import org.apache.parquet.column.values.bitpacking.Packer;

/**
 * Decodes Parquet's hybrid of run lengths and bit-packed groups, many values at a time.
 *
 * @see <a href="https://parquet.apache.org/docs/file-format/data-pages/encodings/">Encodings</a>
 */
final class HybridDecoder {
  private static final VarHandle LONGS =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INTS =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle SHORTS =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
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

  /**
   * The next values, each looked up.
   *
   * @param known the dictionary, prepared for indices of so many bits
   * @param into ids of two bytes each, the lower one first
   * @param from index of the first id, not of a byte
   */
  void readLookedUp(IdLookup known, byte[] into, int from, int count) {
    int done = from;
    int stop = from + count;
    while (done < stop) {
      if (left == 0) {
        startRun();
      }

      int some = Math.min(left, stop - done);
      if (packed) {
        lookUp(known, into, done, some);
      } else {
        short id = known.id(repeated);
        for (int i = done; i < done + some; i++) {
          SHORTS.set(into, Short.BYTES * i, id);
        }
      }

      left -= some;
      done += some;
    }
  }

  private void lookUp(IdLookup known, byte[] into, int from, int count) {
    int done = from;
    int stop = from + count;
    while (done < stop) {
      if (groupLeft > 0) {
        SHORTS.set(into, Short.BYTES * done++, known.id(group[GROUP - groupLeft--]));
      } else if (bits <= Byte.SIZE && stop - done >= GROUP && at + Long.BYTES <= end) {
        int groups =
            Math.min((stop - done) / GROUP, (end - at - Long.BYTES) / Math.max(1, bits) + 1);
        switch (known.lanes()) {
          case 4 -> lookUpFours(known, into, Short.BYTES * done, groups);
          case 2 -> lookUpTwos(known, into, Short.BYTES * done, groups);
          default -> lookUpGroups(known, into, Short.BYTES * done, groups);
        }

        done += groups * GROUP;
      } else {
        startGroup();
      }
    }
  }

  /** Whole groups of values of at most eight bits, each group out of one long. */
  private void lookUpGroups(IdLookup known, byte[] into, int from, int groups) {
    int mask = (1 << bits) - 1;
    int to = from;
    for (int i = 0; i < groups; i++) {
      long word = (long) LONGS.get(bytes, at);
      for (int value = 0; value < GROUP; value++) {
        SHORTS.set(into, to, known.id((int) word & mask));
        word >>>= bits;
        to += Short.BYTES;
      }

      at += bits;
    }
  }

  private void lookUpTwos(IdLookup known, byte[] into, int from, int groups) {
    int[] twos = known.twos();
    int mask = twos.length - 1;
    int two = 2 * bits;
    int seen = 0;
    int to = from;
    for (int i = 0; i < groups; i++) {
      long word = (long) LONGS.get(bytes, at);
      int a = twos[(int) word & mask];
      int b = twos[(int) (word >>> two) & mask];
      word >>>= 2 * two;
      int c = twos[(int) word & mask];
      int d = twos[(int) (word >>> two) & mask];
      INTS.set(into, to, a);
      INTS.set(into, to + 4, b);
      INTS.set(into, to + 8, c);
      INTS.set(into, to + 12, d);
      seen |= a | b | c | d;
      to += Short.BYTES * GROUP;
      at += bits;
    }

    known.check(seen);
  }

  private void lookUpFours(IdLookup known, byte[] into, int from, int groups) {
    long[] fours = known.fours();
    int mask = fours.length - 1;
    int four = 4 * bits;
    long seen = 0;
    int to = from;
    for (int i = 0; i < groups; i++) {
      long word = (long) LONGS.get(bytes, at);
      long a = fours[(int) word & mask];
      long b = fours[(int) (word >>> four) & mask];
      LONGS.set(into, to, a);
      LONGS.set(into, to + Long.BYTES, b);
      seen |= a | b;
      to += Short.BYTES * GROUP;
      at += bits;
    }

    known.check(seen);
  }

  /** Whether the next values, of one bit, are all 1. */
  boolean areOnes(int count) {
    for (int rest = count; rest > 0; ) {
      int some = run(rest);
      if (!(packed ? fitsPacked(1, Integer.MAX_VALUE, some) : repeated == 1)) {
        return false;
      }

      rest -= some;
    }

    return true;
  }

  /**
   * Whether the next values, of one bit, are 0 where a list starts and 1 elsewhere. Lists that are
   * written as those before them are compared with them, without decoding.
   *
   * @param rank place of the first value in its list
   * @param width length of each list
   */
  boolean startLists(int rank, int width, int count) {
    int place = rank;
    int writtenAt = -1; // where the last lists are written that start with a run
    int writtenRest = 0; // values that were left there
    for (int rest = count; rest > 0; ) {
      if (left == 0 && place == 0) {
        if (writtenAt >= 0) {
          int bytesOfLists = at - writtenAt;
          int same = Arrays.mismatch(bytes, writtenAt, end - bytesOfLists, bytes, at, end);
          int times =
              Math.min((same < 0 ? end - at : same) / bytesOfLists, rest / (writtenRest - rest));
          int skipped = times * (writtenRest - rest);
          at += times * bytesOfLists;
          rest -= skipped;
          if (rest == 0) {
            break;
          }
        }

        writtenAt = at;
        writtenRest = rest;
      }

      int some = run(rest);
      if (!(packed ? fitsPacked(place, width, some) : fitsRun(place, width, some))) {
        return false;
      }

      place = (place + some) % width;
      rest -= some;
    }

    return true;
  }

  /** Starts a run if none is open, and takes at most so many values of it. */
  private int run(int atMost) {
    if (left == 0) {
      startRun();
    }

    int some = Math.min(left, atMost);
    left -= some;
    return some;
  }

  private boolean fitsRun(int place, int width, int count) {
    return repeated == 0
        ? place == 0 && (count == 1 || width == 1)
        : repeated == 1 && place > 0 && place + count <= width;
  }

  /** Whole groups, but for the last of a page. */
  private boolean fitsPacked(int firstPlace, int width, int count) {
    int place = firstPlace;
    for (int done = 0; done < count; done += GROUP) {
      if (at == end) {
        throw new IllegalArgumentException("a page ends before its values");
      }

      int found = bytes[at++];
      for (int i = done; i < Math.min(count, done + GROUP); i++) {
        if ((found & 1) != (place == 0 ? 0 : 1)) {
          return false;
        }

        found >>= 1;
        place = place + 1 == width ? 0 : place + 1;
      }
    }

    return true;
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
