package io.expertatlas.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.runtime.matrix.Choices;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixContract;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.matrix.MatrixDevice.Scope;
import io.expertatlas.runtime.matrix.RowList;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A GPU in floats; beside what every device must do: its memory. Skipped where there is none. */
@SuppressWarnings("try") // scopes that are only closed
class CudaMatrixTest extends MatrixContract {
  private static final long MEGABYTE = 1L << 20;
  private static CudaMatrixDevice shared;

  /** One for all tests: opening a GPU takes long. */
  @Override
  protected MatrixDevice open() {
    return shared;
  }

  @Override
  protected void close(MatrixDevice opened) {
    // the last test's end closes it
  }

  @BeforeAll
  static void openOne() {
    assumeTrue(CudaDevice.whyNone().isEmpty(), () -> "skipped: " + CudaDevice.whyNone());
    shared = new CudaMatrixDevice(0, 2048 * MEGABYTE, false);
  }

  @AfterAll
  static void closeIt() {
    if (shared != null) {
      shared.close();
    }
  }

  private static double[] counting(int count) {
    return IntStream.range(0, count).asDoubleStream().toArray();
  }

  @Test
  void whatNobodyGaveUpStays() {
    try (CudaMatrixDevice device = new CudaMatrixDevice(0, 16 * MEGABYTE, false)) {
      Matrix lasting = device.zeros(256, 1024); // 1 MiB
      Matrix kept;
      try (Scope scope = device.scope()) {
        kept = device.of(256, 1024, counting(256 * 1024));
        scope.keep(kept);
      }

      for (int i = 0; i < 100; i++) {
        try (Scope scope = device.scope()) {
          Matrix some = device.of(512, 1024, counting(512 * 1024));
          some.add(some);
        }
      }

      assertThat(lasting.toHost()).containsOnly(0);
      assertThat(kept.toHost()).isEqualTo(counting(256 * 1024));
      assertThat(device.peakBytes()).isEqualTo(4 * MEGABYTE);
    }
  }

