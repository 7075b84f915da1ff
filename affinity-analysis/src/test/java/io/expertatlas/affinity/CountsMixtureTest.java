package io.expertatlas.affinity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class CountsMixtureTest {
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void aMixtureCountsAsTheTraceThatRepeatsItsParts(long seed) {
    RoutingTrace trace = AffinityCases.trace(seed);
    SplittableRandom random = new SplittableRandom(seed);
    RouteCounter repeated = new RouteCounter(trace.shape());
    List<RouteCounts> parts = new ArrayList<>();
    long[] factors = new long[1 + random.nextInt(4)];
    for (int i = 0; i < factors.length; i++) {
      int part = i;
      RoutingTrace own = trace.select(t -> t % factors.length == part);
      parts.add(AffinityCases.count(own));
      factors[i] = random.nextInt(4);
      for (int time = 0; time < factors[i]; time++) {
        repeated.add(own);
      }
    }

    assertThat(CountsMixture.of(parts, factors)).isEqualTo(repeated.counts());
    assertThat(CountsMixture.sum(parts)).isEqualTo(AffinityCases.count(trace));
  }

  @Test
  void whatCannotBeAddedIsRefused() {
    RouteCounts one = AffinityCases.count(AffinityCases.trace(1));
    RouteCounts other = AffinityCases.count(AffinityCases.trace(2));

    assertThatThrownBy(() -> CountsMixture.sum(List.of()))
        .hasMessage("Invalid mixture: 0 factors of 0 counts, at least one and as many");
    assertThatThrownBy(() -> CountsMixture.of(List.of(one), 1, 2))
        .hasMessage("Invalid mixture: 2 factors of 1 counts, at least one and as many");
    assertThatThrownBy(() -> CountsMixture.of(List.of(one), -1))
        .hasMessage(
            "Invalid mixture: counts of %s times -1, expected %s and at least 0"
                .formatted(one.shape(), one.shape()));
    assertThatThrownBy(() -> CountsMixture.sum(List.of(one, other)))
        .hasMessageContaining("counts of " + other.shape());
    assertThatThrownBy(() -> CountsMixture.of(List.of(one), Long.MAX_VALUE))
        .isInstanceOf(ArithmeticException.class);
  }
}
