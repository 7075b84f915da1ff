package io.expertatlas.affinity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MetricsTest {
  private static AffinitySummary summary(RoutingTrace trace, long seed) {
    return AffinitySummary.of(AffinityCases.count(trace), "trace", TokenSelection.ALL, seed);
  }

  @Test
  void loadFiguresOfAKnownLayer() {
    // experts 0, 0, 0, 1 of 4: shares 3/4, 1/4, 0, 0
    RoutingTrace trace = RoutingTrace.ofExperts(new ModelShape(1, 4, 1), new short[] {0, 0, 0, 1});

    LayerMetrics layer = summary(trace, 1).layers().get(0);

    assertThat(layer.shares()).isEqualTo(List.of(0.75, 0.25, 0.0, 0.0));
    assertThat(layer.maxOverMean()).isEqualTo(3);
    assertThat(layer.gini()).isCloseTo((0.25 + 3 * 0.75) / 4, within(1e-15));
    assertThat(layer.entropyBits()).isCloseTo(2 - 0.75 * Math.log(3) / Math.log(2), within(1e-12));
  }

  @Test
  void affinityFiguresOfAKnownGap() {
    // 0->1 twice, 1->0, 1->1
    RoutingTrace trace =
        RoutingTrace.ofExperts(new ModelShape(2, 2, 1), new short[] {0, 1, 0, 1, 1, 0, 1, 1});

    GapMetrics gap = summary(trace, 1).gaps().get(0);

    // H(next) - H(next | this) = H(3/4) - 1/2 * 1
    assertThat(gap.mutualInformationBits()).isCloseTo(0.311278, within(1e-6));
    assertThat(gap.meanMaxNext()).isEqualTo(0.75);
    assertThat(gap.independentMaxNext()).isEqualTo(0.75);
  }

  @Test
  void expertsThatNeverOccurDoNotCount() {
    RoutingTrace trace = RoutingTrace.ofExperts(new ModelShape(2, 9, 1), new short[] {3, 4, 3, 4});

    GapMetrics gap = summary(trace, 1).gaps().get(0);

    assertThat(gap.meanMaxNext()).isEqualTo(1);
    assertThat(gap.shuffledMeanMaxNext()).isEqualTo(1);
    assertThat(gap.gainBits()).isZero();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void figuresStayInTheirRange(long seed) {
    RoutingTrace trace = AffinityCases.trace(seed);
    AffinitySummary summary = summary(trace, seed);
    int experts = trace.shape().experts();

    assertThat(summary).isEqualTo(summary(trace, seed));
    for (LayerMetrics layer : summary.layers()) {
      double sum = layer.shares().stream().mapToDouble(Double::doubleValue).sum();
      assertThat(sum).isCloseTo(trace.tokens() == 0 ? 0 : 1, within(1e-9));
      assertThat(layer.gini()).isBetween(0.0, 1 - 1.0 / experts + 1e-9);
      assertThat(layer.maxOverMean()).isBetween(0.0, experts + 1e-9);
      assertThat(layer.entropyBits()).isBetween(0.0, Math.log(experts) / Math.log(2) + 1e-9);
    }

    for (GapMetrics gap : summary.gaps()) {
      assertThat(gap.mutualInformationBits())
          .isBetween(0.0, Math.log(experts) / Math.log(2) + 1e-9);
      assertThat(gap.meanMaxNext()).isBetween(0.0, 1.0);
      assertThat(gap.shuffledMeanMaxNext()).isBetween(0.0, 1.0);
    }
  }

  @Test
  void anEmptyTraceHasZeros() {
    AffinitySummary summary =
        summary(RoutingTrace.ofExperts(new ModelShape(2, 3, 1), new short[0]), 1);

    assertThat(summary.layers().get(1))
        .isEqualTo(new LayerMetrics(1, List.of(0.0, 0.0, 0.0), 0, 0, 0));
    assertThat(summary.gaps()).isEqualTo(List.of(new GapMetrics(0, 0, 0, 0, 0, 0)));
  }

  @Test
  void shufflingTheTokensRemovesTheGain() {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(4, 16, 2), 20_000, 50, 0.6, 3);

    AffinitySummary real = summary(trace, 7);
    AffinitySummary shuffled = summary(AffinityCases.shuffled(trace, 5), 7);

    for (int gap = 0; gap < 3; gap++) {
      assertThat(real.gaps().get(gap).gainBits()).isGreaterThan(1);
      assertThat(real.gaps().get(gap).meanMaxNext()).isGreaterThan(0.55);
      assertThat(shuffled.gaps().get(gap).gainBits()).isCloseTo(0, within(0.003));
      assertThat(shuffled.gaps().get(gap).meanMaxNext())
          .isCloseTo(shuffled.gaps().get(gap).shuffledMeanMaxNext(), within(0.01));
      // the control was the same all along: it knows only how popular experts are
      assertThat(real.gaps().get(gap).shuffledMutualInformationBits())
          .isEqualTo(shuffled.gaps().get(gap).shuffledMutualInformationBits());
    }
  }

  @Test
  void theDrawnControlIsDistributedLikeATrueShuffle() {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(2, 12, 1), 700, 50, 0.7, 3);
    double drawn = 0;
    double permuted = 0;
    double drawnSquares = 0;
    double permutedSquares = 0;
    int repeats = 400;
    for (int i = 0; i < repeats; i++) {
      double one = summary(trace, i).gaps().get(0).shuffledMutualInformationBits();
      double other =
          summary(AffinityCases.shuffled(trace, i), 1).gaps().get(0).mutualInformationBits();
      drawn += one / repeats;
      permuted += other / repeats;
      drawnSquares += one * one / repeats;
      permutedSquares += other * other / repeats;
    }

    double drawnDeviation = Math.sqrt(drawnSquares - drawn * drawn);
    double permutedDeviation = Math.sqrt(permutedSquares - permuted * permuted);
    assertThat(drawn).isCloseTo(permuted, within(4 * permutedDeviation / Math.sqrt(repeats)));
    assertThat(drawnDeviation / permutedDeviation).isBetween(0.85, 1.18);
    // large-sample expectation (E - 1)^2 / (2 N ln 2)
    assertThat(drawn).isCloseTo(11 * 11 / (2 * 700 * Math.log(2)), within(0.1 * drawn));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void drawnTablesKeepTheirMargins(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int size = 1 + random.nextInt(9);
    long[] from = new long[size];
    long[] to = new long[size];
    long scale = seed % 2 == 0 ? 3 : 1_000_000_000L;
    for (int i = 0; i < size; i++) {
      from[i] = random.nextLong(scale);
    }

    for (long count : from) { // the same total, spread anew
      to[random.nextInt(size)] += count;
    }

    long[][] table = ShuffledPairs.draw(from, to, random);

    for (int e = 0; e < size; e++) {
      long row = 0;
      long column = 0;
      for (int f = 0; f < size; f++) {
        assertThat(table[e][f]).isNotNegative();
        row += table[e][f];
        column += table[f][e];
      }

      assertThat(row).isEqualTo(from[e]);
      assertThat(column).isEqualTo(to[e]);
    }
  }

  @Test
  void hypergeometricDrawsFollowTheirLaw() {
    // 5 good of 12, 6 drawn: P(k) = C(5,k) C(7,6-k) / C(12,6)
    double[] law = {7, 105, 350, 350, 105, 7};
    SplittableRandom random = new SplittableRandom(1);
    int draws = 100_000;
    int[] found = new int[6];
    for (int i = 0; i < draws; i++) {
      found[(int) ShuffledPairs.hypergeometric(5, 7, 6, random)]++;
    }

    for (int k = 0; k < 6; k++) {
      assertThat(found[k] / (double) draws).isCloseTo(law[k] / 924, within(0.006));
    }
  }

  @Test
  void logFactorialsAreThoseOfTheDefinition() {
    double sum = 0;
    for (int n = 1; n < 200; n++) {
      sum += Math.log(n);
      assertThat(ShuffledPairs.logFactorial(n)).isCloseTo(sum, within(1e-9));
    }
  }
}
