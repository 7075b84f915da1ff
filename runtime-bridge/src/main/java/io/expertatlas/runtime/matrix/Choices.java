package io.expertatlas.runtime.matrix;

/**
 * Rows of several matrices, as many for each token: choice j of token t is row {@code rows[t * each
 * + j]} of matrix {@code from[t * each + j]}.
 */
public record Choices(int each, int[] from, int[] rows) {
  /** How many tokens choose. */
  public int tokens() {
    return from.length / each;
  }
}
