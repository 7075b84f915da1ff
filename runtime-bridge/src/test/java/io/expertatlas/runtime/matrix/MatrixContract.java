package io.expertatlas.runtime.matrix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.matrix.Matrix.AttentionGradients;
import io.expertatlas.runtime.matrix.Matrix.SwigluGradients;
import io.expertatlas.trace.Cases;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What every device of matrices must compute: as {@link DoubleDevice} does, on odd sizes and
 * extreme values. Operands are floats on both, so that only the computing differs.
 */
@SuppressWarnings("try") // scopes that are only closed
public abstract class MatrixContract {
  private static final double EXACT = 1e-5; // relative to the largest of a row
  private static final int[] ROWS = {0, 1, 3, 31, 33, 127, 129, 1000};
  private static final int[] COLUMNS = {1, 7, 32, 100, 256};

  private final MatrixDevice twin = DoubleDevice.INSTANCE;
  private final SplittableRandom random = new SplittableRandom(1);
  private MatrixDevice device;
  private MatrixDevice.Scope scope;

  /** The device to test. */
  protected abstract MatrixDevice open();

  /** Closes what {@link #open} gave. */
  protected void close(MatrixDevice opened) {
    opened.close();
  }

  /** Largest difference of a product, relative to its largest terms. */
  protected double productTolerance() {
    return EXACT;
  }

  @BeforeEach
  void start() {
    device = open();
    scope = device.scope();
  }

  @AfterEach
  void stop() {
    scope.close();
    close(device);
  }

  /** The same numbers on both devices. */
  private record Pair(Matrix real, Matrix expected) {
    /** The same rows. */
    int rows() {
      return expected.rows();
    }
  }

  private Pair of(int rows, int columns, double[] values) {
    double[] floats = Arrays.stream(values).map(one -> (float) one).toArray();
    return new Pair(device.of(rows, columns, floats), twin.of(rows, columns, floats));
  }

  private Pair random(int rows, int columns, double size) {
    return of(rows, columns, numbers(rows * columns, size));
  }

  private double[] numbers(int count, double size) {
    return random.doubles(count, -size, size).toArray();
  }

  private static void agree(Matrix real, Matrix expected) {
    agree(real, expected, EXACT, 1e-30);
  }

  private static void agree(Pair pair, double floor) {
    agree(pair.real(), pair.expected(), EXACT, floor);
  }

  /** Relative to the largest of a row, or to a floor where terms cancel. */
  private static void agree(Matrix real, Matrix expected, double tolerance, double floor) {
    double[] floors = new double[expected.rows()];
    Arrays.fill(floors, floor);
    agree(real, expected, tolerance, floors);
  }

  private static void agree(Matrix real, Matrix expected, double tolerance, double[] floors) {
    assertThat(real.rows()).isEqualTo(expected.rows());
    assertThat(real.columns()).isEqualTo(expected.columns());
    double[] is = real.toHost();
    double[] should = expected.toHost();
    int columns = expected.columns();
    for (int row = 0; row < expected.rows(); row++) {
      double largest = floors[row];
      for (int i = row * columns; i < (row + 1) * columns; i++) {
        largest = Math.max(largest, Math.abs(should[i]));
      }

      for (int i = row * columns; i < (row + 1) * columns; i++) {
        if (!(Math.abs(is[i] - should[i]) <= tolerance * largest)) {
          throw new AssertionError(
              "row %d of %d, column %d of %d: %s, should be %s within %s"
                  .formatted(
                      row,
                      expected.rows(),
                      i - row * columns,
                      columns,
                      is[i],
                      should[i],
                      tolerance * largest));
        }
      }
    }
  }

  private static double largest(Matrix matrix) {
    return Arrays.stream(matrix.toHost()).map(Math::abs).max().orElse(0);
  }

  static Stream<int[]> sizes() {
    return Arrays.stream(ROWS)
        .boxed()
        .flatMap(rows -> Arrays.stream(COLUMNS).mapToObj(columns -> new int[] {rows, columns}));
  }

  static Stream<Long> seeds() {
    return Cases.seeded(40);
  }

  private static int any(SplittableRandom seeded, int[] values) {
    return values[seeded.nextInt(values.length)];
  }

  // Products

