package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;

/**
 * What tokens share with the tokens before them, and what a cache of experts gains from it.
 * Immutable.
 *
 * <p>A <em>run</em> is a longest series of tokens that follow each other in the trace, belong to
 * one sequence and whose indices in the trace lie in one block of {@value #RUN_TOKENS}. Every run
 * starts with empty caches: what a request pays that finds none of its experts loaded. A cache that
 * stays warm between runs has at most {@link #firstUses} more hits. Choices of a token are used one
 * after the other, in order of rank; each layer has its own cache, whose entries are experts.
 */
public final class Locality {
  /** Blocks of token indices that no run leaves. */
  public static final int RUN_TOKENS = 1 << 14;

  /** Bins of the reuse distance: bin b holds distances of 2^b to 2^(b+1) - 1 tokens. */
  public static final int GAP_BINS = 14;

  private final ModelShape shape;
  private final long tokens;
  private final long runs;
  private final long pairs;
  private final long[] lruHits; // [layer][capacity]
  private final long[] optimalHits; // [layer][capacity]
  private final long[] firstUses; // [layer]
  private final long[] kept; // [layer][shared]
  private final long[] gaps; // [layer][bin]

  Locality(LocalitySums sums) {
    shape = sums.shape;
    tokens = sums.totals[0];
    runs = sums.totals[1];
    pairs = sums.totals[2];
    lruHits = cumulated(sums.lru);
    optimalHits = cumulated(sums.optimal);
    firstUses = sums.firstUses.clone();
    kept = sums.kept.clone();
    gaps = sums.gaps.clone();
  }

  private long[] cumulated(long[] distances) {
    int width = shape.experts();
    long[] hits = new long[shape.layers() * (width + 1)];
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int d = 0; d < width; d++) {
        int at = layer * (width + 1) + d;
        hits[at + 1] = hits[at] + distances[layer * width + d];
      }
    }

    return hits;
  }

  /** Nothing measured. */
  public static Locality none(ModelShape shape) {
    return new Locality(new LocalitySums(shape));
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return shape;
  }

  /** Number of tokens measured; 0 if locality was not asked for. */
  public long tokens() {
    return tokens;
  }

  /** Number of runs that begin with one of the tokens. */
  public long runs() {
    return runs;
  }

  /** Tokens that have a token before them in their run. */
  public long pairs() {
    return pairs;
  }

  /** Choices of a layer: {@code tokens * k}. */
  public long choices() {
    return tokens * shape.topK();
  }

  /** Choices of a layer whose expert was not used before in its run: no cache has it. */
  public long firstUses(int layer) {
    return firstUses[layer];
  }

  /**
   * Choices of a layer that find their expert in a cache.
   *
   * @param capacity entries of the layer's cache, 0 to experts
   */
  public long hits(CachePolicy policy, int layer, int capacity) {
    long[] hits = policy == CachePolicy.LRU ? lruHits : optimalHits;
    return hits[layer * (shape.experts() + 1) + capacity];
  }

  /** {@code hits / choices}, or 0 without tokens. */
  public double hitRate(CachePolicy policy, int layer, int capacity) {
    return tokens == 0 ? 0 : hits(policy, layer, capacity) / (double) choices();
  }

  /** Mean of {@link #hitRate(CachePolicy, int, int)} over the layers. */
  public double hitRate(CachePolicy policy, int capacity) {
    double sum = 0;
    for (int layer = 0; layer < shape.layers(); layer++) {
      sum += hitRate(policy, layer, capacity);
    }

    return sum / shape.layers();
  }

  /** Tokens that share so many experts of a layer with the token before in their run. */
  public long kept(int layer, int shared) {
    return kept[layer * (shape.topK() + 1) + shared];
  }

  /** Mean share of a token's k experts that the token before chose too; 0 without pairs. */
  public double overlap(int layer) {
    long sum = 0;
    for (int shared = 1; shared <= shape.topK(); shared++) {
      sum += shared * kept(layer, shared);
    }

    return pairs == 0 ? 0 : sum / (double) (pairs * shape.topK());
  }

  /** Choices whose expert was last used {@code 2^bin} to {@code 2^(bin+1) - 1} tokens before. */
  public long reuses(int layer, int bin) {
    return gaps[layer * GAP_BINS + bin];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Locality that
        && shape.equals(that.shape)
        && tokens == that.tokens
        && runs == that.runs
        && pairs == that.pairs
        && Arrays.equals(lruHits, that.lruHits)
        && Arrays.equals(optimalHits, that.optimalHits)
        && Arrays.equals(firstUses, that.firstUses)
        && Arrays.equals(kept, that.kept)
        && Arrays.equals(gaps, that.gaps);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(lruHits) + Arrays.hashCode(optimalHits);
  }
}
