package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;

/** What a group's tokens add to {@link Locality}: dense sums. Mutable. */
final class LocalitySums {
  final ModelShape shape;
  final long[] totals = new long[3]; // tokens, runs, tokens with a predecessor
  final long[] lru; // [layer][stack distance - 1] choices
  final long[] optimal; // [layer][stack distance - 1] choices
  final long[] firstUses; // [layer] choices not used before in their run
  final long[] kept; // [layer][experts shared with the token before]
  final long[] gaps; // [layer][floor(log2(tokens since the last use))]

  LocalitySums(ModelShape shape) {
    this.shape = shape;
    lru = new long[shape.totalExperts()];
    optimal = new long[shape.totalExperts()];
    firstUses = new long[shape.layers()];
    kept = new long[shape.layers() * (shape.topK() + 1)];
    gaps = new long[shape.layers() * Locality.GAP_BINS];
  }

  private long[][] arrays() {
    return new long[][] {totals, lru, optimal, firstUses, kept, gaps};
  }

  void add(LocalitySums other) {
    long[][] own = arrays();
    long[][] others = other.arrays();
    for (int array = 0; array < own.length; array++) {
      for (int i = 0; i < own[array].length; i++) {
        own[array][i] += others[array][i];
      }
    }
  }

  void write(CompactBytes.Writer out) {
    for (long[] array : arrays()) {
      out.array(array);
    }
  }

  void read(CompactBytes.Reader in) {
    for (long[] array : arrays()) {
      System.arraycopy(in.array(array.length), 0, array, 0, array.length);
    }
  }
}
