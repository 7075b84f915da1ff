package io.expertatlas.trace.synthetic;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.SplittableRandom;

/**
 * Routing traces drawn at random, with a known affinity between layers.
 *
 * <p>The first choice of the first layer is uniform. From layer to layer a token goes, with
 * probability {@code affinity}, to the one expert that a hidden permutation gives for its first
 * choice, and otherwise to a uniform expert. The other ranks are distinct experts drawn from those
 * near the first choice, so that experts also co-occur inside a token.
 */
public final class SyntheticTrace {
  private SyntheticTrace() {}

  /**
   * Draws a trace in which every sequence has the same number of tokens, but for the last.
   *
   * @param shape the model's shape
   * @param tokens number of tokens, may be 0
   * @param tokensPerSequence length of a sequence, at least 1
   * @param affinity probability, 0 to 1, that the next layer's expert follows from this layer's
   * @param seed of everything random; the same arguments give the same trace
   * @throws IllegalArgumentException if an argument is out of its range
   */
  public static RoutingTrace draw(
      ModelShape shape, int tokens, int tokensPerSequence, double affinity, long seed) {
    if (tokens < 0 || tokensPerSequence < 1 || !(affinity >= 0 && affinity <= 1)) {
      throw new IllegalArgumentException(
          "Invalid synthetic trace: %d tokens, %d a sequence, affinity %s"
              .formatted(tokens, tokensPerSequence, affinity));
    }

    SplittableRandom random = new SplittableRandom(seed);
    int[][] successor = new int[shape.layers()][]; // [layer][expert of the layer before]
    for (int layer = 0; layer < shape.layers(); layer++) {
      successor[layer] = permutation(shape.experts(), random);
    }

    short[] experts = new short[tokens * shape.choicesPerToken()];
    int[] sequence = new int[tokens];
    int[] position = new int[tokens];
    int at = 0;
    for (int token = 0; token < tokens; token++) {
      sequence[token] = token / tokensPerSequence;
      position[token] = token % tokensPerSequence;
      int expert = 0;
      for (int layer = 0; layer < shape.layers(); layer++) {
        boolean follows = layer > 0 && random.nextDouble() < affinity;
        expert = follows ? successor[layer][expert] : random.nextInt(shape.experts());
        int next = expert;
        for (int rank = 0; rank < shape.topK(); rank++) {
          experts[at++] = (short) next;
          int left = shape.experts() - (next - expert + shape.experts()) % shape.experts() - 1;
          int needed = shape.topK() - rank - 1;
          int step = 1 + random.nextInt(Math.max(1, Math.min(2, left - needed + 1)));
          next = (next + step) % shape.experts();
        }
      }
    }

    return RoutingTrace.of(shape, experts, new float[0], sequence, position, new byte[tokens]);
  }

  private static int[] permutation(int size, SplittableRandom random) {
    int[] values = new int[size];
    for (int i = 0; i < size; i++) {
      int j = random.nextInt(i + 1);
      values[i] = values[j];
      values[j] = i;
    }

    return values;
  }
}
