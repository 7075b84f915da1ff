package io.expertatlas.runtime.train;

/** Rows of a table by token id. */
final class Embedding {
  private Embedding() {}

  static void addGradient(int[] ids, Matrix gradient, Matrix table) {
    int width = table.columns;
    for (int token = 0; token < ids.length; token++) {
      for (int i = 0; i < width; i++) {
        table.values[ids[token] * width + i] += gradient.values[token * width + i];
      }
    }
  }
}
