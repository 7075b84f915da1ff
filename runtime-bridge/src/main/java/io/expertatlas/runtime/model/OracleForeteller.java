package io.expertatlas.runtime.model;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;

/** Foretells what a recorded run of the same tokens chose. */
final class OracleForeteller implements Foreteller {
  private final RecordedRoutes routes;
  private final ModelShape shape;

  OracleForeteller(RecordedRoutes routes) {
    this.routes = routes;
    this.shape = routes.shape();
  }

  /**
   * The next layer's choices of the step's tokens; behind the last layer, the first layer's of the
   * tokens that follow them, as far as they are recorded.
   *
   * @throws IllegalStateException if the layer's choices are not the recorded ones, with the place
   */
  @Override
  public Foretold next(Spoken spoken) {
    Step step = spoken.step();
    int layer = spoken.layer();
    boolean isLast = layer + 1 == shape.layers();
    long[] counts = new long[shape.experts()];
    for (int t = 0; t < step.tokens(); t++) {
      int[] recorded = check(spoken, t);
      if (!isLast) {
        count(recorded, layer + 1, counts);
      } else if (t + 1 == step.tokens() || step.number(t + 1) != step.number(t)) {
        routes
            .choices(step.number(t), step.position(t) + 1)
            .ifPresent(choices -> count(choices, 0, counts));
      }
    }

    return Foretold.ofCounts(isLast ? 0 : layer + 1, counts);
  }

  private void count(int[] choices, int layer, long[] counts) {
    for (int rank = 0; rank < shape.topK(); rank++) {
      counts[choices[layer * shape.topK() + rank]]++;
    }
  }

  /** The recorded choices of a token. */
  private int[] check(Spoken spoken, int t) {
    int sequence = spoken.step().number(t);
    int position = spoken.step().position(t);
    int layer = spoken.layer();
    int k = shape.topK();
    int[] real = Arrays.copyOfRange(spoken.choices(), t * k, t * k + k);
    Optional<int[]> recorded = routes.choices(sequence, position);
    int[] expected =
        recorded.map(all -> Arrays.copyOfRange(all, layer * k, layer * k + k)).orElse(new int[0]);
    if (!Arrays.equals(sorted(real), sorted(expected))) {
      throw new IllegalStateException(
          "Cannot foretell by recorded routes: sequence %d, position %d, MoE layer %d chose %s, recorded is %s"
              .formatted(
                  sequence,
                  position,
                  layer,
                  Arrays.toString(real),
                  recorded.isPresent() ? Arrays.toString(expected) : "nothing"));
    }

    return recorded.orElseThrow();
  }

  private static int[] sorted(int[] choices) {
    return IntStream.of(choices).sorted().toArray();
  }
}
