package io.expertatlas.predictor.store;

import io.expertatlas.predictor.PredictedModel;
import io.expertatlas.trace.ModelShape;

/** A layer in a store of all layers. */
final class StoredLayer implements LayerStates {
  private final StateStore store;
  private final int layer;
  private final int heads;
  private float[] gates = {}; // [row][expert], of one layer
  private short[] experts = {}; // [row][layer][rank]

  StoredLayer(StateStore store, int layer, int heads) {
    this.store = store;
    this.layer = layer;
    this.heads = heads;
  }

  @Override
  public PredictedModel model() {
    return store.model();
  }

  @Override
  public String origin() {
    return store.origin();
  }

  @Override
  public int rows() {
    return store.rows();
  }

  @Override
  public void readHidden(int row, int count, float[] into, int at) {
    store.readHidden(layer, row, count, into, at);
  }

  @Override
  public void readGates(int row, int count, float[] into, int at) {
    int width = model().shape().experts();
    if (gates.length < count * width) {
      gates = new float[Math.multiplyExact(count, width)];
    }

    for (int head = 0; head < heads; head++) {
      store.readGate(layer + 1 + head, row, count, gates, 0);
      for (int i = 0; i < count; i++) {
        System.arraycopy(gates, i * width, into, at + (i * heads + head) * width, width);
      }
    }
  }

  @Override
  public void readExperts(int row, int count, short[] into, int at) {
    ModelShape shape = model().shape();
    int all = shape.choicesPerToken();
    if (experts.length < count * all) {
      experts = new short[Math.multiplyExact(count, all)];
    }

    store.readExperts(row, count, experts, 0);
    int width = (1 + heads) * shape.topK();
    for (int i = 0; i < count; i++) {
      System.arraycopy(experts, i * all + layer * shape.topK(), into, at + i * width, width);
    }
  }
}
