package io.expertatlas.trace.synthetic;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SyntheticTraceTest {
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void everyShapeGivesAValidTrace(long seed) {
    int experts = 1 + (int) (seed % 13);
    ModelShape shape = new ModelShape(1 + (int) (seed % 5), experts, 1 + (int) (seed % experts));

    // RoutingTrace.of checks ranges and distinct top-k
    RoutingTrace trace = SyntheticTrace.draw(shape, 50, 7, 0.5, seed);

    assertThat(trace.tokens()).isEqualTo(50);
    assertThat(trace.sequence(49)).isEqualTo(7);
    assertThat(trace.position(49)).isEqualTo(0);
  }

  @ParameterizedTest(name = "affinity {0}")
  @org.junit.jupiter.params.provider.ValueSource(doubles = {0, 0.5, 1})
  void affinityIsTheShareThatFollowsThePermutation(double affinity) {
    ModelShape shape = new ModelShape(2, 8, 2);
    int tokens = 20_000;
    RoutingTrace trace = SyntheticTrace.draw(shape, tokens, 100, affinity, 5);
    int[][] pairs = new int[8][8];
    for (int t = 0; t < tokens; t++) {
      pairs[trace.expert(t, 0, 0)][trace.expert(t, 1, 0)]++;
    }

    double stays = 0;
    for (int[] row : pairs) {
      stays += java.util.Arrays.stream(row).max().getAsInt() / (double) tokens;
    }

    assertThat(stays)
        .isCloseTo(affinity + (1 - affinity) / 8, org.assertj.core.api.Assertions.within(0.02));
  }
}
