package io.expertatlas.runtime.train;

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

  /** Bytes of a copy in doubles. */
  long copyBytes() {
    return parameters.stream().mapToLong(Parameter::copyBytes).sum();
  }
}
