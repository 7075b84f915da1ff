package io.expertatlas.predictor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** Tensors of a file, each of which must be taken, with the shape that is expected. */
final class TensorTable {
  private final Map<String, WeightTensor> tensors;
  private final TreeSet<String> left;
  private final Object file;

  TensorTable(Map<String, WeightTensor> tensors, Object file) {
    this.tensors = tensors;
    this.left = new TreeSet<>(tensors.keySet());
    this.file = file;
  }

  float[] take(String name, int... shape) {
    WeightTensor tensor = find(name);
    List<Integer> expected = Arrays.stream(shape).boxed().toList();
    if (!tensor.shape().equals(expected)) {
      throw new PredictorFormatException(
          "Invalid tensor %s in %s: its shape is %s, expected %s"
              .formatted(name, file, tensor.shape(), expected));
    }

    for (float value : tensor.values()) {
      if (!Float.isFinite(value)) {
        throw new PredictorFormatException(
            "Invalid tensor %s in %s: it holds %s, expected finite numbers"
                .formatted(name, file, value));
      }
    }

    left.remove(name);
    return tensor.values();
  }

  /** The first axis of a tensor. */
  int rows(String name) {
    List<Integer> shape = find(name).shape();
    return shape.isEmpty() ? 0 : shape.get(0);
  }

  private WeightTensor find(String name) {
    WeightTensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new PredictorFormatException("Missing tensor %s in %s".formatted(name, file));
    }

    return tensor;
  }

  void checkAllTaken() {
    if (!left.isEmpty()) {
      throw new PredictorFormatException(
          "Unknown tensors in %s: %s".formatted(file, new ArrayList<>(left)));
    }
  }
}
