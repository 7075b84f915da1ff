package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.Objects;

/**
 * Everything counted from one pass over a trace: all that placement needs to know of it.
 *
 * @param shape the model's shape
 * @param tokens number of tokens counted
 * @param popularity how often each expert was chosen
 * @param transitions which experts follow each other between adjacent layers
 * @param coactivation which experts are chosen together in a layer
 * @param expertSets {@code [layer]} the distinct sets of top-k experts, in lexicographic order of
 *     their ids; their tokens sum to {@code tokens} in each layer
 */
public record RouteCounts(
    ModelShape shape,
    long tokens,
    Popularity popularity,
    Transitions transitions,
    Coactivation coactivation,
    List<List<ExpertSet>> expertSets) {
  /**
   * Copies the lists.
   *
   * @throws IllegalArgumentException if the parts are of different shapes or the sets of a layer do
   *     not hold every token
   */
  public RouteCounts {
    Objects.requireNonNull(shape, "shape is null");
    if (!shape.equals(popularity.shape())
        || !shape.equals(transitions.shape())
        || !shape.equals(coactivation.shape())
        || shape.layers() != expertSets.size()) {
      throw new IllegalArgumentException("Invalid route counts: the parts are not all of " + shape);
    }

    expertSets = expertSets.stream().map(List::copyOf).toList();
    for (int layer = 0; layer < shape.layers(); layer++) {
      long sum = expertSets.get(layer).stream().mapToLong(ExpertSet::tokens).sum();
      if (sum != tokens) {
        throw new IllegalArgumentException(
            "Invalid route counts: the expert sets of layer %d hold %d tokens of %d"
                .formatted(layer, sum, tokens));
      }
    }
  }
}
