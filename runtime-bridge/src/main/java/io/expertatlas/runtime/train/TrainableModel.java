package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import java.util.List;

/**
 * A model that can be trained: an embedding, layers, a head. It holds the parameters and knows the
 * computation; copies and places are its caller's.
 */
public sealed interface TrainableModel permits MixtralTraining, PostNormModel {
  /** All parameters, each once, in checkpoint order. */
  List<Parameter> parameters();

  /** Token ids. */
  int vocabulary();

  /** Hidden size H. */
  int hidden();

  /** What a stage with the first layer holds besides its layers. */
  Block embedding();

  /** The layers. */
  List<? extends Layer> layers();

  /** What a stage with the last layer holds besides its layers. */
  Block head();

  /** {@code [token, H]} of ids, sequences of a length one after the other. */
  Matrix embed(int[] ids, int length, Copies copies);

  /** Adds the embedding's gradient. */
  void embedBackward(int[] ids, Matrix gradient, Copies copies);

  /** {@code [token, V]} of the last layer's output. */
  Matrix logits(Matrix x, Copies copies);

  /**
   * Adds the head's gradients and returns that of the last layer's output.
   *
   * @param x the last layer's output
   * @param gradient of the logits
   */
  Matrix logitsBackward(Matrix x, Matrix gradient, Copies copies);

  /** Number of numbers that are trained. */
  default long size() {
    return parameters().stream().mapToLong(Parameter::elements).sum();
  }
}
