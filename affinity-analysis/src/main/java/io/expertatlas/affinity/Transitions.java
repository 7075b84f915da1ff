package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.Objects;

/**
 * How often one expert follows another between adjacent MoE layers. Immutable.
 *
 * <p>{@link #firstChoices} counts tokens by their first choices. {@link #pairUnits} weighs every
 * pair of a token's choices, one in each layer, by the product of their router weights (without
 * router weights each of k choices weighs 1/k). Weights are summed as whole {@linkplain #UNITS
 * units}, rounded once for each pair of each token, so that sums do not depend on their order.
 */
public final class Transitions {
  /** Units of weight 1: 2^20. */
  public static final long UNITS = 1L << 20;

  private final ModelShape shape;
  private final long[] firstChoices; // [gap][from][to]
  private final long[] pairUnits; // [gap][from][to]

  /**
   * Creates the counts from copies of dense arrays.
   *
   * @param firstChoices {@code [gap][from][to]} tokens
   * @param pairUnits {@code [gap][from][to]} weight of pairs in {@link #UNITS}
   * @throws IllegalArgumentException if an array is not {@code (layers - 1) * experts * experts}
   *     long
   */
  public Transitions(ModelShape shape, long[] firstChoices, long[] pairUnits) {
    this.shape = Objects.requireNonNull(shape, "shape is null");
    int length = Math.multiplyExact((shape.layers() - 1) * shape.experts(), shape.experts());
    if (firstChoices.length != length || pairUnits.length != length) {
      throw new IllegalArgumentException(
          "Invalid transition arrays: %d and %d counts, expected %d"
              .formatted(firstChoices.length, pairUnits.length, length));
    }

    this.firstChoices = firstChoices.clone();
    this.pairUnits = pairUnits.clone();
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return shape;
  }

  /** Number of pairs of adjacent layers: {@code layers - 1}. */
  public int gaps() {
    return shape.layers() - 1;
  }

  /** Tokens with first choice {@code from} in layer {@code gap}, {@code to} in layer gap + 1. */
  public long firstChoices(int gap, int from, int to) {
    return firstChoices[index(gap, from, to)];
  }

  /** Weight, in {@link #UNITS}, of the pairs of choices {@code from} and {@code to}. */
  public long pairUnits(int gap, int from, int to) {
    return pairUnits[index(gap, from, to)];
  }

  private int index(int gap, int from, int to) {
    return (gap * shape.experts() + from) * shape.experts() + to;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Transitions that
        && shape.equals(that.shape)
        && Arrays.equals(firstChoices, that.firstChoices)
        && Arrays.equals(pairUnits, that.pairUnits);
  }

  @Override
  public int hashCode() {
    return Objects.hash(shape, Arrays.hashCode(firstChoices), Arrays.hashCode(pairUnits));
  }
}
