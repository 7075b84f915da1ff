package io.expertatlas.trace.parquet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.apache.parquet.bytes.HeapByteBufferAllocator;
import org.apache.parquet.column.values.rle.RunLengthBitPackingHybridEncoder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class HybridDecoderTest {
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void readsWhatParquetWritesInAnyPieces(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    int bits = random.nextInt(18);
    int[] values = new int[1 + random.nextInt(3000)];
    for (int i = 0; i < values.length; ) {
      int run = random.nextBoolean() ? 1 : 1 + random.nextInt(70);
      int value = bits == 0 ? 0 : random.nextInt(1 << bits);
      for (int end = Math.min(values.length, i + run); i < end; i++) {
        values[i] = value;
      }
    }

    byte[] bytes = encoded(bits, values);
    HybridDecoder decoder = new HybridDecoder(bytes, 0, bytes.length, bits);
    int[] found = new int[values.length];
    for (int at = 0; at < found.length; ) {
      int count = Math.min(found.length - at, 1 + random.nextInt(100));
      decoder.read(found, at, count);
      at += count;
    }

    assertThat(found).isEqualTo(values);
    int most = random.nextBoolean() ? 1 << 15 : 1 << 16; // ids with and without the highest bit
    int[] known = new int[1 << bits];
    for (int i = 0; i < known.length; i++) {
      known[i] = (31 * i + 1) % most;
    }

    byte[] lookedUp = lookedUp(bytes, bits, new IdLookup(known), values.length, random);

    ByteBuffer ids = ByteBuffer.wrap(lookedUp).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : values) {
      assertThat(ids.getShort() & 0xffff).isEqualTo(known[value]);
    }
  }

  private static byte[] lookedUp(
      byte[] bytes, int bits, IdLookup known, int count, SplittableRandom random) {
    HybridDecoder decoder = new HybridDecoder(bytes, 0, bytes.length, bits);
    known.prepare(bits, random.nextBoolean() ? count : 1 << 20); // as for small and large pages
    byte[] ids = new byte[2 * count];
    for (int at = 0; at < count; ) {
      int some = Math.min(count - at, 1 + random.nextInt(100));
      decoder.readLookedUp(known, ids, at, some);
      at += some;
    }

    return ids;
  }

  @ParameterizedTest(name = "{0} bits")
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12})
  void anIndexBeyondTheDictionaryIsAnError(int bits) throws IOException {
    SplittableRandom random = new SplittableRandom(bits);
    int size = (1 << bits) - 1; // one id fewer than the bits can tell
    for (int most : new int[] {1, 1 << 16}) { // with and without room for a mark
      int[] dictionary = new int[size];
      Arrays.fill(dictionary, most - 1);
      for (int wrong : new int[] {0, 5, 17, 99}) {
        int[] values = new int[100];
        Arrays.setAll(values, i -> i % size);
        assertThat(lookedUp(encoded(bits, values), bits, new IdLookup(dictionary), 100, random))
            .hasSize(200);
        values[wrong] = size;
        byte[] bytes = encoded(bits, values);
        assertThatThrownBy(() -> lookedUp(bytes, bits, new IdLookup(dictionary), 100, random))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageEndingWith("a dictionary of %d values".formatted(size));
      }
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void listsAreSeenWhereTheyStart(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    int width = 1 + random.nextInt(40);
    int rank = random.nextInt(width);
    int[] levels = new int[1 + random.nextInt(2000)];
    for (int i = 0; i < levels.length; i++) {
      levels[i] = (rank + i) % width == 0 ? 0 : 1;
    }

    assertThat(startLists(levels, rank, width)).isTrue();
    int[] ones = new int[levels.length];
    Arrays.fill(ones, 1);
    assertThat(areOnes(ones)).isTrue();
    int wrong = random.nextInt(levels.length);
    levels[wrong] = 1 - levels[wrong];
    assertThat(startLists(levels, rank, width)).as("wrong at %d", wrong).isFalse();
    ones[wrong] = 0;
    assertThat(areOnes(ones)).as("wrong at %d", wrong).isFalse();
  }

  private static boolean startLists(int[] levels, int rank, int width) throws IOException {
    byte[] bytes = encoded(1, levels);
    return new HybridDecoder(bytes, 0, bytes.length, 1).startLists(rank, width, levels.length);
  }

  private static boolean areOnes(int[] levels) throws IOException {
    byte[] bytes = encoded(1, levels);
    return new HybridDecoder(bytes, 0, bytes.length, 1).areOnes(levels.length);
  }

  private static byte[] encoded(int bits, int[] values) throws IOException {
    try (RunLengthBitPackingHybridEncoder encoder =
        new RunLengthBitPackingHybridEncoder(bits, 64, 1 << 20, new HeapByteBufferAllocator())) {
      for (int value : values) {
        encoder.writeInt(value);
      }

      return encoder.toBytes().toInputStream().readAllBytes();
    }
  }

  @Test
  void aLastGroupMayBeCutOff() {
    // two groups of 3 bits announced, 4 of the 6 bytes there: 10 values
    byte[] bytes = {5, (byte) 0x88, (byte) 0xc6, (byte) 0xfa, (byte) 0x88};
    int[] found = new int[10];

    new HybridDecoder(bytes, 0, bytes.length, 3).read(found, 0, 10);

    assertThat(found).containsExactly(0, 1, 2, 3, 4, 5, 6, 7, 0, 1);
  }

  @Test
  void brokenBytesAreErrors() {
    int[] into = new int[100];
    byte[] empty = {};
    byte[] short1 = {(byte) 200, 1};
    byte[] endless = {-1, -1, -1, -1, -1, -1};
    byte[] nothing = {0, 0};

    assertThatThrownBy(() -> new HybridDecoder(empty, 0, 0, 3).read(into, 0, 1))
        .hasMessage("a page ends before its values");
    assertThatThrownBy(() -> new HybridDecoder(short1, 0, 2, 9).read(into, 0, 1))
        .hasMessage("a page ends before its values");
    assertThatThrownBy(() -> new HybridDecoder(endless, 0, 6, 9).read(into, 0, 1))
        .hasMessage("a page ends before its values");
    assertThatThrownBy(() -> new HybridDecoder(nothing, 0, 2, 9).read(into, 0, 1))
        .hasMessage("a run of 0 values");
    assertThatThrownBy(() -> new HybridDecoder(nothing, 0, 2, 77)).hasMessage("77 bits at 0 to 2");
    assertThat(Arrays.stream(into).sum()).isZero();
  }
}
