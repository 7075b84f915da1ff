package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.store.StateStore;
import io.expertatlas.trace.ModelShape;

/** Rows of a layer in memory: router inputs, chosen experts, and the gates that are to be met. */
final class RowPool {
  private final StateStore store;
  private final int layer;
  private final int heads;
  private final float[] hidden; // [row][hidden]
  private final float[] gates; // [row][head][expert]
  private final short[] chosen; // [row][rank], in the layer
  private final short[] targets; // [row][head][rank]
  private final float[] gateRows; // scratch
  private final short[] expertRows; // scratch
  private int rows;

  /** Room for so many rows. */
  RowPool(StateStore store, int layer, int heads, int capacity) {
    ModelShape shape = store.model().shape();
    this.store = store;
    this.layer = layer;
    this.heads = heads;
    this.hidden = new float[Math.multiplyExact(capacity, store.model().hiddenSize())];
    this.gates = new float[Math.multiplyExact(capacity, heads * shape.experts())];
    this.chosen = new short[capacity * shape.topK()];
    this.targets = new short[capacity * heads * shape.topK()];
    this.gateRows = new float[Math.multiplyExact(capacity, shape.experts())];
    this.expertRows = new short[Math.multiplyExact(capacity, shape.choicesPerToken())];
  }

  /** Replaces what is here with rows of the store; neighbours are read together. */
  void load(int[] wanted, int from, int to) {
    rows = to - from;
    int width = store.model().hiddenSize();
    forRuns(
        wanted,
        from,
        to,
        (row, count, at) -> store.readHidden(layer, row, count, hidden, at * width));
    ModelShape shape = store.model().shape();
    int experts = shape.experts();
    for (int head = 0; head < heads; head++) {
      int target = layer + 1 + head;
      forRuns(
          wanted,
          from,
          to,
          (row, count, at) -> store.readGate(target, row, count, gateRows, at * experts));
      for (int row = 0; row < rows; row++) {
        System.arraycopy(gateRows, row * experts, gates, (row * heads + head) * experts, experts);
      }
    }

    int topK = shape.topK();
    int choices = shape.choicesPerToken();
    forRuns(
        wanted,
        from,
        to,
        (row, count, at) -> store.readExperts(row, count, expertRows, at * choices));
    for (int row = 0; row < rows; row++) {
      System.arraycopy(expertRows, row * choices + layer * topK, chosen, row * topK, topK);
      System.arraycopy(
          expertRows,
          row * choices + (layer + 1) * topK,
          targets,
          row * heads * topK,
          heads * topK);
    }
  }

  private interface Run {
    void read(int row, int count, int at);
  }

  private static void forRuns(int[] wanted, int from, int to, Run run) {
    int begin = from;
    for (int i = from + 1; i <= to; i++) {
      if (i == to || wanted[i] != wanted[i - 1] + 1) {
        run.read(wanted[begin], i - begin, begin - from);
        begin = i;
      }
    }
  }

  int rows() {
    return rows;
  }

  float[] hidden() {
    return hidden;
  }

  float[] gates() {
    return gates;
  }

  int chosen(int row, int rank, int topK) {
    return chosen[row * topK + rank] & 0xffff;
  }

  int target(int row, int head, int rank, int topK) {
    return targets[(row * heads + head) * topK + rank] & 0xffff;
  }
}
