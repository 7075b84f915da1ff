package io.expertatlas.affinity.spark;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.trace.ModelShape;
import java.util.Arrays;

/**
 * The counts that every way of {@link AnalyzeBenchmark} gives: all but the distinct expert sets.
 * Dense, in the layout of {@code count_routes.c}: {@code [layer][expert]} and {@code
 * [layer][expert][expert]}; pairs of the last layer are zero, co-activation stands at {@code
 * [layer][smaller][greater]}.
 */
final class SharedCounts {
  final ModelShape shape;
  final long[] choices;
  final long[] firstChoices;
  final long[] firstPairs;
  final long[] pairUnits;
  final long[] together;

  SharedCounts(ModelShape shape) {
    this.shape = shape;
    choices = new long[shape.totalExperts()];
    firstChoices = new long[shape.totalExperts()];
    firstPairs = new long[shape.totalExperts() * shape.experts()];
    pairUnits = new long[firstPairs.length];
    together = new long[firstPairs.length];
  }

  static SharedCounts of(RouteCounts counts) {
    SharedCounts shared = new SharedCounts(counts.shape());
    int experts = shared.shape.experts();
    for (int layer = 0; layer < shared.shape.layers(); layer++) {
      for (int a = 0; a < experts; a++) {
        int row = layer * experts + a;
        shared.choices[row] = counts.popularity().choices(layer, a);
        shared.firstChoices[row] = counts.popularity().firstChoices(layer, a);
        for (int b = 0; b < experts; b++) {
          int cell = row * experts + b;
          if (layer + 1 < shared.shape.layers()) {
            shared.firstPairs[cell] = counts.transitions().firstChoices(layer, a, b);
            shared.pairUnits[cell] = counts.transitions().pairUnits(layer, a, b);
          }

          if (a < b) {
            shared.together[cell] = counts.coactivation().tokens(layer, a, b);
          }
        }
      }
    }

    return shared;
  }

  /** What a pair of choices weighs without router weights. */
  static long units(ModelShape shape) {
    return Math.round((double) Transitions.UNITS / (shape.topK() * shape.topK()));
  }

  /** The arrays in the order of the C program's output. */
  long[][] arrays() {
    return new long[][] {choices, firstChoices, firstPairs, pairUnits, together};
  }

  /** The counts of a trace that is this one so many times over. */
  SharedCounts times(long factor) {
    SharedCounts product = new SharedCounts(shape);
    for (int i = 0; i < arrays().length; i++) {
      for (int cell = 0; cell < arrays()[i].length; cell++) {
        product.arrays()[i][cell] = factor * arrays()[i][cell];
      }
    }

    return product;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SharedCounts counts
        && shape.equals(counts.shape)
        && Arrays.deepEquals(arrays(), counts.arrays());
  }

  @Override
  public int hashCode() {
    return Arrays.deepHashCode(arrays());
  }

  @Override
  public String toString() {
    return "SharedCounts[%s, hash %08x]".formatted(shape, hashCode());
  }
}
