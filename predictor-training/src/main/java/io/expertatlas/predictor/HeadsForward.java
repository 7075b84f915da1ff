package io.expertatlas.predictor;

/** The forward pass of {@link AffineHeads}, with its matrices laid out for it. Immutable. */
final class HeadsForward {
  private final AffineHeads heads;
  private final ChunkedMatrix weight;
  private final ChunkedMatrix down;
  private final ChunkedMatrix up;

  HeadsForward(AffineHeads heads, int hidden) {
    this.heads = heads;
    this.weight = new ChunkedMatrix(heads.weight(), heads.outputs(), hidden);
    this.down = new ChunkedMatrix(heads.down(), heads.rank(), hidden);
    this.up = new ChunkedMatrix(heads.up(), heads.outputs(), heads.rank());
  }

  /** Scores of a token, {@code [outputs]}. */
  void predict(TokenState token, Scratch scratch, float[] into) {
    float[] hidden = token.hidden();
    ChunkedMatrix.cut(hidden, scratch.hidden);
    System.arraycopy(heads.bias(), 0, into, 0, heads.outputs());
    addRoutes(heads.route(), heads.outputs(), token, into);
    weight.addProduct(hidden, scratch.hidden, scratch.lanes, into);
    if (heads.rank() == 0) {
      return;
    }

    float[] units = scratch.units;
    System.arraycopy(heads.unitBias(), 0, units, 0, heads.rank());
    addRoutes(heads.unitRoute(), heads.rank(), token, units);
    down.addProduct(hidden, scratch.hidden, scratch.lanes, units);
    for (int unit = 0; unit < heads.rank(); unit++) {
      units[unit] = Math.max(0f, units[unit]);
    }

    ChunkedMatrix.cut(units, scratch.cutUnits);
    up.addProduct(units, scratch.cutUnits, scratch.lanes, into);
  }

  private static void addRoutes(float[] table, int width, TokenState token, float[] into) {
    if (table.length == 0) {
      return;
    }

    for (int expert : token.chosen()) {
      for (int i = 0; i < width; i++) {
        into[i] += table[expert * width + i];
      }
    }
  }
}
