package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Products beside three loops. */
class DoubleProductsTest {
  private static double[] random(int size, long seed) {
    return new SplittableRandom(seed).doubles(size, -1, 1).toArray();
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "1,7,3", "5,1,2", "4,6,1", "13,9,17", "33,65,31", "0,3,2", "3,0,2", "2,3,0"})
  void productsAreThoseOfThreeLoops(int m, int n, int k) {
    double[] a = random(m * k, 1);
    double[] b = random(k * n, 2);
    double[] before = random(m * n, 3);
    double[] plain = new double[m * n];
    double[] byTransposed = new double[m * n];
    double[] added = before.clone();
    DoubleProducts.plain(m, n, k, a, b, plain);
    DoubleProducts.byTransposed(m, n, k, a, transposed(b, k, n), byTransposed);
    DoubleProducts.addTransposedBy(m, n, k, transposed(a, m, k), b, added);
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int l = 0; l < k; l++) {
          sum += a[i * k + l] * b[l * n + j];
        }

        int at = i * n + j;
        assertThat(plain[at]).isCloseTo(sum, within(1e-13 * (k + 1)));
        assertThat(byTransposed[at]).isCloseTo(sum, within(1e-13 * (k + 1)));
        assertThat(added[at]).isCloseTo(before[at] + sum, within(1e-13 * (k + 1)));
      }
    }
  }

  private static double[] transposed(double[] x, int rows, int columns) {
    double[] out = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      out[i % columns * rows + i / columns] = x[i];
    }

    return out;
  }
}
