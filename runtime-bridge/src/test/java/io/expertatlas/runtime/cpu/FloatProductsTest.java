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
