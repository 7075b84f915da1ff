package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.Objects;

/** How many tokens chose two experts of one layer together. Symmetric, immutable. */
public final class Coactivation {
  private final ModelShape shape;
  private final long[] tokens; // [layer][expert][expert]

  /**
   * Creates the counts from a copy of a dense array.
   *
   * @param tokens {@code [layer][expert][expert]}, symmetric; the diagonal holds the popularity
   * @throws IllegalArgumentException if the array is not {@code layers * experts * experts} long
   */
  public Coactivation(ModelShape shape, long[] tokens) {
    this.shape = Objects.requireNonNull(shape, "shape is null");
    int length = Math.multiplyExact(shape.totalExperts(), shape.experts());
    if (tokens.length != length) {
      throw new IllegalArgumentException(
          "Invalid co-activation array: %d counts, expected %d".formatted(tokens.length, length));
    }

    this.tokens = tokens.clone();
  }

  /** The shape of the model. */
  public ModelShape shape() {
    return shape;
  }

  /** Tokens that chose both experts in the layer; for one expert with itself, its popularity. */
  public long tokens(int layer, int expert, int other) {
    return tokens[shape.globalId(layer, expert) * shape.experts() + other];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Coactivation that
        && shape.equals(that.shape)
        && Arrays.equals(tokens, that.tokens);
  }

  @Override
  public int hashCode() {
    return Objects.hash(shape, Arrays.hashCode(tokens));
  }
}
