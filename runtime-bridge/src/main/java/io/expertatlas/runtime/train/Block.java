package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.MatrixDevice;
import java.util.List;

/**
 * Parameters that are copied to a device together: an expert, an attention group with its norms, a
 * router, the embedding, the head.
 *
 * @param name in messages and timelines
 * @param parameters in checkpoint order
 */
record Block(String name, List<Parameter> parameters) {
  Block {
    parameters = List.copyOf(parameters);
  }

  /** Bytes of a copy. */
  long copyBytes(MatrixDevice device) {
    return parameters.stream().mapToLong(one -> one.copyBytes(device)).sum();
  }
}