  @ParameterizedTest
  @MethodSource("seeds")
  void productsAreThoseOfTheTwin(long seed) {
    SplittableRandom seeded = new SplittableRandom(seed);
    int m = any(seeded, ROWS);
    int n = any(seeded, COLUMNS);
    int k = any(seeded, new int[] {1, 7, 32, 100, 256, 1000});
    Pair x = random(m, k, 1);
    Pair weight = random(n, k, 1);
    agree(
        x.real().linear(weight.real()),
        x.expected().linear(weight.expected()),
        productTolerance(),
        Math.sqrt(k));
    Pair bias = random(1, n, Math.sqrt(k));
    agree(
        x.real().linear(weight.real(), bias.real()),
        x.expected().linear(weight.expected(), bias.expected()),
        productTolerance(),
        Math.sqrt(k));
    Pair more = random(m, n, Math.sqrt(k));
    Matrix sums = x.real().linear(weight.real(), bias.real(), more.real());
    agree(
        sums,
        x.expected().linear(weight.expected(), bias.expected(), more.expected()),
        productTolerance(),
        Math.sqrt(k));
    agree(more.real(), more.expected(), 0, 0);
    agree(
        x.real().linearRelu(weight.real(), bias.real()),
        x.expected().linearRelu(weight.expected(), bias.expected()),
        productTolerance(),
        Math.sqrt(k));
    Pair other = random(k, n, 1);
    agree(
        x.real().times(other.real()),
        x.expected().times(other.expected()),
        productTolerance(),
        Math.sqrt(k));
    Pair both = random(m, n, 1);
    assertThat(both.real().addTimes(x.real(), other.real())).isSameAs(both.real());
    both.expected().addTimes(x.expected(), other.expected());
    agree(both.real(), both.expected(), productTolerance(), Math.sqrt(k));
    Pair gradient = random(m, n, 1);
    Pair sum = random(n, k, 1);
    sum.real().addOuter(gradient.real(), x.real());
    sum.expected().addOuter(gradient.expected(), x.expected());
    agree(sum.real(), sum.expected(), productTolerance(), Math.sqrt(m + 1));
  }

  /** Of so many rows that a GPU transposes a factor; none of the sizes fills its tiles. */
  @ParameterizedTest
  @CsvSource({"300, 260", "260, 300", "257, 300", "16, 260"})
  void sumsOverManyRowsAreThoseOfTheTwin(int outputs, int inputs) {
    Pair gradient = random(1501, outputs, 1);
    Pair input = random(1501, inputs, 1);
    Pair sum = random(outputs, inputs, 1);
    sum.real().addOuter(gradient.real(), input.real());
    sum.expected().addOuter(gradient.expected(), input.expected());
    agree(sum.real(), sum.expected(), productTolerance(), Math.sqrt(1501));
  }

  /**
   * Of so many rows that a GPU transposes the input: once for all but the first, which is smaller.
   */
  @Test
  void gradientsOfLayersOfOneInputAreThoseOfTheTwin() {
    Pair input = random(1501, 300, 1);
    List<Pair> sums = new ArrayList<>();
    List<Pair> gradients = new ArrayList<>();
    for (int outputs : new int[] {260, 300, 7, 400}) {
      gradients.add(random(1501, outputs, 1));
      sums.add(random(outputs, 300, 1));
    }

    device.addOuters(
        sums.stream().map(Pair::real).toList(),
        gradients.stream().map(Pair::real).toList(),
        input.real());
    for (int i = 0; i < sums.size(); i++) {
      Pair sum = sums.get(i);
      sum.expected().addOuter(gradients.get(i).expected(), input.expected());
      agree(sum.real(), sum.expected(), productTolerance(), Math.sqrt(1501));
    }
  }

  @Test
  void manyRowsTimesAMatrixAreThoseOfTheTwin() {
    Pair gradient = random(8193, 41, 1);
    Pair weight = random(41, 260, 1);
    Matrix made = gradient.real().times(weight.real());
    agree(made, gradient.expected().times(weight.expected()), productTolerance(), Math.sqrt(41));
  }

  @Test
  void productsOverNothingAreZero() {
    Pair x = random(3, 0, 1);
    agree(x.real().linear(device.of(2, 0, new double[0])), twin.zeros(3, 2));
    agree(x.real().times(device.of(0, 2, new double[0])), twin.zeros(3, 2));
    Pair sum = random(3, 2, 1);
    sum.real().addTimes(x.real(), device.of(0, 2, new double[0]));
    agree(sum.real(), sum.expected(), 0, 0);
  }

  @Test
  void operandsThatDoNotFitAreRefused() {
    Matrix x = device.zeros(3, 4);
    Matrix y = device.zeros(2, 5);
    for (Runnable operation :
        List.<Runnable>of(
            () -> x.linear(y),
            () -> x.times(y),
            () -> x.addOuter(x, y),
            () -> x.addTimes(x, y),
            () -> x.add(y),
            () -> x.linear(y, y),
            () -> x.linearRelu(y, y),
            () -> x.rowProducts(y),
            () -> x.linearReluBackward(y, y),
            () -> x.swiglu(y))) {
      assertThatThrownBy(operation::run)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Matrices do not fit: 3 x 4 and 2 x 5");
    }

    Matrix weight = device.zeros(3, 4);
    for (Runnable operation :
        List.<Runnable>of(() -> x.linear(weight, y), () -> x.linearRelu(weight, y))) {
      assertThatThrownBy(operation::run)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Matrices do not fit: 3 x 4 and 2 x 5");
    }

    Matrix bias = device.zeros(1, 3);
    assertThatThrownBy(() -> x.linear(weight, bias, y))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Matrices do not fit: 3 x 3 and 2 x 5");
    device.release(bias);

    List.of(x, y, weight).forEach(device::release);
  }

  // Rows and elements

