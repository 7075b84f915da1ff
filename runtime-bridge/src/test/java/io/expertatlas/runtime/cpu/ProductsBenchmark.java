package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemv;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;
import org.bytedeco.javacpp.FloatPointer;

/**
 * Products of a few rows on one thread: row by row, whole, and cut into small ones as {@link
 * Products} does. Processor time, the best of some repetitions in turn, in microseconds. Weights
 * are not used twice in a row, so that large ones come from memory.
 *
 * <pre>
 * java -cp 'runtime-bridge/target/test-classes:runtime-bridge/target/classes:runtime-bridge/target/lib/*' \
 *   io.expertatlas.runtime.cpu.ProductsBenchmark</pre>
 */
final class ProductsBenchmark {
  private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();
  private static final int FLOATS = 1 << 24;
  private static final int REPETITIONS = 15;
  private static final int[][] SIZES = {
    {192, 64}, {192, 192}, {192, 4096}, {768, 2048}, {4096, 4096}
  };
  private static final int[] ROWS = {1, 2, 8, 16, 32};

  private final FloatPointer x = new FloatPointer(1 << 17);
  private final FloatPointer weights = new FloatPointer(FLOATS);
  private final FloatPointer out = new FloatPointer(1 << 17);

  private int next; // matrix

  private ProductsBenchmark() {
    ProductThreads.set(1);
    for (int i = 0; i < 1 << 17; i++) {
      x.put(i, i % 7 - 3);
    }

    for (int i = 0; i < FLOATS; i++) {
      weights.put(i, i % 13 - 6);
    }
  }

  /** Prints a table. */
  public static void main(String[] arguments) {
    ProductsBenchmark benchmark = new ProductsBenchmark();
    System.out.println("| in x out | rows | `sgemv` a row | `sgemm` | cut into small ones |");
    System.out.println("|---|---|---|---|---|");
    for (int[] size : SIZES) {
      for (int rows : ROWS) {
        System.out.println(benchmark.line(rows, size[0], size[1]));
      }
    }
  }

  private String line(int rows, int in, int n) {
    Runnable[] ways = {
      () -> rowByRow(rows, in, n, weight(in, n)),
      () -> whole(rows, in, n, weight(in, n)),
      () -> Products.linear(x, weight(in, n), rows, in, n, 0, out)
    };
    float[][] results = new float[ways.length][rows * n];
    double[] best = {Double.MAX_VALUE, Double.MAX_VALUE, Double.MAX_VALUE};
    for (int way = 0; way < ways.length; way++) {
      next = 0;
      ways[way].run();
      out.get(results[way], 0, rows * n); // whole numbers: exact in any order
      if (!Arrays.equals(results[way], results[0])) {
        throw new IllegalStateException(
            "Wrong result of way %d: %d rows, %d x %d".formatted(way, rows, in, n));
      }
    }

    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
      for (int way = 0; way < ways.length; way++) {
        best[way] = Math.min(best[way], microseconds(ways[way]));
      }
    }

    return "| %d x %d | %d | %.2f | %.2f | %.2f |"
        .formatted(in, n, rows, best[0], best[1], best[2]);
  }

  /** Another matrix at each call, as far as there are. */
  private FloatPointer weight(int in, int n) {
    int matrices = Math.min(32, FLOATS / (in * n));
    return Products.at(weights, (long) (next++ % matrices) * in * n);
  }

  private static double microseconds(Runnable way) {
    long start = CLOCK.getCurrentThreadCpuTime();
    long end = start;
    int calls = 0;
    while (end - start < 3_000_000) {
      for (int i = 0; i < 10; i++) {
        way.run();
      }

      calls += 10;
      end = CLOCK.getCurrentThreadCpuTime();
    }

    return (end - start) / 1e3 / calls;
  }

  private void rowByRow(int rows, int in, int n, FloatPointer weight) {
    for (int t = 0; t < rows; t++) {
      cblas_sgemv(
          CblasRowMajor,
          CblasNoTrans,
          n,
          in,
          1,
          weight,
          in,
          Products.at(x, (long) t * in),
          1,
          0,
          Products.at(out, (long) t * n),
          1);
    }
  }

  private void whole(int rows, int in, int n, FloatPointer weight) {
    cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasTrans, rows, n, in, 1, x, in, weight, in, 0, out, n);
  }
}
