package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;

/**
 * Products of few rows in training: {@code sgemm} whole and {@link FloatProducts}, weights outside
 * the heap and not in caches (400 MB in turn), rows on the heap. Medians of calls in turn,
 * milliseconds of wall time, so for a quiet machine; arguments are numbers of threads.
 *
 * <pre>
 * java -cp 'runtime-bridge/target/test-classes:runtime-bridge/target/classes:runtime-bridge/target/lib/*' \
 *   io.expertatlas.runtime.cpu.SharedProductsBenchmark 1 2</pre>
 */
final class SharedProductsBenchmark {
  private static final int WEIGHTS = 100 << 20;
  private static final int REPETITIONS = 7;
  private static final int[] ROWS = {1, 4, 16, 32, 64};
  private static final int[][] SIZES = {{8192, 2048}, {2048, 8192}, {4096, 1024}, {1024, 4096}};

  private final FloatBuffer weights = direct(WEIGHTS);
  private final FloatBuffer[] room = {direct(1 << 20), direct(1 << 20)};
  private final FloatBuffer[] rows = {FloatBuffer.allocate(1 << 20), FloatBuffer.allocate(1 << 20)};
  private int next; // weight

  private SharedProductsBenchmark() {
    for (int i = 0; i < WEIGHTS; i++) {
      weights.put(i, i % 13 - 6);
    }

    for (int i = 0; i < 1 << 20; i++) {
      rows[0].put(i, i % 7 - 3);
      rows[1].put(i, i % 5 - 2);
    }
  }

  private static FloatBuffer direct(int count) {
    return ByteBuffer.allocateDirect(count * Float.BYTES)
        .order(ByteOrder.nativeOrder())
        .asFloatBuffer();
  }

  /** Prints a table for each number of threads. */
  public static void main(String[] arguments) {
    SharedProductsBenchmark benchmark = new SharedProductsBenchmark();
    for (String threads : arguments) {
      FloatProducts.useThreads(Integer.parseInt(threads));
      System.out.println("\n" + threads + " threads");
      System.out.println("| weights | rows | `x W^T`: whole, cut | `dy W`: whole, cut |");
      System.out.println("|---|---|---|---|");
      for (int[] size : SIZES) {
        for (int count : ROWS) {
          System.out.println(benchmark.line(count, size[0], size[1]));
        }
      }
    }
  }

  private String line(int m, int out, int in) {
    return "| %d x %d | %d | %s | %s |"
        .formatted(
            out,
            in,
            m,
            times(
                out * in,
                w -> whole(m, out, in, CblasNoTrans, in, CblasTrans, in, w),
                w -> FloatProducts.byTransposed(m, out, in, rows[0], w, rows[1])),
            times(
                out * in,
                w -> whole(m, in, out, CblasNoTrans, out, CblasNoTrans, in, w),
                w -> FloatProducts.plain(m, in, out, rows[0], w, rows[1])));
  }

  private interface Way {
    void run(FloatBuffer weights);
  }

  private void whole(int m, int n, int k, int turnA, int lda, int turnB, int ldb, FloatBuffer w) {
    room[0].put(0, rows[0], 0, m * k);
    cblas_sgemm(CblasRowMajor, turnA, turnB, m, n, k, 1, room[0], lda, w, ldb, 0, room[1], n);
    rows[1].put(0, room[1], 0, m * n);
  }

  private String times(int size, Way whole, Way cut) {
    Way[] ways = {whole, cut};
    double[][] times = new double[2][REPETITIONS];
    for (int repetition = -2; repetition < REPETITIONS; repetition++) { // two to warm up
      for (int way = 0; way < 2; way++) {
        next = (next + 1) % (WEIGHTS / size);
        FloatBuffer w = weights.duplicate().position(next * size);
        long start = System.nanoTime();
        ways[way].run(w);
        times[way][Math.max(0, repetition)] = (System.nanoTime() - start) / 1e6;
      }
    }

    Arrays.sort(times[0]);
    Arrays.sort(times[1]);
    return "%.2f, %.2f".formatted(times[0][REPETITIONS / 2], times[1][REPETITIONS / 2]);
  }
}