  @ParameterizedTest
  @MethodSource("sizes")
  void sumsAreThoseOfTheTwin(int[] size) {
    Pair x = random(size[0], size[1], 1);
    Pair y = random(size[0], size[1], 1);
    Pair row = random(1, size[1], 1);
    assertThat(x.real().add(y.real())).isSameAs(x.real());
    x.expected().add(y.expected());
    agree(x, 1);
    double length = Math.sqrt(size[1]);
    agree(x.real().rowProducts(y.real()), x.expected().rowProducts(y.expected()), EXACT, length);
    agree(
        x.real().rowProducts(row.real()), x.expected().rowProducts(row.expected()), EXACT, length);
    Pair products = random(size[0], 1, 1);
    assertThat(products.real().addRowProducts(x.real(), y.real())).isSameAs(products.real());
    products.expected().addRowProducts(x.expected(), y.expected());
    products.real().addRowProducts(x.real(), row.real());
    products.expected().addRowProducts(x.expected(), row.expected());
    agree(products, length);
    row.real().addRowsOf(x.real());
    row.expected().addRowsOf(x.expected());
    agree(row, Math.sqrt(size[0] + 1));
  }

  /** Zeros that a device may write late: sums are added to them, and to these again. */
  @ParameterizedTest
  @ValueSource(ints = {0, 33, 5000})
  void zerosTakeSums(int rows) {
    Pair x = random(rows, 36, 1);
    Pair down = random(rows, 36, 1);
    Pair gain = random(1, 36, 1);
    List<Pair> sums = new ArrayList<>();
    for (int height : new int[] {1, 1, 1, 1, 1, 1, 36, 36}) {
      sums.add(new Pair(device.zeros(height, 36), twin.zeros(height, 36)));
    }

    for (int round = 0; round < 2; round++) {
      addSums(sums.stream().map(Pair::real).toList(), x.real(), down.real(), gain.real());
      addSums(
          sums.stream().map(Pair::expected).toList(),
          x.expected(),
          down.expected(),
          gain.expected());
      sums.forEach(
          sum -> agree(sum.real(), sum.expected(), productTolerance(), Math.sqrt(rows + 1.0)));
      device.release(sums.set(2, new Pair(device.zeros(1, 36), twin.zeros(1, 36))).real());
    }

    sums.forEach(sum -> device.release(sum.real()));
  }

  private static void addSums(List<Matrix> sums, Matrix x, Matrix down, Matrix gain) {
    sums.get(0).addRowsOf(x);
    x.layerNormBackward(gain, 1e-5, down, sums.get(1), sums.get(2));
    x.rmsNormBackward(gain, 1e-5, down, sums.get(3));
    down.gather(IntStream.range(0, x.rows()).toArray()).linearReluBackward(x, sums.get(4));
    sums.get(5).addRowsAt(new int[x.rows()], x);
    sums.get(6).addOuter(down, x);
    sums.get(7).addTimes(sums.get(6), sums.get(6));
  }

  @Test
  void zerosAreZero() {
    Matrix zeros = device.zeros(3, 40);
    assertThat(zeros.toHost()).hasSize(120).containsOnly(0);
    device.release(zeros);
    Pair x = random(2, 40, 1);
    Matrix weight = device.zeros(5, 40);
    agree(x.real().linear(weight), twin.zeros(2, 5), 0, 0);
    FloatBuffer stored = buffers(5 * 40).get(0);
    for (int i = 0; i < stored.capacity(); i++) {
      stored.put(i, 7);
    }

    device.store(weight, stored);
    device.synchronize();
    for (int i = 0; i < 5 * 40; i++) {
      assertThat(stored.get(i)).isZero();
    }
  }

