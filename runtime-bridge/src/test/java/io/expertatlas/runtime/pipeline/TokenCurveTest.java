package io.expertatlas.runtime.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class TokenCurveTest {
  private static TokenCurve curve(int[] tokens, double... nanos) {
    double[][] samples = new double[nanos.length][];
    for (int i = 0; i < nanos.length; i++) {
      samples[i] = new double[] {nanos[i]};
    }

    return TokenCurve.of(tokens, samples);
  }

  @ParameterizedTest
  @CsvSource({"0, 0", "-3, 0", "1, 10", "2, 10", "3, 15", "4, 20", "8, 40", "9, 45", "80, 400"})
  void timesBetweenCountsAreInterpolated(int count, double nanos) {
    assertThat(curve(new int[] {2, 4, 8}, 10, 20, 40).nanos(count)).isEqualTo(nanos);
  }

  @Test
  void pointsAreMediansOfTheirSamplesWhichAreKept() {
    TokenCurve curve = TokenCurve.of(new int[] {1, 5}, new double[][] {{9, 1, 2}, {4, 8, 100, 6}});
    assertThat(curve.nanos(1)).isEqualTo(2);
    assertThat(curve.nanos(5)).isEqualTo(7);
    assertThat(curve.samples(1)).containsExactly(4, 8, 100, 6);
    assertThat(curve.monotone().samples(0)).containsExactly(9, 1, 2);
    assertThat(curve.points()).isEqualTo(2);
    assertThat(curve.tokens(1)).isEqualTo(5);
  }

  @Test
  void fallingNeighboursShareTheirMean() {
    TokenCurve fitted = curve(new int[] {1, 2, 3, 4, 5}, 1, 5, 3, 1, 9).monotone();
    for (int count = 1; count <= 5; count++) {
      assertThat(fitted.nanos(count)).isEqualTo(new double[] {0, 1, 3, 3, 3, 9}[count]);
    }
  }

  /** Of all never falling curves the fitted one is nearest: max over i of min over j of means. */
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void theFitIsTheIsotonicRegression(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int points = 1 + random.nextInt(12);
    int[] tokens = new int[points];
    double[] nanos = new double[points];
    for (int i = 0; i < points; i++) {
      tokens[i] = i + 1;
      nanos[i] = 1 + random.nextInt(20);
    }

    TokenCurve fitted = curve(tokens, nanos).monotone();
    for (int k = 0; k < points; k++) {
      double most = 0;
      for (int i = 0; i <= k; i++) {
        double least = Double.POSITIVE_INFINITY;
        for (int j = k; j < points; j++) {
          double sum = 0;
          for (int l = i; l <= j; l++) {
            sum += nanos[l];
          }

          least = Math.min(least, sum / (j - i + 1));
        }

        most = Math.max(most, least);
      }

      assertThat(fitted.nanos(k + 1)).isCloseTo(most, within(1e-9));
    }
  }

  @Test
  void brokenCurvesAreRefused() {
    assertThatThrownBy(() -> curve(new int[] {2, 2}, 1, 1))
        .hasMessage("Invalid token counts of a curve: 2 after 2, expected ascending ones from 1");
    assertThatThrownBy(() -> curve(new int[] {0}, 1)).hasMessageContaining("0 after 0");
    assertThatThrownBy(() -> TokenCurve.of(new int[] {1}, new double[][] {{}}))
        .hasMessage("Invalid samples of a time: [], expected positive numbers, at least one");
    assertThatThrownBy(() -> TokenCurve.of(new int[] {1}, new double[][] {{1, 0}}))
        .hasMessageContaining("Invalid samples of a time: [1.0, 0.0]");
    assertThatThrownBy(() -> TokenCurve.of(new int[] {1, 2}, new double[][] {{1}}))
        .hasMessage(
            "Invalid curve: 2 token counts, 1 points with samples, as many of each, at least 1");
  }
}
