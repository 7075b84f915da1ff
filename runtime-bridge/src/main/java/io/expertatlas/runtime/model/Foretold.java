package io.expertatlas.runtime.model;

import java.util.stream.IntStream;

/**
 * Experts that a layer will need, as far as something can tell.
 *
 * @param layer the MoE layer
 * @param experts most wanted first
 */
record Foretold(int layer, int[] experts) {
  /** Nothing is foretold. */
  static final Foretold NOTHING = new Foretold(0, new int[0]);

  /** The experts that tokens are foretold to choose, by falling count, of equals the first one. */
  static Foretold ofCounts(int layer, long[] counts) {
    return new Foretold(
        layer,
        IntStream.range(0, counts.length)
            .filter(expert -> counts[expert] > 0)
            .boxed()
            .sorted((one, other) -> Long.compare(counts[other], counts[one])) // is stable
            .mapToInt(expert -> expert)
            .toArray());
  }

  /** The same of choices, whatever their order. */
  static Foretold ofChoices(int layer, int experts, int[] choices) {
    long[] counts = new long[experts];
    for (int expert : choices) {
      counts[expert]++;
    }

    return ofCounts(layer, counts);
  }

  /** The first of them. */
  Foretold most(int count) {
    return new Foretold(layer, IntStream.of(experts).limit(count).toArray());
  }
}
