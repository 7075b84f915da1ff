package io.expertatlas.placement;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.affinity.CountsMixture;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class CountsShrinkageTest {
  private static RoutingTrace drawn(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = seed % 7 == 0 ? 1 : 2 + random.nextInt(7);
    return Routes.random(
        seed % 5 == 0 ? 1 : 1 + random.nextInt(4),
        experts,
        1 + random.nextInt(Math.min(4, experts)),
        seed % 11 == 0 ? 0 : random.nextInt(200),
        seed);
  }

  /** Tokens of a pair, by definition: each token lends itself to the experts beside its choices. */
  private static double lent(RoutingTrace trace, int gap, int from, int to, double strength) {
    double sum = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      sum +=
          kernel(trace, gap, trace.expert(token, gap, 0), from, strength)
              * kernel(trace, gap + 1, trace.expert(token, gap + 1, 0), to, strength);
    }

    return sum;
  }

  private static double kernel(
      RoutingTrace trace, int layer, int expert, int other, double strength) {
    if (trace.shape().topK() == 1) {
      return expert == other ? 1 : 0;
    }

    double beside = 0;
    double all = 0;
    for (int token = 0; token < trace.tokens(); token++) {
      boolean has = false;
      boolean hasOther = false;
      for (int rank = 0; rank < trace.shape().topK(); rank++) {
        has |= trace.expert(token, layer, rank) == expert;
        hasOther |= trace.expert(token, layer, rank) == other;
      }

      all += has ? trace.shape().topK() - 1 : 0;
      beside += has && hasOther ? 1 : 0;
    }

    return expert == other ? 1 - strength : strength * beside / all;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void coActivationLendsEachTokenToTheExpertsBesideItsChoices(long seed) {
    RoutingTrace trace = drawn(seed);
    ModelShape shape = trace.shape();
    RouteCounts counts = Routes.count(trace);
    double strength = (seed % 4) / 3.0;

    RouteCounts shrunken =
        CountsShrinkage.shrink(counts, List.of(CountsShrinkage.CO_ACTIVATION), strength);

    for (int gap = 0; gap < shape.layers() - 1; gap++) {
      for (int from = 0; from < shape.experts(); from++) {
        for (int to = 0; to < shape.experts(); to++) {
          assertThat(shrunken.transitions().firstChoices(gap, from, to) / 256.0)
              .isCloseTo(lent(trace, gap, from, to, strength), within(0.5 / 256 + 1e-9));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(CountsShrinkage.class)
  void nothingButTransitionsChangesAndTheirSumStays(CountsShrinkage target) {
    RouteCounts counts = weighted(Routes.count(Routes.random(4, 7, 3, 500, 1)));
    for (double strength : new double[] {0, 0.3, 1}) {
      RouteCounts shrunken = CountsShrinkage.shrink(counts, List.of(target), strength);

      assertThat(shrunken.popularity()).isEqualTo(counts.popularity());
      assertThat(shrunken.expertSets()).isEqualTo(counts.expertSets());
      assertThat(shrunken.tokens()).isEqualTo(counts.tokens());
      double changed = 0;
      for (int gap = 0; gap < 3; gap++) {
        double sum = 0;
        for (int cell = 0; cell < 49; cell++) {
          double now = shrunken.transitions().firstChoices(gap, cell / 7, cell % 7) / 256.0;
          sum += now;
          changed += Math.abs(now - counts.transitions().firstChoices(gap, cell / 7, cell % 7));
        }

        assertThat(sum).isCloseTo(500, within(49 * 0.5 / 256));
      }

      assertThat(changed > 1).as("%s changes at %s", target, strength).isEqualTo(strength > 0);
    }
  }

  /** The counts with pair units: three for each pair of experts, plus the first choices. */
  private static RouteCounts weighted(RouteCounts counts) {
    int experts = counts.shape().experts();
    long[] firsts = new long[(counts.shape().layers() - 1) * experts * experts];
    long[] units = new long[firsts.length];
    for (int cell = 0; cell < firsts.length; cell++) {
      firsts[cell] =
          counts
              .transitions()
              .firstChoices(cell / experts / experts, cell / experts % experts, cell % experts);
      units[cell] = firsts[cell] + 3;
    }

    return new RouteCounts(
        counts.shape(),
        counts.tokens(),
        counts.popularity(),
        new Transitions(counts.shape(), firsts, units),
        counts.coactivation(),
        counts.expertSets());
  }

  @Test
  void fullStrengthReachesTheTarget() {
    RouteCounts counts = weighted(Routes.count(Routes.random(2, 3, 1, 90, 2)));

    RouteCounts independent =
        CountsShrinkage.shrink(counts, List.of(CountsShrinkage.INDEPENDENCE), 1);
    RouteCounts pairs = CountsShrinkage.shrink(counts, List.of(CountsShrinkage.PAIRS), 1);
    RouteCounts even = CountsShrinkage.shrink(counts, List.of(CountsShrinkage.EVEN), 1);

    double[][] lifted = new double[3][3];
    double sum = 0;
    for (int from = 0; from < 3; from++) {
      for (int to = 0; to < 3; to++) {
        double n = counts.transitions().firstChoices(0, from, to);
        double leaving = counts.popularity().firstChoices(0, from);
        double arriving = counts.popularity().firstChoices(1, to);
        assertThat(independent.transitions().firstChoices(0, from, to) / 256.0)
            .isCloseTo(leaving * arriving / 90, within(0.002));
        assertThat(pairs.transitions().firstChoices(0, from, to) / 256.0)
            .isCloseTo((n + 3) * 90 / (90 + 27), within(0.002));
        lifted[from][to] = n / Math.sqrt((leaving + 3) * (arriving + 3));
        sum += lifted[from][to];
      }
    }

    for (int cell = 0; cell < 9; cell++) {
      assertThat(even.transitions().firstChoices(0, cell / 3, cell % 3) / 256.0)
          .isCloseTo(lifted[cell / 3][cell % 3] * 90 / sum, within(0.002));
    }
  }

  @Test
  void unitsShrinkWithTheNumberOfTokens() {
    RouteCounts few = Routes.count(Routes.random(2, 3, 1, 90, 2));
    RouteCounts many = CountsMixture.of(List.of(few), 100_000);

    assertThat(CountsShrinkage.scale(few)).isEqualTo(256);
    assertThat(CountsShrinkage.scale(many)).isEqualTo(64);
    assertThat(CountsShrinkage.scale(CountsMixture.of(List.of(few), 100_000_000))).isEqualTo(1);
  }

  @Test
  void whatIsNoTargetOrStrengthIsRefused() {
    RouteCounts counts = Routes.count(Routes.random(2, 3, 1, 90, 2));

    assertThatThrownBy(() -> CountsShrinkage.shrink(counts, List.of(), 1.5))
        .hasMessage("Invalid shrinkage: 1.5, 0 to 1");
    assertThatThrownBy(() -> CountsShrinkage.ofWord("zero"))
        .hasMessage("Invalid target: zero, one of co-activation, independence, pairs, even");
  }
}
