package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.Objects;

/**
 * How often one expert is first choice some layers after another. Immutable. {@link Transitions} is
 * lag 1, with pair weights.
 */
public final class LagTransitions {
  private final ModelShape shape;
  private final int lag;
  private final long[] firstChoices; // [start][from][to]

  /**
   * Creates the counts from a copy of a dense array.
   *
   * @param lag layers between the two choices, 1 to {@code layers - 1}
   * @param firstChoices {@code [start][from][to]} tokens with first choice {@code from} in layer
   *     start and {@code to} in layer {@code start + lag}
   * @throws IllegalArgumentException if the lag or the length of the array is of another model
   */
  public LagTransitions(ModelShape shape, int lag, long[] firstChoices) {
    this.shape = Objects.requireNonNull(shape, "shape is null");
    if (lag < 1 || lag >= shape.layers()) {
      throw new IllegalArgumentException(
          "Invalid lag: %d, 1 to %d".formatted(lag, shape.layers() - 1));
    }

    int length = Math.multiplyExact((shape.layers() - lag) * shape.experts(), shape.experts());
    if (firstChoices.length != length) {
      throw new IllegalArgumentException(
          "Invalid transitions at lag %d: %d counts, expected %d"
              .formatted(lag, firstChoices.length, length));
    }

    this.lag = lag;
    this.firstChoices = firstChoices.clone();
  }

  /** Those of adjacent layers. */
  public static LagTransitions of(Transitions transitions) {
    ModelShape shape = transitions.shape();
    int experts = shape.experts();
    long[] counts = new long[transitions.gaps() * experts * experts];
    for (int cell = 0; cell < counts.length; cell++) {
      counts[cell] =
          transitions.firstChoices(
              cell / experts / experts, cell / experts % experts, cell % experts);
    }

    return new LagTransitions(shape, 1, counts);
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return shape;
  }

  /** Layers between the two choices. */
  public int lag() {
    return lag;
  }

  /** Number of layers that have one {@link #lag} layers on. */
  public int starts() {
    return shape.layers() - lag;
  }

  /** Tokens with first choice {@code from} in layer start and {@code to} in layer start + lag. */
  public long firstChoices(int start, int from, int to) {
    return firstChoices[(start * shape.experts() + from) * shape.experts() + to];
  }

  /** A copy of the table of a layer, {@code [from][to]}. */
  long[][] table(int start) {
    long[][] table = new long[shape.experts()][];
    for (int from = 0; from < table.length; from++) {
      int row = (start * shape.experts() + from) * shape.experts();
      table[from] = Arrays.copyOfRange(firstChoices, row, row + shape.experts());
    }

    return table;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof LagTransitions that
        && shape.equals(that.shape)
        && lag == that.lag
        && Arrays.equals(firstChoices, that.firstChoices);
  }

  @Override
  public int hashCode() {
    return Objects.hash(shape, lag, Arrays.hashCode(firstChoices));
  }
}
