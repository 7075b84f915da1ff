package io.expertatlas.trace;

import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;

/** Golden files in {@code src/test/resources}, and what {@code make_golden.py} wrote into them. */
public final class Golden {
  /** Experts a layer. */
  public static final int EXPERTS = 11;

  private Golden() {}

  /** The path of a file below {@code io/expertatlas/trace}. */
  public static Path path(String name) {
    URL url = Golden.class.getResource("/io/expertatlas/trace/" + name);
    if (url == null) {
      throw new IllegalArgumentException("No golden file " + name);
    }

    try {
      return Path.of(url.toURI());
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(e);
    }
  }

  /** The routes: 7 tokens, 3 layers, top-2 (or its first choices), in one sequence. */
  public static RoutingTrace routes(int topK) {
    return RoutingTrace.ofExperts(new ModelShape(3, EXPERTS, topK), experts(topK));
  }

  private static short[] experts(int topK) {
    short[] experts = new short[7 * 3 * topK];
    for (int i = 0; i < experts.length; i++) {
      int token = i / (3 * topK);
      int layer = i / topK % 3;
      experts[i] = (short) ((3 * token + 5 * layer + i % topK) % EXPERTS);
    }

    return experts;
  }

  /** The golden capture. */
  public static RoutingTrace capture() {
    float[] weights = new float[7 * 3 * 2];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (2 - i % 2) / 4f + i / 6 / 64f;
    }

    return RoutingTrace.of(
        new ModelShape(3, EXPERTS, 2),
        experts(2),
        weights,
        new int[] {4, 4, 9, 4, 9, 9, 0},
        new int[] {5, 6, 0, 7, 1, 2, 3},
        new byte[] {0, 1, 0, 1, 1, 1, 0});
  }
}
