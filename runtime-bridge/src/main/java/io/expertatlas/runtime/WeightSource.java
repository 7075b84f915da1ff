package io.expertatlas.runtime;

/** Where a model's weights come from, by their name in Hugging Face checkpoints. */
public interface WeightSource {
  /**
   * The values of a tensor.
   *
   * @throws CheckpointException if there is none of this name and shape
   */
  TensorData tensor(String name, long... shape);
}
