package io.expertatlas.placement.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SymmetricEigenTest {
  private static double[] symmetric(int n, SplittableRandom random) {
    double[] matrix = new double[n * n];
    boolean sparse = random.nextInt(3) == 0;
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double value = sparse && random.nextInt(3) > 0 ? 0 : random.nextDouble() * 2 - 1;
        matrix[i * n + j] = value;
        matrix[j * n + i] = value;
      }
    }

    return matrix;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void vectorsAreTurnedIntoMultiplesOfThemselves(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int n = 1 + random.nextInt(20);
    double[] matrix = symmetric(n, random);
    SymmetricEigen eigen = new SymmetricEigen(n);
    eigen.decompose(matrix, true);
    for (int i = 0; i < n; i++) {
      for (int row = 0; row < n; row++) {
        double image = 0;
        for (int column = 0; column < n; column++) {
          image += matrix[row * n + column] * eigen.vector(i, column);
        }

        assertThat(image).isCloseTo(eigen.value(i) * eigen.vector(i, row), within(1e-12 * n));
      }

      for (int j = 0; j <= i; j++) {
        double inner = 0;
        for (int row = 0; row < n; row++) {
          inner += eigen.vector(i, row) * eigen.vector(j, row);
        }

        assertThat(inner).isCloseTo(i == j ? 1 : 0, within(1e-12 * n));
      }
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void valuesAreTheSameWithoutVectorsAndSumToTheTrace(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int n = 1 + random.nextInt(30);
    double[] matrix = symmetric(n, random);
    SymmetricEigen with = new SymmetricEigen(n);
    SymmetricEigen without = new SymmetricEigen(n);
    with.decompose(matrix, true);
    without.decompose(matrix, false);
    double trace = 0;
    double sum = 0;
    double[] one = new double[n];
    double[] other = new double[n];
    for (int i = 0; i < n; i++) {
      one[i] = with.value(i);
      other[i] = without.value(i);
      trace += matrix[i * n + i];
      sum += one[i];
    }

    Arrays.sort(one);
    Arrays.sort(other);
    assertThat(one).containsExactly(other, within(1e-12 * n));
    assertThat(sum).isCloseTo(trace, within(1e-12 * n));
  }

  @Test
  void equalValuesAndEmptyMatricesAreFine() {
    SymmetricEigen eigen = new SymmetricEigen(5);
    double[] ones = new double[25];
    Arrays.fill(ones, 1);
    eigen.decompose(ones, true);
    double[] values = new double[5];
    Arrays.setAll(values, eigen::value);
    Arrays.sort(values);
    assertThat(values).containsExactly(new double[] {0, 0, 0, 0, 5}, within(1e-12));
    double[] square = new double[25];
    for (int i = 0; i < 5; i++) {
      eigen.addSquare(i, eigen.value(i), square);
    }

    assertThat(square).containsExactly(ones, within(1e-12));
    eigen.decompose(new double[25], true);
    assertThat(eigen.value(3)).isZero();
  }

  @Test
  void whatIsNotFiniteIsRefused() {
    assertThatThrownBy(() -> new SymmetricEigen(1).decompose(new double[] {Double.NaN}, true))
        .isInstanceOf(ArithmeticException.class)
        .hasMessage("Invalid matrix: it holds NaN");
  }
}