  /** More rows than one part of a sum has. */
  @ParameterizedTest
  @ValueSource(ints = {7, 100})
  void sumsOverManyRowsAreThoseOfTheTwin(int columns) {
    Pair x = random(5000, columns, 1);
    Pair down = random(5000, columns, 1);
    Pair gain = random(1, columns, 1);
    Pair sums = random(1, columns, 1);
    Pair biases = random(1, columns, 1);
    double terms = Math.sqrt(5000);
    sums.real().addRowsOf(x.real());
    sums.expected().addRowsOf(x.expected());
    agree(sums, terms);
    x.real().layerNormBackward(gain.real(), 1e-5, down.real(), sums.real(), biases.real());
    x.expected()
        .layerNormBackward(
            gain.expected(), 1e-5, down.expected(), sums.expected(), biases.expected());
    agree(sums, terms);
    agree(biases, terms);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void gatheringAndItsGradientAreThoseOfTheTwin(int[] size) {
    int rows = Math.max(1, size[0]);
    for (int count : new int[] {0, 1, 33, 500}) {
      Pair table = random(rows, size[1], 1);
      int[] indices = random.ints(count, 0, rows).toArray();
      double[] weights = numbers(count, 1);
      agree(table.real().gather(indices), table.expected().gather(indices), 0, 0);
      agree(
          table.real().gather(indices, weights),
          table.expected().gather(indices, weights),
          EXACT,
          1e-30);
      Pair gradient = random(count, size[1], 1);
      table.real().addRowsAt(indices, gradient.real());
      table.expected().addRowsAt(indices, gradient.expected());
      agree(table, Math.sqrt(count + 1.0));
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void partsOfAListAreGatheredAsByTheTwin(int[] size) {
    int rows = Math.max(1, size[0]);
    for (int count : new int[] {0, 1, 33, 500}) {
      Pair table = random(rows, size[1], 1);
      int[] indices = random.ints(count, 0, rows).toArray();
      double[] weights = numbers(count, 1);
      RowList list = device.rowList(indices, weights);
      RowList plain = device.rowList(indices, new double[0]);
      for (int first : new int[] {0, count / 3, count}) {
        for (int some : new int[] {0, (count - first) / 2, count - first}) {
          int[] part = Arrays.copyOfRange(indices, first, first + some);
          Matrix expected = table.expected().gather(part);
          agree(list.gather(table.real(), first, some), expected, 0, 0);
          agree(plain.gather(table.real(), first, some), expected, 0, 0);
          double[] ofPart = Arrays.copyOfRange(weights, first, first + some);
          agree(
              list.gatherWeighted(table.real(), first, some),
              table.expected().gather(part, ofPart),
              EXACT,
              1e-30);
        }
      }
    }
  }

  /** Much is copied to the device between its making and its use. */
  @Test
  void aListStaysWhileItsScopeIsOpen() {
    Pair table = random(1000, 32, 1);
    int[] indices = random.ints(5000, 0, 1000).toArray();
    double[] weights = numbers(5000, 1);
    RowList list = device.rowList(indices, weights);
    Matrix expected = table.expected().gather(indices, weights);
    Arrays.fill(indices, 0);
    Arrays.fill(weights, 0);
    double[] many = new double[1 << 20];
    for (int i = 0; i < 8; i++) {
      try (MatrixDevice.Scope inner = device.scope()) {
        device.of(1 << 10, 1 << 10, many);
        table.real().gather(new int[1000], new double[1000]);
        agree(list.gatherWeighted(table.real(), 0, 5000), expected, EXACT, 1e-30);
      }
    }
  }

  @Test
  void partsThatAListDoesNotHaveAreRefused() {
    Matrix table = random(5, 3, 1).real();
    RowList list = device.rowList(new int[] {4, 0, 2}, new double[] {1, 2, 3});
    RowList plain = device.rowList(new int[] {4, 0, 2}, new double[0]);
    assertThat(list.gather(table, 1, 2).rows()).isEqualTo(2);
    for (Runnable part :
        List.<Runnable>of(
            () -> list.gather(table, 1, 3),
            () -> list.gather(table, -1, 2),
            () -> list.gatherWeighted(table, 3, 1),
            () -> plain.gatherWeighted(table, 0, 1))) {
      assertThatThrownBy(part::run).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void consecutiveRowsAreThoseOfTheTwin(int[] size) {
    Pair x = random(size[0], size[1], 1);
    Pair weight = random(5, size[1], 1);
    for (int first : new int[] {0, size[0] / 3, size[0]}) {
      for (int count : new int[] {0, (size[0] - first) / 2, size[0] - first}) {
        Matrix rows = x.real().rows(first, count);
        agree(rows, x.expected().rows(first, count), 0, 0);
        int[] indices = IntStream.range(first, first + count).toArray();
        assertThat(rows.toHost()).isEqualTo(x.real().gather(indices).toHost());
        agree(
            rows.linear(weight.real()),
            x.expected().rows(first, count).linear(weight.expected()),
            productTolerance(),
            Math.sqrt(size[1]));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void activationsAreThoseOfTheTwin(int[] size) {
    Pair x = random(size[0], size[1], 3);
    Pair up = random(size[0], size[1], 1);
    Pair gradient = random(size[0], size[1], 1);
    agree(x.real().swiglu(up.real()), x.expected().swiglu(up.expected()));
    SwigluGradients real = x.real().swigluBackward(up.real(), gradient.real());
    SwigluGradients expected = x.expected().swigluBackward(up.expected(), gradient.expected());
    agree(real.gate(), expected.gate(), EXACT, 0.1);
    agree(real.up(), expected.up(), EXACT, 1e-3);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void gradientsThroughReluAreThoseOfTheTwin(int[] size) {
    reluGradientsAreThoseOfTheTwin(size[0], size[1]);
  }

  /** More rows than one part of a sum has. */
  @ParameterizedTest
  @ValueSource(ints = {7, 100})
  void gradientsOfManyRowsThroughReluAreThoseOfTheTwin(int columns) {
    reluGradientsAreThoseOfTheTwin(5000, columns);
  }

  /** Of a result with numbers above 0, zeros of both signs, and, though relu makes none, below. */
  private void reluGradientsAreThoseOfTheTwin(int rows, int columns) {
    double[] some = numbers(rows * columns, 1);
    for (int i = 0; i < some.length; i++) {
      some[i] = i % 5 == 0 ? 0 : i % 7 == 0 ? -0.0 : some[i];
    }

    Pair result = of(rows, columns, some);
    Pair gradient = random(rows, columns, 1);
    Pair sums = random(1, columns, 1);
    agree(
        gradient.real().linearReluBackward(result.real(), sums.real()),
        gradient.expected().linearReluBackward(result.expected(), sums.expected()),
        EXACT,
        Math.sqrt(columns));
    agree(gradient.real(), gradient.expected(), 0, 0);
    agree(sums, Math.sqrt(rows + 1));
  }

  @Test
  void swigluOfExtremesIsThatOfTheTwin() {
    double[] extremes = {0, -0.0, 30, -30, 88, -88, 100, -100, 1e4, -1e4, 1e30, -1e30};
    Pair x = of(extremes.length, 1, extremes);
    Pair up = random(extremes.length, 1, 1);
    Pair gradient = random(extremes.length, 1, 1);
    agree(x.real().swiglu(up.real()), x.expected().swiglu(up.expected()), EXACT, 1e-30);
    SwigluGradients real = x.real().swigluBackward(up.real(), gradient.real());
    SwigluGradients expected = x.expected().swigluBackward(up.expected(), gradient.expected());
    agree(real.up(), expected.up(), EXACT, 1e-30);
    agree(real.gate(), expected.gate(), EXACT, 1e-10);
  }

  // Norms

  @ParameterizedTest
  @MethodSource("sizes")
  void normsAreThoseOfTheTwin(int[] size) {
    Pair x = random(size[0], size[1], 2);
    Pair gain = random(1, size[1], 1);
    Pair bias = random(1, size[1], 1);
    agree(x.real().rmsNorm(gain.real(), 1e-5), x.expected().rmsNorm(gain.expected(), 1e-5));
    agree(
        x.real().layerNorm(gain.real(), bias.real(), 1e-5),
        x.expected().layerNorm(gain.expected(), bias.expected(), 1e-5),
        EXACT,
        1);
    Pair gradient = random(size[0], size[1], 1);
    Pair gainGradient = random(1, size[1], 1);
    Pair biasGradient = random(1, size[1], 1);
    double sums = Math.sqrt(size[0] + 1);
    agree(
        x.real().rmsNormBackward(gain.real(), 1e-5, gradient.real(), gainGradient.real()),
        x.expected()
            .rmsNormBackward(gain.expected(), 1e-5, gradient.expected(), gainGradient.expected()),
        EXACT,
        scales(x.expected()));
    agree(gainGradient, sums);
    agree(
        x.real()
            .layerNormBackward(
                gain.real(), 1e-5, gradient.real(), gainGradient.real(), biasGradient.real()),
        x.expected()
            .layerNormBackward(
                gain.expected(),
                1e-5,
                gradient.expected(),
                gainGradient.expected(),
                biasGradient.expected()),
        EXACT,
        scales(x.expected()));
    agree(gainGradient, sums);
    agree(biasGradient, sums);
  }

  /** Rows that threads of a GPU keep, several units each, and longer ones. */
  @ParameterizedTest
  @ValueSource(ints = {1024, 1028, 4096, 4100})
  void longRowsNormedAreThoseOfTheTwin(int columns) {
    normsAreThoseOfTheTwin(new int[] {3, columns});
  }

  /** One over the root of the mean square of each row: what a gradient's terms are times. */
  private static double[] scales(Matrix x) {
    double[] values = x.toHost();
    double[] scales = new double[x.rows()];
    for (int row = 0; row < scales.length; row++) {
      double squares = 0;
      for (int i = 0; i < x.columns(); i++) {
        squares += values[row * x.columns() + i] * values[row * x.columns() + i];
      }

      scales[row] = 1 / Math.sqrt(squares / x.columns() + 1e-5);
    }

    return scales;
  }

  // Positions and attention

  @ParameterizedTest
  @CsvSource({"1,1,2,1", "3,1,6,33", "2,4,32,127", "1,2,128,1000", "0,2,8,3"})
  void turningIsThatOfTheTwinAndTurnsBack(int sequences, int heads, int headSize, int length) {
    Pair x = random(sequences * length, heads * headSize, 1);
    double[] before = x.expected().toHost();
    Rotary rotary = new Rotary(headSize, 10_000);
    x.real().turn(rotary, length, false);
    x.expected().turn(rotary, length, false);
    agree(x, 1);
    x.real().turn(rotary, length, true);
    agree(x.real(), twin.of(x.rows(), heads * headSize, before), EXACT, 1);
  }

  @ParameterizedTest
  @CsvSource({
    "1,1,1,2,1,1",
    "1,4,2,8,1,1",
    "2,3,1,6,3,1",
    "3,4,4,7,31,1",
    "2,8,2,16,33,1",
    "1,2,1,1,127,1",
    "2,4,2,32,128,1",
    "3,2,1,8,60,30",
    "1,4,1,64,129,1",
    "1,4,2,8,132,30",
    "1,2,1,8,512,1",
    "1,2,1,32,1000,1",
    "2,4,2,8,33,30",
    "0,2,1,8,16,1"
  })
  protected void attentionIsThatOfTheTwin(
      int sequences, int heads, int keyHeads, int headSize, int length, double size) {
    Heads shape = new Heads(heads, keyHeads, headSize);
    int rows = sequences * length;
    Pair q = random(rows, heads * headSize, size);
    Pair k = random(rows, keyHeads * headSize, 1);
    Pair v = random(rows, keyHeads * headSize, 1);
    Pair gradient = random(rows, heads * headSize, 1);
    double tolerance = productTolerance() * Math.max(1, size); // of exponents
    agree(
        q.real().attend(shape, k.real(), v.real(), length),
        q.expected().attend(shape, k.expected(), v.expected(), length),
        tolerance,
        0.1);
    AttentionGradients real =
        q.real().attendBackward(shape, k.real(), v.real(), length, gradient.real());
    AttentionGradients expected =
        q.expected().attendBackward(shape, k.expected(), v.expected(), length, gradient.expected());
    agree(real.queries(), expected.queries(), tolerance, 0.1 + largest(expected.queries()));
    agree(real.keys(), expected.keys(), tolerance, 0.1 + largest(expected.keys()));
    agree(real.values(), expected.values(), tolerance, 0.1 + largest(expected.values()));
  }

  // Loss

  @ParameterizedTest
  @MethodSource("sizes")
  void crossEntropyIsThatOfTheTwin(int[] size) {
    Pair logits = random(size[0], size[1], 8);
    int[] targets = random.ints(size[0], -1, size[1]).toArray();
    double scale = 0.125;
    Matrix same = logits.real().gather(IntStream.range(0, size[0]).toArray());
    double loss = logits.real().crossEntropy(targets, scale);
    double expected = logits.expected().crossEntropy(targets, scale);
    assertThat(Math.abs(loss - expected)).isLessThanOrEqualTo(EXACT * Math.max(1, expected));
    agree(logits, scale);
    same.crossEntropyGradient(targets, scale);
    assertThat(same.toHost()).isEqualTo(logits.real().toHost());
  }

  @Test
  void crossEntropyOfExtremesIsThatOfTheTwin() {
    double[] rows = {
      1e4, -1e4, 0, -1e4, -1e4, -1e4, 88, 89, 90, 1e30, -1e30, 1e30, 0, 0, 0, -1e-30, 1e-30, 0
    };
    int[] targets = {1, 0, 2, 1, 2, 0};
    Pair logits = of(6, 3, rows);
    double loss = logits.real().crossEntropy(targets, 1);
    double expected = logits.expected().crossEntropy(targets, 1);
    assertThat(loss / expected).isBetween(1 - EXACT, 1 + EXACT);
    agree(logits, 1);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void theLargestOfRowsAreThoseOfTheTwin(long seed) {
    SplittableRandom seeded = new SplittableRandom(seed);
    int rows = any(seeded, ROWS);
    int columns = any(seeded, COLUMNS);
    int k = seeded.nextInt(1, Math.min(8, columns) + 1);
    double[] some = seeded.doubles((long) rows * columns).toArray();
    if (seed % 2 == 0) {
      Arrays.setAll(some, i -> (double) Math.round(4 * some[i])); // equal ones
    }

    Pair x = of(rows, columns, some);
    Matrix.Largest real = x.real().largest(k, seed % 3 == 0);
    int[][] sorted = new int[rows][];
    double[] numbers = x.real().toHost();
    if (seed % 3 == 0) {
      assertThat(IntStream.range(0, numbers.length).mapToDouble(real.all()).toArray())
          .isEqualTo(numbers);
    }

    for (int row = 0; row < rows; row++) {
      int at = row * columns;
      sorted[row] =
          IntStream.range(0, columns)
              .boxed()
              .sorted(Comparator.comparingDouble(column -> -numbers[at + column]))
              .limit(k)
              .mapToInt(column -> column)
              .toArray();
    }

    assertThat(real.columns())
        .containsExactly(Arrays.stream(sorted).flatMapToInt(Arrays::stream).toArray());
    for (int j = 0; j < rows * k; j++) {
      assertThat(real.numbers().applyAsDouble(j))
          .isEqualTo(numbers[j / k * columns + real.columns()[j]]);
    }
  }

  // Several matrices

  @ParameterizedTest
  @MethodSource("seeds")
  void combinationsOfRowsAreThoseOfTheTwin(long seed) {
    SplittableRandom seeded = new SplittableRandom(seed);
    int columns = any(seeded, COLUMNS);
    int tokens = any(seeded, ROWS);
    int k = seeded.nextInt(1, 5);
    int sources = seeded.nextInt(1, 9);
    Pair[] pairs = new Pair[sources + 1]; // the last: nothing is taken from it
    Matrix[] real = new Matrix[sources + 1];
    Matrix[] expected = new Matrix[sources + 1];
    for (int i = 0; i < sources; i++) {
      pairs[i] = random(seeded.nextInt(1, 40), columns, 1);
      real[i] = pairs[i].real();
      expected[i] = pairs[i].expected();
    }

    int[] from = seeded.ints((long) tokens * k, 0, sources).toArray();
    int[] rows = IntStream.of(from).map(one -> seeded.nextInt(pairs[one].rows())).toArray();
    Choices choices = new Choices(k, from, rows);
    double[] weights = numbers(tokens * k, 1);
    agree(
        device.combine(real, columns, choices, weights),
        twin.combine(expected, columns, choices, weights),
        EXACT,
        1);
    agree(
        device.combine(real, columns, choices, null),
        twin.combine(expected, columns, choices, null),
        EXACT,
        1);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void gradientsOfLogitsAreThoseOfTheTwin(long seed) {
    SplittableRandom seeded = new SplittableRandom(seed);
    int tokens = any(seeded, ROWS);
    int experts = seeded.nextInt(1, 9);
    int k = seeded.nextInt(1, experts + 1);
    int[] from = new int[tokens * k]; // a token's follow each other, from any on
    int[] rows = new int[from.length];
    int[] counts = new int[experts];
    for (int j = 0; j < from.length; j++) {
      from[j] = j % k == 0 ? seeded.nextInt(experts) : (from[j - 1] + 1) % experts;
      rows[j] = counts[from[j]]++;
    }

    Matrix[] real = new Matrix[experts];
    Matrix[] expected = new Matrix[experts];
    for (int expert = 0; expert < experts; expert++) {
      if (counts[expert] > 0) {
        Pair along = random(counts[expert], 1, 1);
        real[expert] = along.real();
        expected[expert] = along.expected();
      }
    }

    Choices choices = new Choices(k, from, rows);
    for (boolean ofChosen : new boolean[] {true, false}) {
      double[] shares = numbers(tokens * (ofChosen ? k : experts), 1);
      agree(
          device.logitsGradient(real, choices, shares, ofChosen),
          twin.logitsGradient(expected, choices, shares, ofChosen),
          EXACT,
          k);
      double[] tooMany = new double[shares.length + 1];
      assertThatThrownBy(() -> device.logitsGradient(real, choices, tooMany, ofChosen))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Invalid shares: %d, expected %d", tooMany.length, shares.length);
    }
  }

  // Matrices come and go

  @Test
  void zerosAreZeroAndLast() {
    Matrix zeros;
    try (MatrixDevice.Scope inner = device.scope()) {
      zeros = device.zeros(33, 7);
      inner.keep(zeros);
    }

    assertThat(zeros.toHost()).hasSize(231).containsOnly(0);
    device.release(zeros);
  }

  @Test
  void whatIsKeptOutlivesItsScope() {
    Pair x = random(3, 7, 1);
    Matrix kept;
    try (MatrixDevice.Scope outer = device.scope()) {
      try (MatrixDevice.Scope inner = device.scope()) {
        Matrix doubled = x.real().gather(new int[] {0, 1, 2});
        kept = doubled.gather(new int[] {2, 0});
        inner.keep(kept);
      }

      x.real().swiglu(x.real());
      outer.keep(kept);
    }

    x.real().swiglu(x.real());
    agree(kept, x.expected().gather(new int[] {2, 0}), 0, 0);
  }

  @Test
  void matricesOfAnotherDeviceAreCopied() {
    double[] values = Arrays.stream(numbers(1000 * 7, 1)).map(one -> (float) one).toArray();
    assertThat(device.take(DoubleDevice.INSTANCE.of(1000, 7, values)).toHost()).isEqualTo(values);
    Matrix there = device.take(FloatDevice.INSTANCE.of(1000, 7, values));
    assertThat(there.device()).isSameAs(device);
    assertThat(there.toHost()).isEqualTo(values);
    assertThat(device.take(there)).isSameAs(there);
    assertThat(FloatDevice.INSTANCE.take(there).toHost()).isEqualTo(values);
    assertThat(DoubleDevice.INSTANCE.take(there).toHost()).isEqualTo(values);
    FloatBuffer some = FloatBuffer.allocate(10).position(2).limit(6);
    there.copyInto(some, 6990);
    assertThat(some.position()).isEqualTo(2);
    for (int i = 0; i < 10; i++) {
      assertThat(some.clear().get(i)).isEqualTo(i < 2 || i > 5 ? 0 : (float) values[6988 + i]);
    }
  }

  @Test
  @SuppressWarnings("try") // scopes are there to be closed
  void copiesThatNobodyWaitsForOutliveTheirMatrices() throws Exception {
    List<Supplier<Matrix>> copies = new ArrayList<>();
    List<double[]> expected = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      int rows = i == 3 ? 0 : 300_000 * i + 1; // of several pieces
      double[] values = new double[rows];
      for (int j = 0; j < rows; j++) {
        values[j] = i + j % 1000;
      }

      try (MatrixDevice.Scope scope = device.scope()) {
        copies.add(FloatDevice.INSTANCE.beginTake(device.of(rows, 1, values)));
      }

      expected.add(values);
    }

    for (int i = 0; i < 5; i++) {
      Supplier<Matrix> copy = copies.get(i);
      Matrix there = CompletableFuture.supplyAsync(copy).get();
      assertThat(there.toHost()).isEqualTo(expected.get(i));
    }
  }

  @Test
  void copiesToADeviceAreBegunByAnyThread() throws Exception {
    List<CompletableFuture<Supplier<Matrix>>> copies = new ArrayList<>();
    List<double[]> expected = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      double[] values = numbers(i == 3 ? 0 : 300_000 * i + 7, 1); // of several pieces
      Matrix host = FloatDevice.INSTANCE.of(values.length, 1, values);
      copies.add(CompletableFuture.supplyAsync(() -> device.beginTake(host)));
      expected.add(host.toHost());
    }

    for (int round = 0; round < 3; round++) { // in pieces that were used before
      for (int i = 0; i < 5; i++) {
        Matrix here = copies.get(i).get().get();
        assertThat(here.device()).isSameAs(device);
        assertThat(here.toHost()).isEqualTo(expected.get(i));
        if (round < 2) {
          Matrix host = FloatDevice.INSTANCE.of(expected.get(i).length, 1, expected.get(i));
          copies.set(i, CompletableFuture.supplyAsync(() -> device.beginTake(host)));
        }
      }
    }
  }

  /** Buffers of the host of a kind, with room after the numbers and a position that is not 0. */
  private static List<FloatBuffer> buffers(int numbers) {
    FloatBuffer direct =
        ByteBuffer.allocateDirect(4 * (numbers + 5)).order(ByteOrder.nativeOrder()).asFloatBuffer();
    FloatBuffer wrapped = FloatBuffer.wrap(new float[numbers + 9]).position(2).slice();
    return List.of(direct.position(1), wrapped.position(3));
  }

  @Test
  void whatIsLoadedAndStoredIsTheSame() throws InterruptedException {
    for (int rows : ROWS) {
      for (FloatBuffer from : buffers(rows * 7)) {
        for (int i = 0; i < rows * 7; i++) {
          from.put(i, i + 0.5f);
        }

        for (FloatBuffer into : buffers(rows * 7)) {
          Matrix loaded = device.load(from, rows, 7);
          device.awaitLoads();
          device.store(loaded, into);
          device.synchronize();
          for (int i = 0; i < rows * 7; i++) {
            assertThat(into.get(i)).isEqualTo(i + 0.5f);
          }

          assertThat(into.get(rows * 7)).isZero();
        }
      }
    }
  }

  @Test
  void hostsNumbersThatDoNotSufficeAreRefused() {
    FloatBuffer short5 = FloatBuffer.allocate(5);
    Matrix zeros = device.zeros(2, 3);
    if (device == twin) {
      return;
    }

    assertThatThrownBy(() -> device.load(short5, 2, 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Invalid host's numbers: 5");
    assertThatThrownBy(() -> device.store(zeros, short5))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Invalid host's numbers: 5");
    FloatBuffer swapped = ByteBuffer.allocateDirect(24).asFloatBuffer(); // big endian
    assertThatThrownBy(() -> device.load(swapped, 2, 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("BIG_ENDIAN");
    device.release(zeros);
  }

  @Test
  void twoRunsGiveTheSameBits() {
    Pair x = random(129, 64, 1);
    Pair weight = random(100, 64, 1);
    Pair gain = random(1, 64, 1);
    int[] indices = random.ints(129, 0, 20).toArray();
    Heads heads = new Heads(2, 1, 32);
    Pair keys = random(129, 32, 1);
    Supplier<List<double[]>> run =
        () -> {
          List<double[]> out = new ArrayList<>();
          Matrix sums = x.real().gather(IntStream.range(0, 20).toArray());
          sums.addRowsAt(indices, x.real());
          out.add(sums.toHost());
          out.add(x.real().linear(weight.real()).toHost());
          Matrix row = x.real().gather(new int[] {0});
          out.add(x.real().rmsNormBackward(gain.real(), 1e-5, x.real(), row).toHost());
          row.addRowsOf(x.real());
          out.add(row.toHost());
          Matrix down = x.real().gather(IntStream.range(0, 129).toArray());
          out.add(down.linearReluBackward(x.real(), row).toHost());
          out.add(row.toHost());
          AttentionGradients gradients =
              x.real().attendBackward(heads, keys.real(), keys.real(), 43, x.real());
          out.add(gradients.queries().toHost());
          out.add(gradients.keys().toHost());
          out.add(gradients.values().toHost());
          Matrix logits = x.real().linear(weight.real());
          out.add(new double[] {logits.crossEntropy(indices, 1)});
          out.add(logits.toHost());
          return out;
        };
    List<double[]> first = run.get();
    for (int again = 0; again < 3; again++) {
      List<double[]> next = run.get();
      for (int i = 0; i < first.size(); i++) {
        assertThat(next.get(i)).as("result %d", i).isEqualTo(first.get(i));
      }
    }
  }

  @Test
  void loadsRunBesideComputing() throws Exception {
    Pair x = random(129, 256, 1);
    Pair weight = random(256, 256, 0.1);
    double[] alone = x.real().linear(weight.real()).toHost();
    FloatBuffer numbers = buffers(300 * 100).get(0);
    for (int i = 0; i < 300 * 100; i++) {
      numbers.put(i, i);
    }

    double[] loaded = IntStream.range(0, 300 * 100).asDoubleStream().toArray();
    ExecutorService loader = Executors.newSingleThreadExecutor();
    try {
      Future<List<Matrix>> loads =
          loader.submit(
              () -> {
                List<Matrix> all = new ArrayList<>();
                for (int i = 0; i < 40; i++) {
                  all.add(device.load(numbers, 300, 100));
                  device.awaitLoads();
                  if (i % 2 == 1) {
                    device.release(all.remove(0));
                  }
                }

                return all;
              });
      for (int i = 0; i < 100; i++) {
        try (MatrixDevice.Scope inner = device.scope()) {
          assertThat(x.real().linear(weight.real()).toHost()).isEqualTo(alone);
        }
      }

      for (Matrix matrix : loads.get()) {
        assertThat(matrix.toHost()).isEqualTo(loaded);
        device.release(matrix);
      }
    } finally {
      loader.shutdownNow();
    }
  }
}
