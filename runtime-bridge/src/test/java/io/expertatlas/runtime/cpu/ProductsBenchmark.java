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
import org.bytedeco.javacpp.ShortPointer;

/**
 * Products on one thread: row by row, whole, cut into small ones as {@link Products} does, and with
 * bf16 weights, the rounding of the input included. Processor time, the best of some repetitions in
 * turn, in microseconds. Weights are not used twice in a row, so that large ones come from memory.
 *
 * <pre>
 * java -cp 'runtime-bridge/target/test-classes:runtime-bridge/target/classes:runtime-bridge/target/lib/*' \
 *   io.expertatlas.runtime.cpu.ProductsBenchmark</pre>
 */
final class ProductsBenchmark {
  private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();
  private static final int WEIGHTS = 1 << 27;
  private static final int NUMBERS = 1 << 21; // of input and output
  private static final int REPETITIONS = 9;
  private static final int[][] SIZES = {
    {192, 64}, {192, 192}, {192, 4096}, {768, 2048}, {4096, 4096}, {4096, 14336}
  };
  private static final int[] ROWS = {1, 2, 8, 16, 32, 128};
  private static final int MOST_SINGLE_ROWS = 32;

  private final FloatPointer x = new FloatPointer(NUMBERS);
  private final FloatPointer weights = new FloatPointer(WEIGHTS);
  private final ShortPointer bf16Weights = new ShortPointer(WEIGHTS);
  private final FloatPointer out = new FloatPointer(NUMBERS);
  private final Bf16Products bf16 = new Bf16Products(new CpuMemory());

  private int next; // matrix

  private ProductsBenchmark() {
    ProductThreads.set(1);
    for (int i = 0; i < NUMBERS; i++) {
      x.put(i, i % 7 - 3);
    }

    for (int i = 0; i < WEIGHTS; i++) {
      weights.put(i, i % 13 - 6);
      bf16Weights.put(i, Bf16.round(i % 13 - 6));
    }
  }

  /** Prints a table. */
  public static void main(String[] arguments) {
    ProductsBenchmark benchmark = new ProductsBenchmark();
    System.out.println(
        "| in x out | rows | `sgemv` a row | `sgemm` | cut into small ones | bf16 |");
    System.out.println("|---|---|---|---|---|---|");
    for (int[] size : SIZES) {
      for (int rows : ROWS) {
        System.out.println(benchmark.line(rows, size[0], size[1]));
      }
    }
  }

  private String line(int rows, int in, int n) {
    Runnable[] ways = {
      () -> rowByRow(rows, in, n, Products.at(weights, next(in, n))),
      () -> whole(rows, in, n, Products.at(weights, next(in, n))),
      () -> Products.linear(x, Products.at(weights, next(in, n)), rows, in, n, 0, out),
      () -> bf16.linear(x, new ShortPointer(bf16Weights).position(next(in, n)), rows, in, n, 0, out)
    };
    int first = rows > MOST_SINGLE_ROWS ? 1 : 0;
    float[][] results = new float[ways.length][rows * n];
    for (int way = first; way < ways.length; way++) {
      next = 0;
      ways[way].run();
      out.get(results[way], 0, rows * n); // whole numbers: exact in any order
      if (!Arrays.equals(results[way], results[first])) {
        throw new IllegalStateException(
            "Wrong result of way %d: %d rows, %d x %d".formatted(way, rows, in, n));
      }
    }

    int batch = (long) rows * in * n < 10_000_000 ? 10 : 1; // reading the clock takes time too
    double[] best = new double[ways.length];
    Arrays.fill(best, Double.MAX_VALUE);
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
      for (int way = first; way < ways.length; way++) {
        best[way] = Math.min(best[way], microseconds(ways[way], batch));
      }
    }

    String single = first == 0 ? "%.2f".formatted(best[0]) : "";
    return "| %d x %d | %d | %s | %.2f | %.2f | %.2f |"
        .formatted(in, n, rows, single, best[1], best[2], best[3]);
  }

  /** Where another matrix begins at each call, as far as there are. */
  private long next(int in, int n) {
    int matrices = Math.min(32, WEIGHTS / (in * n));
    return (long) (next++ % matrices) * in * n;
  }

  private static double microseconds(Runnable way, int batch) {
    long start = CLOCK.getCurrentThreadCpuTime();
    long end = start;
    int calls = 0;
    while (end - start < 3_000_000) {
      for (int i = 0; i < batch; i++) {
        way.run();
      }

      calls += batch;
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
