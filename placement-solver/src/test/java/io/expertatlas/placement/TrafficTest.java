package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.placement.Traffic.Parallelism;
import io.expertatlas.placement.search.Starts;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.trace.RoutingTrace;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TrafficTest {
  /** Copies of every token, sent one by one: at home on each GPU in turn, and coherent. */
  private record Walk(double home, long coherent) {}

  private static Walk walk(RoutingTrace trace, Placement placement) {
    int gpus = placement.topology().gpus();
    double home = 0;
    long coherent = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      int at = -1;
      for (int layer = 0; layer < trace.shape().layers(); layer++) {
        Set<Integer> touched = new HashSet<>();
        for (int rank = 0; rank < trace.shape().topK(); rank++) {
          touched.add(placement.gpu(layer, trace.expert(token, layer, rank)));
        }

        for (int h = 0; h < gpus; h++) {
          home += 2.0 * (touched.size() - (touched.contains(h) ? 1 : 0)) / gpus;
        }

        int first = placement.gpu(layer, trace.expert(token, layer, 0));
        at = layer == 0 ? first : at;
        coherent += touched.size() - (touched.contains(at) ? 1 : 0) + touched.size() - 1;
        at = first;
      }
    }

    return new Walk(home, coherent);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void bytesAreThoseOfTheCopiesThatTokensSend(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int topK = 1 + random.nextInt(3);
    RoutingTrace trace =
        Routes.random(1 + random.nextInt(4), 6, topK, 1 + random.nextInt(40), seed);
    PlacementProblem problem = Routes.problem(trace, 1 + random.nextInt(2), 1 + random.nextInt(3));
    Placement placement =
        new Placement(problem.topology(), Starts.random(Chain.of(problem), random));
    PlacementCost cost = PlacementCost.of(problem.counts(), placement);
    Walk walk = walk(trace, placement);
    double bytes = 7.0 * 2 / trace.tokens();
    assertThat(new Traffic(Parallelism.HOME, 7, 2).bytesPerToken(cost))
        .isCloseTo(walk.home() * bytes, within(1e-9));
    double coherent = new Traffic(Parallelism.COHERENT, 7, 2).bytesPerToken(cost);
    if (topK == 1) {
      assertThat(coherent).isCloseTo(walk.coherent() * bytes, within(1e-9));
    } else {
      assertThat(coherent).isGreaterThanOrEqualTo(walk.coherent() * bytes - 1e-9);
    }
  }

  @Test
  void theObjectiveIsThatOfTheEngine() {
    assertThat(new Traffic(Parallelism.HOME, 1, 1).objective()).isEqualTo(Objective.FANOUT);
    assertThat(new Traffic(Parallelism.COHERENT, 1, 1).objective()).isEqualTo(Objective.COPIES);
    assertThat(Parallelism.HOME.word()).isEqualTo("home");
    assertThatThrownBy(() -> new Traffic(Parallelism.HOME, 0, 2))
        .hasMessage("Invalid hidden states: 0 numbers of 2 bytes, each at least 1");
  }

  @Test
  void anEmptyTraceSendsNothing() {
    PlacementProblem problem = Routes.problem(Routes.CASE_A.slice(0, 0), 1, 2);
    PlacementCost cost =
        PlacementCost.of(
            problem.counts(), new Placement(problem.topology(), Starts.vanilla(problem)));
    assertThat(new Traffic(Parallelism.HOME, 4, 2).bytesPerToken(cost)).isZero();
  }
}
