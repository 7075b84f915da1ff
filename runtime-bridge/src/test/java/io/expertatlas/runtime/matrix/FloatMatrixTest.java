package io.expertatlas.runtime.matrix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.cpu.FloatProducts;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The host in floats. */
class FloatMatrixTest extends MatrixContract {
  @BeforeAll
  static void useOneThread() {
    FloatProducts.useThreads(1);
  }

  @Override
  protected MatrixDevice open() {
    return FloatDevice.INSTANCE;
  }

  @Test
  void whatIsLoadedIsTheHostsOwnMemory() {
    FloatBuffer host = FloatBuffer.wrap(new float[] {1, 2, 3, 4, 5, 6});
    Matrix matrix = FloatDevice.INSTANCE.load(host, 2, 3);
    host.put(5, 7);
    assertThat(matrix.toHost()).containsExactly(1, 2, 3, 4, 5, 7);
    matrix.add(matrix);
    assertThat(host.get(4)).isEqualTo(10);
  }

  @Test
  void largeLastingMatricesUseTheSameMemoryAgain() {
    Matrix first = FloatDevice.INSTANCE.zeros(1024, 513);
    FloatBuffer memory = FloatMatrix.of(first).values;
    assertThat(memory.isDirect()).isTrue();
    first.addRowsAt(
        new int[] {1023},
        FloatDevice.INSTANCE.of(1, 513, IntStream.range(1, 514).asDoubleStream().toArray()));
    FloatBuffer host = FloatBuffer.allocate(1024 * 513);
    FloatDevice.INSTANCE.store(first, host);
    assertThat(host.get(1024 * 513 - 1)).isEqualTo(513);
    assertThatThrownBy(first::toHost).isInstanceOf(IndexOutOfBoundsException.class);
    FloatDevice.INSTANCE.release(first); // a second time: nothing is left
    Matrix second = FloatDevice.INSTANCE.zeros(513, 1024);
    assertThat(FloatMatrix.of(second).values).isSameAs(memory);
    assertThat(second.toHost()).containsOnly(0);
    Matrix third = FloatDevice.INSTANCE.zeros(513, 1024);
    assertThat(FloatMatrix.of(third).values).isNotSameAs(memory);
    FloatDevice.INSTANCE.release(second);
    FloatDevice.INSTANCE.release(third);
  }

  @Test
  void theHostsMemoryIsNotUsedForOthers() {
    FloatBuffer host = FloatBuffer.allocate(1024 * 300);
    Matrix loaded = FloatDevice.INSTANCE.load(host, 1024, 300);
    FloatDevice.INSTANCE.release(loaded);
    Matrix other = FloatDevice.INSTANCE.zeros(1024, 300);
    other.addRowsAt(
        new int[] {0},
        FloatDevice.INSTANCE.of(1, 300, IntStream.range(1, 301).asDoubleStream().toArray()));
    assertThat(host.get(0)).isZero();
    assertThat(loaded.toHost()).containsOnly(0);
    FloatDevice.INSTANCE.release(other);
  }

  /** Rows that are shared out, beside doubles on one thread. */
  @Test
  void largeMatricesAreThoseOfTheTwinWithSeveralThreads() {
    int rows = 70;
    int columns = 1003;
    List<double[]> values =
        IntStream.range(0, 2)
            .mapToObj(
                i -> IntStream.range(0, rows * columns).mapToDouble(n -> Math.sin(n + i)).toArray())
            .toList();
    double[] expected = rowWork(DoubleDevice.INSTANCE, rows, columns, values);
    FloatProducts.useThreads(1);
    double[] alone = rowWork(FloatDevice.INSTANCE, rows, columns, values);
    FloatProducts.useThreads(3);
    double[] together = rowWork(FloatDevice.INSTANCE, rows, columns, values);
    FloatProducts.useThreads(1);
    assertThat(together).isEqualTo(alone);
    assertThat(alone).usingComparatorWithPrecision(1e-4).containsExactly(expected);
  }

  private static double[] rowWork(
      MatrixDevice device, int rows, int columns, List<double[]> values) {
    Matrix x = device.of(rows, columns, values.get(0));
    Matrix y = device.of(rows, columns, values.get(1));
    Matrix sums = device.zeros(1, columns);
    sums.addRowsOf(x);
    Matrix first = x.rowProducts(y);
    Matrix weight = y.rows(0, 9);
    Matrix bias = first.device().of(1, 9, IntStream.range(-4, 5).asDoubleStream().toArray());
    Matrix second = x.linear(weight, bias);
    Matrix third = x.linearRelu(weight, bias);
    Matrix fourth = y.linearReluBackward(x.add(y), sums);
    return Stream.of(sums, first, second, third, fourth)
        .flatMapToDouble(matrix -> Arrays.stream(matrix.toHost()))
        .toArray();
  }

  @Test
  void severalThreadsComputeFromTheSameWeights() throws Exception {
    double[] values = IntStream.range(0, 64 * 64).mapToDouble(i -> Math.sin(i)).toArray();
    Matrix weights = FloatDevice.INSTANCE.of(64, 64, values);
    double[] alone = weights.linear(weights).swiglu(weights).toHost();
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try {
      List<Future<double[]>> results =
          IntStream.range(0, 100)
              .mapToObj(i -> pool.submit(() -> weights.linear(weights).swiglu(weights).toHost()))
              .toList();
      for (Future<double[]> result : results) {
        assertThat(result.get()).isEqualTo(alone);
      }
    } finally {
      pool.shutdownNow();
    }
  }
}
