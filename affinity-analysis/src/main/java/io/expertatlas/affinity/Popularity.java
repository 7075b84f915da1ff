package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.Objects;

/** How often each expert of each layer was chosen. Immutable. */
public final class Popularity {
  private final ModelShape shape;
  private final long[] choices; // [layer][expert], any rank
  private final long[] firstChoices; // [layer][expert], rank 0

  /**
   * Creates the counts from copies of dense arrays.
   *
   * @param choices {@code [layer][expert]} tokens that chose the expert at any rank
   * @param firstChoices {@code [layer][expert]} tokens whose first choice it was
   * @throws IllegalArgumentException if an array is not {@code layers * experts} long
   */
  public Popularity(ModelShape shape, long[] choices, long[] firstChoices) {
    this.shape = Objects.requireNonNull(shape, "shape is null");
    if (choices.length != shape.totalExperts() || firstChoices.length != shape.totalExperts()) {
      throw new IllegalArgumentException(
          "Invalid popularity arrays: %d and %d counts, expected %d"
              .formatted(choices.length, firstChoices.length, shape.totalExperts()));
    }

    this.choices = choices.clone();
    this.firstChoices = firstChoices.clone();
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return shape;
  }

  /** Tokens that chose the expert at any rank. */
  public long choices(int layer, int expert) {
    return choices[shape.globalId(layer, expert)];
  }

  /** Tokens whose first choice the expert was. */
  public long firstChoices(int layer, int expert) {
    return firstChoices[shape.globalId(layer, expert)];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Popularity that
        && shape.equals(that.shape)
        && Arrays.equals(choices, that.choices)
        && Arrays.equals(firstChoices, that.firstChoices);
  }

  @Override
  public int hashCode() {
    return Objects.hash(shape, Arrays.hashCode(choices), Arrays.hashCode(firstChoices));
  }
}
