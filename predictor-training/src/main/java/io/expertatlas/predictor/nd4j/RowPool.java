package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.store.LayerStates;
import io.expertatlas.trace.ModelShape;

/** Rows of a layer in memory: router inputs, chosen experts, and the gates that are to be met. */
final class RowPool {
  private final LayerStates states;
  private final int heads;
  private final float[] hidden; // [row][hidden]
  private final float[] gates; // [row][head][expert]
  private final short[] experts; // [row][the layer, then heads][rank]
  private int rows;

  /** Room for so many rows. */
  RowPool(LayerStates states, int heads, int capacity) {
    ModelShape shape = states.model().shape();
    this.states = states;
    this.heads = heads;
    this.hidden = new float[Math.multiplyExact(capacity, states.model().hiddenSize())];
    this.gates = new float[Math.multiplyExact(capacity, heads * shape.experts())];
    this.experts = new short[Math.multiplyExact(capacity, (1 + heads) * shape.topK())];
  }

  /** Replaces what is here with other rows; neighbours are read together. */
  void load(int[] wanted, int from, int to) {
    rows = to - from;
    ModelShape shape = states.model().shape();
    int width = states.model().hiddenSize();
    int targets = heads * shape.experts();
    int choices = (1 + heads) * shape.topK();
    forRuns(
        wanted,
        from,
        to,
        (row, count, at) -> {
          states.readHidden(row, count, hidden, at * width);
          states.readGates(row, count, gates, at * targets);
          states.readExperts(row, count, experts, at * choices);
        });
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
    return experts[row * (1 + heads) * topK + rank] & 0xffff;
  }

  int target(int row, int head, int rank, int topK) {
    return experts[(row * (1 + heads) + 1 + head) * topK + rank] & 0xffff;
  }
}