  @Test
  void moreThanTheBudgetIsRefused() {
    try (CudaMatrixDevice device = new CudaMatrixDevice(0, 4 * MEGABYTE, false)) {
      Matrix most = device.zeros(768, 1024);
      assertThatThrownBy(() -> device.zeros(512, 1024))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "Cannot hold 2,097,152 bytes more on cuda:0: 1,048,576 of 4,194,304 are free, at"
                  + " most 1,048,576 together");
      assertThatThrownBy(() -> device.load(FloatBuffer.allocate(2048 * 1024), 2048, 1024))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("Cannot load 8,388,608 bytes to cuda:0: it has 4,194,304");
      device.release(most);
      device.release(device.zeros(1024, 1024));
    }
  }

  @Test
  void aMatrixThatWasGivenUpIsRefused() {
    try (CudaMatrixDevice device = new CudaMatrixDevice(0, 4 * MEGABYTE, false)) {
      Matrix one = device.zeros(3, 4);
      device.release(one);
      assertThatThrownBy(one::toHost)
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("A matrix 3 x 4 of cuda:0 was given up");
      assertThatThrownBy(() -> device.release(one))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("A matrix 3 x 4 of cuda:0 was given up before");
    }
  }

  @Test
  void rowsThatAreNotThereAreRefused() {
    Matrix x = shared.zeros(3, 4);
    assertThatThrownBy(() -> x.gather(new int[] {0, 3}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid row 3 of 3");
    for (int wrong : new int[] {-1, 3}) {
      try (Scope scope = shared.scope()) {
        RowList list = shared.rowList(new int[] {0, wrong, 1}, new double[3]);
        String message = "Invalid row %d of 3".formatted(wrong);
        assertThatThrownBy(() -> list.gather(x, 0, 1)).hasMessage(message);
        assertThatThrownBy(() -> list.gatherWeighted(x, 0, 1)).hasMessage(message);
      }
    }

    assertThatThrownBy(() -> x.addRowsAt(new int[] {-1, 0, 0}, x))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid row -1 of 3");
    assertThatThrownBy(() -> x.crossEntropy(new int[] {0, 4, 0}, 1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid target 4 of 4");
    assertThatThrownBy(
            () ->
                shared.combine(
                    new Matrix[] {x, null},
                    4,
                    new Choices(1, new int[] {0, 1}, new int[] {0, 0}),
                    null))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid row 0 of source 1: none there");
    assertThatThrownBy(() -> x.add(DoubleDevice.INSTANCE.zeros(3, 4)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("A matrix of cpu in doubles is not on cuda:0");
    shared.release(x);
  }

  @Test
  void aListIsGivenUpWithItsScope() {
    Matrix x = shared.zeros(3, 4);
    RowList list;
    try (Scope scope = shared.scope()) {
      list = shared.rowList(new int[] {0, 2}, new double[0]);
      assertThat(list.gather(x, 0, 2).toHost()).containsOnly(0);
    }

    assertThatThrownBy(() -> list.gather(x, 0, 2))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("A matrix 1 x 2 of cuda:0 was given up");
    shared.release(x);
  }

  @Test
  void loadsWaitForRoom() throws Exception {
    try (CudaMatrixDevice device = new CudaMatrixDevice(0, 4 * MEGABYTE, false)) {
      FloatBuffer values = device.pinned(512 * 1024);
      for (int i = 0; i < values.capacity(); i++) {
        values.put(i, i);
      }

      Matrix first = device.zeros(768, 1024);
      CountDownLatch started = new CountDownLatch(1);
      ExecutorService loader = Executors.newSingleThreadExecutor();
      Future<Matrix> load =
          loader.submit(
              () -> {
                started.countDown();
                Matrix loaded = device.load(values, 512, 1024);
                device.awaitLoads();
                return loaded;
              });
      started.await();
      Thread.sleep(50);
      assertThat(load.isDone()).isFalse();
      device.release(first);
      assertThat(load.get().toHost()).isEqualTo(counting(512 * 1024));
      Future<Matrix> hopeless = loader.submit(() -> device.load(values, 512, 1024));
      assertThat(hopeless.get().rows()).isEqualTo(512);
      Future<Matrix> interrupted = loader.submit(() -> device.load(values, 512, 1024));
      Thread.sleep(50);
      loader.shutdownNow();
      assertThatThrownBy(interrupted::get).hasRootCauseInstanceOf(InterruptedException.class);
    }
  }

  @Test
  void aLoadTakesWhatWasGivenBackInManyPieces() throws Exception {
    try (CudaMatrixDevice device = new CudaMatrixDevice(0, 4 * MEGABYTE, false)) {
      FloatBuffer values = device.pinned(1024 * 1024);
      for (int i = 0; i < values.capacity(); i++) {
        values.put(i, i);
      }

      for (int round = 0; round < 3; round++) {
        List<Matrix> pieces = new ArrayList<>();
        for (int i = 0; i < 64; i++) {
          pieces.add(device.zeros(16, 1024));
        }

        for (Matrix piece : pieces) {
          piece.add(piece);
          device.release(piece);
        }

        Matrix all = device.load(values, 1024, 1024);
        device.awaitLoads();
        assertThat(all.toHost()).isEqualTo(counting(1024 * 1024));
        device.release(all);
      }
    }
  }

  @Test
  void storesFreeTheirMemoryForComputingAndLoads() throws Exception {
    try (CudaMatrixDevice device = new CudaMatrixDevice(0, 4 * MEGABYTE, false)) {
      List<FloatBuffer> stored = new ArrayList<>();
      FloatBuffer zero = device.pinned(768 * 1024);
      for (int i = 0; i < zero.capacity(); i++) {
        zero.put(i, 0);
      }

      for (int round = 0; round < 20; round++) {
        Matrix sum = round % 2 == 0 ? device.zeros(768, 1024) : device.load(zero, 768, 1024);
        device.awaitLoads();
        try (Scope scope = device.scope()) {
          Matrix column = device.of(1, 768, filled(768, 1));
          sum.addOuter(column, device.of(1, 1024, filled(1024, round + 1)));
        }

        stored.add(device.pinned(768 * 1024));
        device.store(sum, stored.get(round));
      }

      device.synchronize();
      for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 768 * 1024; i += 511) {
          assertThat(stored.get(round).get(i)).isEqualTo(round + 1);
        }
      }
    }
  }

  private static double[] filled(int count, double value) {
    double[] out = new double[count];
    Arrays.fill(out, value);
    return out;
  }

  @Test
  void manyLoadsAndComputationsShareLittleMemory() throws Exception {
    try (CudaMatrixDevice device = new CudaMatrixDevice(0, 8 * MEGABYTE, false)) {
      FloatBuffer values = device.pinned(256 * 1024);
      for (int i = 0; i < values.capacity(); i++) {
        values.put(i, i % 7);
      }

      Matrix x = device.of(64, 1024, filled(64 * 1024, 1));
      double[] expected = new double[256];
      for (int i = 0; i < 256 * 1024; i++) {
        expected[i / 1024] += i % 7;
      }

      ExecutorService loader = Executors.newSingleThreadExecutor();
      Future<Matrix> next = loader.submit(() -> device.load(values, 256, 1024));
      for (int i = 0; i < 200; i++) {
        Matrix weight = next.get();
        next = loader.submit(() -> device.load(values, 256, 1024));
        try (Scope scope = device.scope()) {
          Matrix y = x.linear(weight);
          Matrix z = y.gather(new int[] {63}); // behind the product
          device.release(weight);
          Matrix overwritten = device.of(256, 1024, filled(256 * 1024, -1));
          overwritten.add(overwritten);
          assertThat(z.toHost()).isEqualTo(expected);
        }
      }

      device.release(next.get());
      loader.shutdown();
    }
  }

  @Test
  void matricesTravelBetweenDevices() {
    int other = CudaDevice.count() > 1 ? 1 : 0;
    try (CudaMatrixDevice device = new CudaMatrixDevice(other, 64 * MEGABYTE, false)) {
      try (Scope there = shared.scope();
          Scope here = device.scope()) {
        Matrix x = shared.of(1000, 1000, counting(1_000_000));
        Matrix copy = device.take(x);
        assertThat(copy.device()).isSameAs(device);
        assertThat(copy.add(copy).toHost())
            .isEqualTo(IntStream.range(0, 1_000_000).mapToDouble(i -> 2f * i).toArray());
        assertThat(x.toHost()).isEqualTo(counting(1_000_000));
      }
    }
  }

  @Test
  void attentionThatNeedsSeveralPiecesIsThatOfOne() {
    try (Scope scope = shared.scope()) {
      Heads heads = new Heads(8, 4, 32);
      int length = 2048; // 16 MiB of scores a head: 8 units of 2 heads at a time
      int rows = 3 * length;
      Matrix q = shared.of(rows, 256, sines(rows * 256));
      Matrix k = shared.of(rows, 128, sines(rows * 128));
      Matrix all = q.attend(heads, k, k, length);
      Matrix gradients = q.attendBackward(heads, k, k, length, q).keys();
      int[] last = IntStream.range(2 * length, rows).toArray();
      Matrix lastQ = q.gather(last);
      Matrix lastK = k.gather(last);
      assertClose(all.gather(last), lastQ.attend(heads, lastK, lastK, length));
      assertClose(
          gradients.gather(last), lastQ.attendBackward(heads, lastK, lastK, length, lastQ).keys());
    }
  }

  private static void assertClose(Matrix some, Matrix others) {
    double[] is = some.toHost();
    double[] should = others.toHost();
    double largest = Arrays.stream(should).map(Math::abs).max().orElseThrow();
    for (int i = 0; i < should.length; i++) {
      assertThat(is[i]).isCloseTo(should[i], within(1e-5 * largest));
    }
  }

  private static double[] sines(int count) {
    return IntStream.range(0, count).mapToDouble(i -> Math.sin(0.37 * i)).toArray();
  }
}
