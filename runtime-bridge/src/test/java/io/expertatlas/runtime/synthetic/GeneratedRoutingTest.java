package io.expertatlas.runtime.synthetic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.pipeline.StepRouting;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class GeneratedRoutingTest {
  private static final double NONE = Double.NaN;

  @ParameterizedTest
  @CsvSource({
    "8, 0.5, 0.1870",
    "8, 2, 0.3922",
    "8, 3, 0.5980",
    "8, 4.5, 0.8262",
    "16, 0.5, 0.0932",
    "16, 1.8, 0.2072",
    "16, 2.3, 0.3002",
    "16, 2.8, 0.4070",
    "64, 1.4, 0.0517",
    "64, 2, 0.1036",
    "64, 2.4, 0.1547",
    "64, 4.5, 0.4976"
  })
  void gatesHaveTheConcentrationOfTheArtifacts(int experts, double exponent, double squares) {
    SkewedGate gate = SkewedGate.ofExponent(experts, exponent);
    assertThat(gate.skew()).isCloseTo(squares, within(2e-4));
    double sum = 0;
    for (int rank = 0; rank < experts; rank++) {
      sum += gate.share(rank);
    }

    assertThat(sum).isCloseTo(1, within(1e-12));
  }

  @ParameterizedTest
  @CsvSource({
    "16, 2.3, 0.48763 0.20924 0.11091 0.06094 0.03699 0.02435 0.01703 0.01248",
    "8, 3, 0.75674 0.14919 0.04923 0.02112 0.01085 0.00628 0.00395 0.00265"
  })
  void sharesAreThoseOfTheArtifact(int experts, double exponent, String shares) {
    SkewedGate gate = SkewedGate.ofExponent(experts, exponent);
    String[] expected = shares.split(" ");
    for (int rank = 0; rank < expected.length; rank++) {
      assertThat(gate.share(rank)).isCloseTo(Double.parseDouble(expected[rank]), within(5.1e-6));
    }
  }

  /** The artifact's gate as it is described, token by token. */
  private static double[] sampled(int experts, double exponent, int tokens, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] ends = new double[experts];
    double total = 0;
    for (int j = 0; j < experts; j++) {
      total += Math.pow(j + 1, -exponent);
      ends[j] = total;
    }

    double[] shares = new double[experts];
    for (int token = 0; token < tokens; token++) {
      boolean[] drawn = new boolean[experts];
      for (int i = 0; i < experts; i++) {
        double at = random.nextDouble() * total;
        int j = 0;
        while (ends[j] < at) {
          j++;
        }

        drawn[j] = true;
      }

      int winner = 0;
      int most = -1;
      for (int j = 0; j < experts; j++) {
        int score = drawn[j] ? poisson(random.nextDouble(), random) : 0;
        if (score > most) {
          most = score;
          winner = j;
        }
      }

      shares[winner] += 1.0 / tokens;
    }

    return shares;
  }

  private static int poisson(double mean, SplittableRandom random) {
    double limit = Math.exp(-mean);
    int events = 0;
    for (double product = random.nextDouble(); product > limit; product *= random.nextDouble()) {
      events++;
    }

    return events;
  }

  @ParameterizedTest
  @CsvSource({"8, 3", "16, 1.8", "5, 0", "1, 1"})
  void sharesAreThoseOfTheDescribedDraw(int experts, double exponent) {
    SkewedGate gate = SkewedGate.ofExponent(experts, exponent);
    double[] sampled = sampled(experts, exponent, 200_000, 11);
    double squares = 0;
    for (int rank = 0; rank < experts; rank++) {
      assertThat(sampled[rank]).isCloseTo(gate.share(rank), within(0.006));
      squares += sampled[rank] * sampled[rank];
    }

    assertThat(squares).isCloseTo(gate.skew(), within(0.03 * gate.skew()));
  }

  @ParameterizedTest
  @CsvSource({"8, 0.6", "16, 0.4", "64, 0.2", "64, 0.05", "3, 0.9", "8, 0.125", "8, 0.14", "1, 1"})
  void theExponentIsSolvedForTheSkew(int experts, double skew) {
    assertThat(SkewedGate.ofSkew(experts, skew).skew()).isCloseTo(skew, within(1e-6));
  }

  @Test
  void theExponentOfAPublishedLabelIsFound() {
    assertThat(SkewedGate.ofSkew(64, 0.2).exponent()).isCloseTo(2.6969, within(5e-4));
  }

  @Test
  void skewsThatCannotBeAreRefused() {
    assertThatThrownBy(() -> SkewedGate.ofSkew(8, 0.1))
        .hasMessage(
            "Invalid skew: 0.1, the sum of squared shares of 8 experts is from 0.1250 to 0.999");
    assertThatThrownBy(() -> SkewedGate.ofSkew(8, 1.2)).hasMessageContaining("Invalid skew: 1.2");
    assertThatThrownBy(() -> SkewedGate.ofExponent(0, 1))
        .hasMessageContaining("Invalid gate: 0 experts");
  }

  private static StepRouting step(int experts, double skew, GeneratedRouting.Settings settings) {
    return new GeneratedRouting(SkewedGate.ofSkew(experts, skew), settings).next().orElseThrow();
  }

  @Test
  void redrawnPopularityFlattensOverMicroBatches() {
    // q / m + (1 - 1 / m) / E, q = 0.3002: 0.1219
    StepRouting step = step(16, 0.3002, new GeneratedRouting.Settings(400, 4, 50_000, 0, NONE, 3));
    assertThat(step.concentration()).isCloseTo(0.1219, within(0.002));
  }

  @Test
  void persistentPopularityStays() {
    GeneratedRouting routing =
        new GeneratedRouting(
            SkewedGate.ofSkew(8, 0.5), new GeneratedRouting.Settings(3, 2, 10_000, 1, NONE, 3));
    StepRouting first = routing.next().orElseThrow();
    StepRouting second = routing.next().orElseThrow();
    assertThat(first.concentration()).isCloseTo(0.5, within(0.01));
    for (int layer = 0; layer < 3; layer++) {
      for (int expert = 0; expert < 8; expert++) {
        assertThat((double) second.counts(layer, 1)[expert])
            .isCloseTo(first.counts(layer, 0)[expert], within(400.0));
      }
    }

    assertThat(first.predicted(0, 0)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({"0.0, 0.2, 0.45", "0.5, 0.6, 0.73", "0.85, 0.86, 0.93", "1.0, 1, 1"})
  void predictionsAreAsGoodAsTheFidelitySays(double fidelity, double least, double most) {
    GeneratedRouting.Settings settings =
        new GeneratedRouting.Settings(50, 2, 4096, 0.5, fidelity, 9);
    StepRouting step = step(16, 0.3, settings);
    assertThat(step.fidelity()).isBetween(least, most);
    for (int layer = 0; layer < 50; layer++) {
      assertThat(Arrays.stream(step.predicted(layer, 1)).sum()).isEqualTo(4096);
    }
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void theSeedAloneDecidesAndFidelityChangesNoRouting(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int experts = 1 + random.nextInt(20);
    int choices = 1 + random.nextInt(500);
    double persistence = random.nextDouble();
    double skew = 1.0 / experts + random.nextDouble() * (0.99 - 1.0 / experts);
    skew = experts == 1 ? 1 : skew;
    GeneratedRouting.Settings with =
        new GeneratedRouting.Settings(2, 3, choices, persistence, 0.7, seed);
    GeneratedRouting.Settings without =
        new GeneratedRouting.Settings(2, 3, choices, persistence, NONE, seed);
    StepRouting a = step(experts, skew, with);
    StepRouting b = step(experts, skew, without);
    for (int layer = 0; layer < 2; layer++) {
      for (int chunk = 0; chunk < 3; chunk++) {
        assertThat(a.counts(layer, chunk)).isEqualTo(b.counts(layer, chunk));
        assertThat(Arrays.stream(a.counts(layer, chunk)).sum()).isEqualTo(choices);
        assertThat(Arrays.stream(a.counts(layer, chunk)).min().orElseThrow()).isNotNegative();
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"10, 0.3", "1000, 0.01", "4096, 0.2", "4096, 0.9", "7, 0", "7, 1"})
  void binomialsHaveTheirMeanAndVariance(int trials, double chance) {
    SplittableRandom random = new SplittableRandom(4);
    double sum = 0;
    double squares = 0;
    int draws = 20_000;
    for (int i = 0; i < draws; i++) {
      double drawn = GeneratedRouting.binomial(trials, chance, random);
      sum += drawn;
      squares += drawn * drawn;
    }

    double variance = trials * chance * (1 - chance);
    assertThat(sum / draws)
        .isCloseTo(trials * chance, within(5 * Math.sqrt(variance / draws) + 1e-9));
    assertThat(squares / draws - sum / draws * (sum / draws))
        .isCloseTo(variance, within(0.06 * variance + 1e-9));
  }

  @Test
  void numbersThatMakeNoSenseAreRefused() {
    assertThatThrownBy(() -> new GeneratedRouting.Settings(0, 1, 1, 0, NONE, 1))
        .hasMessageContaining("Invalid routing: 0 layers");
    assertThatThrownBy(() -> new GeneratedRouting.Settings(1, 1, 1, 1.5, NONE, 1))
        .hasMessage("Invalid persistence: 1.5, from 0 to 1");
    assertThatThrownBy(() -> new GeneratedRouting.Settings(1, 1, 1, 0, -0.1, 1))
        .hasMessage("Invalid fidelity of the predictor: -0.1, from 0 to 1");
  }
}
