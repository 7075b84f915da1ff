package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Products agree with sums written out, on and outside the heap, from a position. */
class FloatProductsTest {
  private final SplittableRandom random = new SplittableRandom(7);

  @ParameterizedTest
  @CsvSource({
    "1,1,1",
    "3,5,7",
    "1,33,129",
    "31,1,64",
    "16,17,1",
    "130,31,65",
    "0,3,2",
    "3,2,0",
    "5000,2,1100"
  })
  void productsAreSums(int m, int n, int k) {
    for (int kinds = 0; kinds < 8; kinds += m > 1000 ? 7 : 1) { // large: all heap, all direct
      FloatBuffer a = buffer(m * k, (kinds & 1) == 0);
      FloatBuffer b = buffer(k * n, (kinds & 2) == 0);
      FloatBuffer c = buffer(m * n, (kinds & 4) == 0);
      FloatBuffer before = FloatBuffer.allocate(m * n).put(c.duplicate()).flip();
      FloatProducts.addTransposedBy(m, n, k, turned(a, m, k), b, c);
      check(m, n, k, a, b, c, before);
      if (k > 0) {
        FloatProducts.plain(m, n, k, a, b, c);
        check(m, n, k, a, b, c, FloatBuffer.allocate(m * n));
        FloatProducts.byTransposed(m, n, k, a, turned(b, k, n), c);
        check(m, n, k, a, b, c, FloatBuffer.allocate(m * n));
      }
    }
  }

  /** Weights that are large enough to be shared out, odd sizes, each way to cut. */
  @ParameterizedTest
  @CsvSource({
    "1,2051,2053",
    "4,1027,2053",
    "5,4099,1027",
    "16,1030,4101",
    "33,2050,2049",
    "64,521,8195",
    "65,16380,601",
    "128,1027,521",
    "130,521,1027"
  })
  void bitsAreThoseOfAnyNumberOfThreads(int m, int n, int k) {
    FloatBuffer a = buffer(m * k, false);
    FloatBuffer down = buffer(m * n, false);
    FloatBuffer weights = buffer(k * n, true);
    FloatBuffer plain = buffer(m * n, false);
    FloatBuffer transposed = buffer(m * k, true);
    try {
      for (int threads : new int[] {1, 2, 5}) {
        FloatProducts.useThreads(threads);
        FloatBuffer out = buffer(m * n, true);
        FloatBuffer back = buffer(m * k, false);
        FloatProducts.plain(m, n, k, a, weights, out);
        FloatProducts.byTransposed(m, k, n, down, weights, back);
        if (threads == 1) {
          checkSome(m, n, k, a, weights, down, out, back);
          plain.put(3, out, 3, m * n);
          transposed.put(3, back, 3, m * k);
        }

        assertThat(out).as("%d threads", threads).isEqualTo(plain);
        assertThat(back).as("%d threads", threads).isEqualTo(transposed);
      }
    } finally {
      FloatProducts.useThreads(1);
    }
  }

  /** Numbers drawn at random and those of the last column, each by a loop in doubles. */
  private void checkSome(
      int m,
      int n,
      int k,
      FloatBuffer a,
      FloatBuffer weights,
      FloatBuffer down,
      FloatBuffer plain,
      FloatBuffer transposed) {
    for (int sample = 0; sample < 2000; sample++) {
      int row = sample % m;
      int j = sample < m ? n - 1 : random.nextInt(n);
      int l = sample < m ? k - 1 : random.nextInt(k);
      double there = 0;
      for (int t = 0; t < k; t++) {
        there += (double) a.get(3 + row * k + t) * weights.get(3 + t * n + j);
      }

      double back = 0;
      for (int t = 0; t < n; t++) {
        back += (double) down.get(3 + row * n + t) * weights.get(3 + l * n + t);
      }

      assertThat((double) plain.get(3 + row * n + j)).isCloseTo(there, within(1e-4));
      assertThat((double) transposed.get(3 + row * k + l)).isCloseTo(back, within(1e-4));
    }
  }

  private static void check(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c, FloatBuffer before) {
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        double sum = before.get(i * n + j);
        for (int l = 0; l < k; l++) {
          sum += (double) a.get(a.position() + i * k + l) * b.get(b.position() + l * n + j);
        }

        assertThat((double) c.get(c.position() + i * n + j)).isCloseTo(sum, within(1e-6 * (k + 1)));
      }
    }
  }

  private FloatBuffer buffer(int count, boolean direct) {
    FloatBuffer all =
        direct
            ? ByteBuffer.allocateDirect(4 * (count + 3))
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer()
            : FloatBuffer.wrap(new float[count + 4]).position(1).slice();
    for (int i = 0; i < all.capacity(); i++) {
      all.put(i, (float) random.nextDouble(-1, 1));
    }

    return all.position(3).limit(3 + count);
  }

  private static FloatBuffer turned(FloatBuffer x, int rows, int columns) {
    FloatBuffer out = FloatBuffer.allocate(rows * columns);
    for (int i = 0; i < rows * columns; i++) {
      out.put(i % columns * rows + i / columns, x.get(x.position() + i));
    }

    return out;
  }
}
