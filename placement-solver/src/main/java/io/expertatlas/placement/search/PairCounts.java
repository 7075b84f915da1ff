package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;

/**
 * The pair weights of a chain as rows of {@code int}, forth and back. Where they do not fit, they
 * are taken in units of a power of two. Immutable, shared by all {@link AnnealedMap}s of a search.
 */
final class PairCounts {
  private static final long MOST = 1L << 27; // the effect of a swap has up to eight terms

  private final Chain chain;
  private final int shift;
  private final int[][] forth; // [gap][from * size of the next layer + to]
  private final int[][] back; // [gap][to * size of this layer + from]

  PairCounts(Chain chain) {
    this.chain = chain;
    this.shift = shift(chain);
    int gaps = chain.layers() - 1;
    this.forth = new int[gaps][0];
    this.back = new int[gaps][0];
    for (int gap = 0; chain.prices().hop() > 0 && gap < gaps; gap++) {
      int from = chain.size(gap);
      int to = chain.size(gap + 1);
      forth[gap] = new int[from * to];
      back[gap] = new int[from * to];
      for (int i = 0; i < from; i++) {
        for (int j = 0; j < to; j++) {
          int scaled = (int) (chain.weight(gap, i, j) >> shift);
          forth[gap][i * to + j] = scaled;
          back[gap][j * from + i] = scaled;
        }
      }
    }
  }

  /** The unit in which all counts of a layer and its gaps fit. */
  private static int shift(Chain chain) {
    long most = 0;
    for (int gap = 0; gap < chain.layers() - 1; gap++) {
      most = Math.max(most, chain.total(gap) * chain.parts().highestCost());
    }

    long price = Math.max(chain.prices().gpuTouch(), chain.prices().nodeTouch());
    for (int layer = 0; layer < chain.layers(); layer++) {
      most = Math.max(most, Math.multiplyExact(price, chain.sets(layer).tokens()));
    }

    int shift = 0;
    while (most >> shift > MOST) {
      shift++;
    }

    return shift;
  }

  Chain chain() {
    return chain;
  }

  /** Counts are in units of {@code 2^shift}. */
  int shift() {
    return shift;
  }

  /** {@code [from * size of the next layer + to]}. */
  int[] forth(int gap) {
    return forth[gap];
  }

  /** {@code [to * size of this layer + from]}. */
  int[] back(int gap) {
    return back[gap];
  }
}
