package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Tensor;
import io.expertatlas.trace.ModelShape;
import java.util.List;

/** Asks the next layer's gate early: on the input of this layer's. */
final class NextGateForeteller implements Foreteller {
  private final ModelShape shape;
  private final List<Tensor> gates; // [layer] of [E, H]

  NextGateForeteller(ModelShape shape, List<Tensor> gates) {
    this.shape = shape;
    this.gates = gates;
  }

  @Override
  public boolean ask(int layer, MoeRank rank, Tensor input) {
    if (layer + 1 == shape.layers()) {
      return false;
    }

    rank.guess(layer + 1, gates.get(layer + 1), input);
    return true;
  }

  @Override
  public Foretold next(Spoken spoken) {
    return Foretold.ofChoices(spoken.layer() + 1, shape.experts(), spoken.guesses());
  }
}
