package io.expertatlas.affinity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.trace.Cases;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class AnalysisMetricsTest {
  @TempDir private Path home;

  static Stream<Long> seeds() {
    return Cases.seeded(40);
  }

  /** Shares of a sample of tokens that each draw k distinct experts, with chances by weight. */
  private static double[] sample(double[] weights, int tokens, int topK, SplittableRandom random) {
    long[] counts = new long[weights.length];
    for (int t = 0; t < tokens; t++) {
      boolean[] drawn = new boolean[weights.length];
      for (int rank = 0; rank < topK; rank++) {
        double left = 0;
        for (int e = 0; e < weights.length; e++) {
          left += drawn[e] ? 0 : weights[e];
        }

        double at = random.nextDouble() * left;
        int expert = -1;
        for (int e = 0; e < weights.length && at >= 0; e++) {
          if (!drawn[e]) {
            at -= weights[e];
            expert = e;
          }
        }

        drawn[expert] = true;
        counts[expert]++;
      }
    }

    return Distances.shares(counts);
  }

  @ParameterizedTest(name = "{0} experts, top-{1}, {2} and {3} tokens, skew {4}")
  @CsvSource({
    "8,1,500,500,0",
    "8,2,500,100,1",
    "32,4,300,300,0.5",
    "64,6,200,1000,1",
    "16,1,2000,50,2",
    "256,8,120,120,0.7",
    "1,1,10,10,0",
    "4,4,50,50,0"
  })
  void theNoiseFloorIsWhatSamplesShow(int experts, int topK, int n, int m, double skew) {
    SplittableRandom random = new SplittableRandom(1);
    double[] weights = new double[experts];
    Arrays.setAll(weights, e -> Math.pow(e + 1, -skew));
    double simulated = 0;
    double expected = 0;
    int rounds = 60;
    for (int round = 0; round < rounds; round++) {
      double[] p = sample(weights, n, topK, random);
      double[] q = sample(weights, m, topK, random);
      simulated += Distances.totalVariation(p, q) / rounds;
      expected +=
          Distances.expectedTotalVariation(Distances.pooled(p, n, q, m), n, m, topK) / rounds;
    }

    assertThat(expected).isCloseTo(simulated, within(0.002 + 0.06 * simulated));
  }

  @Test
  void sparseSamplesDoNotExceedWhatIsPossible() {
    double[] p = new double[65_536];
    Arrays.fill(p, 1.0 / p.length);
    SplittableRandom random = new SplittableRandom(1);
    long[] one = new long[p.length];
    long[] two = new long[p.length];
    for (int i = 0; i < 5000; i++) {
      one[random.nextInt(p.length)]++;
      two[random.nextInt(p.length)]++;
    }

    double found = Distances.totalVariation(Distances.shares(one), Distances.shares(two));
    assertThat(Distances.expectedTotalVariation(p, 5000, 5000, 1))
        .isBetween(found - 0.01, 1.0)
        .isCloseTo(found, within(0.1));
  }

  @Test
  void distancesOfKnownShares() {
    double[] left = {1, 0, 0};
    double[] right = {0, 0.5, 0.5};
    assertThat(Distances.totalVariation(left, right)).isEqualTo(1);
    assertThat(Distances.jensenShannonBits(left, right)).isCloseTo(1, within(1e-12));
    assertThat(Distances.totalVariation(left, left)).isZero();
    assertThat(Distances.jensenShannonBits(right, right)).isZero();
    assertThat(Distances.totalVariation(new double[] {0.5, 0.5}, new double[] {0.75, 0.25}))
        .isEqualTo(0.25);
    assertThat(Distances.expectedTotalVariation(left, 0, 5, 1)).isZero();
    assertThat(Distances.expectedTotalVariation(left, 5, 5, 1)).isZero();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void windowFiguresAreTheirFormulas(long seed) {
    RoutingTrace trace = AffinityCases.trace(seed);
    int k = trace.shape().topK();
    AnalysisPlan plan = new AnalysisPlan(30, List.of(), false, TokenGroups.NONE);
    WindowCounts counts =
        InMemoryEstimator.analyze(AffinityCases.reader(trace, 7), plan).whole().windows();

    for (int layer = 0; layer < trace.shape().layers(); layer++) {
      List<WindowMetrics> metrics = WindowMetrics.of(counts, layer, 0.25);
      assertThat(metrics).hasSize((trace.tokens() + 29) / 30);
      double[] forecast = {};
      double[] before = {};
      for (int w = 0; w < metrics.size(); w++) {
        RoutingTrace own = trace.slice(30 * w, Math.min(trace.tokens(), 30 * w + 30));
        double[] now = new double[trace.shape().experts()];
        for (int t = 0; t < own.tokens(); t++) {
          for (int rank = 0; rank < k; rank++) {
            now[own.expert(t, layer, rank)] += 1.0 / (own.tokens() * k);
          }
        }

        WindowMetrics found = metrics.get(w);
        double mean = 1.0 / now.length;
        double variance =
            Arrays.stream(now).map(p -> (p - mean) * (p - mean)).average().getAsDouble();
        assertThat(found.load().coefficientOfVariation())
            .isCloseTo(Math.sqrt(variance) / mean, within(1e-6));
        if (w == 0) {
          assertThat(found.drift()).isNaN();
          assertThat(found.emaError()).isNaN();
          forecast = now.clone();
        } else {
          assertThat(found.drift()).isCloseTo(distance(before, now), within(1e-12));
          assertThat(found.emaError()).isCloseTo(distance(forecast, now), within(1e-12));
          for (int e = 0; e < now.length; e++) {
            forecast[e] = 0.25 * now[e] + 0.75 * forecast[e];
          }
        }

        before = now;
      }
    }

    assertThatThrownBy(() -> WindowMetrics.of(counts, 0, 0))
        .hasMessage("Invalid weight of the moving average: 0.0, above 0, at most 1");
  }

  private static double distance(double[] p, double[] q) {
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      sum += Math.abs(p[i] - q[i]);
    }

    return sum / 2;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void lagFiguresAreTheirFormulas(long seed) throws IOException {
    RoutingTrace trace = AffinityCases.trace(seed);
    ModelShape shape = trace.shape();
    if (shape.layers() < 3 || trace.tokens() == 0) {
      return;
    }

    AnalysisPlan plan = new AnalysisPlan(0, List.of(2, 1), false, TokenGroups.NONE);
    AnalysisPart whole = InMemoryEstimator.analyze(AffinityCases.reader(trace, 7), plan).whole();
    ExpertGrouping blocks = ExpertGrouping.parse("blocks:2", shape);
    for (int start = 0; start < shape.layers() - 1; start++) {
      GapMetrics gap = GapMetrics.of(whole.counts().transitions(), start, 5);
      LagMetrics lag = LagMetrics.of(whole.lags().get(0), 5).get(start);
      assertThat(lag.mutualInformationBits()).isEqualTo(gap.mutualInformationBits());
      assertThat(lag.shuffledMutualInformationBits())
          .isEqualTo(gap.shuffledMutualInformationBits());
    }

    for (LagMetrics lag : LagMetrics.of(whole.lags().get(1), 5)) {
      int from = lag.start();
      double guessed = 0;
      double popular = 0;
      double stay = 0;
      double independent = 0;
      for (int e = 0; e < shape.experts(); e++) {
        long best = 0;
        for (int f = 0; f < shape.experts(); f++) {
          long both = count(trace, from, e, from + 2, f);
          best = Math.max(best, both);
          stay += e / 2 == f / 2 ? both : 0;
          independent +=
              e / 2 == f / 2
                  ? (double) count(trace, from, e, from, e) * count(trace, from + 2, f, from + 2, f)
                  : 0;
        }

        guessed += best;
        popular = Math.max(popular, count(trace, from + 2, e, from + 2, e));
      }

      double n = trace.tokens();
      assertThat(lag.topNext()).isCloseTo(guessed / n, within(1e-12));
      assertThat(lag.independentTopNext()).isCloseTo(popular / n, within(1e-12));
      assertThat(lag.gain()).isCloseTo(guessed / n / lag.shuffledTopNext(), within(1e-9));
      assertThat(blocks.stayShare(whole.lags().get(1), from)).isCloseTo(stay / n, within(1e-12));
      assertThat(blocks.independentStayShare(whole.lags().get(1), from))
          .isCloseTo(independent / n / n, within(1e-12));
    }
  }

  private static long count(RoutingTrace trace, int layer, int expert, int other, int next) {
    long tokens = 0;
    for (int t = 0; t < trace.tokens(); t++) {
      tokens += trace.expert(t, layer, 0) == expert && trace.expert(t, other, 0) == next ? 1 : 0;
    }

    return tokens;
  }

  @Test
  void shuffledTracesHaveNoAffinityAtAnyLagAndOneGroupIsNearItself() {
    RoutingTrace trace =
        AffinityCases.shuffled(SyntheticTrace.draw(new ModelShape(4, 8, 2), 20_000, 9, 0.9, 1), 2);
    AnalysisPlan plan = new AnalysisPlan(0, List.of(1, 2, 3), false, TokenGroups.NONE);
    AnalysisPart whole = InMemoryEstimator.analyze(AffinityCases.reader(trace, 777), plan).whole();

    for (LagTransitions lag : whole.lags()) {
      for (LagMetrics metrics : LagMetrics.of(lag, 3)) {
        assertThat(metrics.informationGainBits()).isCloseTo(0, within(0.003));
        assertThat(metrics.gain()).isCloseTo(1, within(0.05));
      }
    }

    AnalysisPart early = part(trace.slice(0, 10_000));
    AnalysisPart late = part(trace.slice(10_000, 20_000));
    AnalysisPart other = part(SyntheticTrace.draw(new ModelShape(4, 8, 2), 10_000, 9, 0.9, 7));
    List<GroupDistance> distances = GroupDistance.of(List.of(early, late, other));
    GroupDistance same = distances.get(0);
    assertThat(distances).hasSize(3);
    assertThat(same.popularity() / same.popularityNoise()).isBetween(0.5, 1.5);
    assertThat(same.transitions() / same.transitionsNoise()).isBetween(0.8, 1.2);
    assertThat(distances.get(1).transitions())
        .isGreaterThan(5 * distances.get(1).transitionsNoise());
  }

  private static AnalysisPart part(RoutingTrace trace) {
    return InMemoryEstimator.analyze(AffinityCases.reader(trace, 777), AnalysisPlan.PLAIN).whole();
  }

  private Path file(String content) throws IOException {
    return Files.writeString(home.resolve("file.csv"), content, StandardCharsets.UTF_8);
  }

  @Test
  void groupFilesAreReadAndTheirProblemsNamed() throws IOException {
    TokenGroups groups =
        TokenGroups.parse(
            file("task, group ,sequence\r\n1,law,7\r\n2,a b/c,3\r\n\r\n3,law,0\r\n").toString());
    assertThat(groups.label()).isEqualTo("file.csv");
    assertThat(groups.name(groups.of(7, 0))).isEqualTo("law");
    assertThat(groups.name(groups.of(3, 1))).isEqualTo("a b/c");
    assertThatThrownBy(() -> groups.of(5, 0))
        .hasMessage("sequence 5 has no group in file.csv. Maybe leave it out with --sequences");
    assertGroupProblem("", ":1: the header has no columns sequence and group");
    assertGroupProblem("sequence,task\n1,a\n", ":1: the header has no columns sequence and group");
    assertGroupProblem("sequence,group\n1\n", ":2: 1 cells, expected 2 without quotes");
    assertGroupProblem("sequence,group\n1,\"a\"\n", ":2: 2 cells, expected 2 without quotes");
    assertGroupProblem(
        "sequence,group\n-1,a\n",
        ":2: sequence '-1', group 'a', expected a sequence id and a name");
    assertGroupProblem("sequence,group\n1,a\n1,b\n", ":3: sequence 1 stands twice");
    assertGroupProblem("sequence,group\n", ": 0, 1 to 256");
    Files.write(home.resolve("file.csv"), new byte[] {'a', (byte) 0xff, '\n'});
    assertThatThrownBy(() -> TokenGroups.read(home.resolve("file.csv")))
        .hasMessageEndingWith("it is not UTF-8");
  }

  private void assertGroupProblem(String content, String message) throws IOException {
    Path file = file(content);
    assertThatThrownBy(() -> TokenGroups.read(file))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid groups in " + file + message);
  }

  @Test
  void groupingsAreReadAndTheirProblemsNamed() throws IOException {
    ModelShape shape = new ModelShape(2, 2, 1);
    ExpertGrouping grouping =
        ExpertGrouping.parse(file("Expert,Node\r\n0,1\r\n3,0\r\n1,0\r\n2,1\r\n").toString(), shape);
    assertThat(grouping.group(0, 0)).isEqualTo(1);
    assertThat(grouping.group(1, 1)).isZero();
    assertThat(ExpertGrouping.parse("blocks:1", shape).group(1, 1)).isEqualTo(1);
    assertGroupingProblem("Expert,Node\n0,1\n9,0\n", ":3: expert 9, 0 to 3 of " + shape);
    assertGroupingProblem("Expert,Node\n0,1\n0,0\n", ":3: expert 0 stands twice");
    assertGroupingProblem("Expert,Node\nx,1\n", ":2: expected layer*experts+expert,group");
    assertGroupingProblem("Expert,Node\n0,1\n", ": expert 1 of " + shape + " has no group");
  }

  private void assertGroupingProblem(String content, String message) throws IOException {
    Path file = file(content);
    assertThatThrownBy(() -> ExpertGrouping.read(file, new ModelShape(2, 2, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid grouping " + file + message);
  }
}
