package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.FloatDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.pipeline.TrainingProfile;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class OuterProductsTest {
  private static Parameter parameter(int out, int in) {
    return new Parameter("p", new InitialWeights(7).tensor("p", out, in), ParameterMemory.JVM);
  }

  private static Matrix random(SplittableRandom random, int rows, int columns) {
    double[] values = new double[rows * columns];
    Arrays.setAll(values, i -> (float) (random.nextDouble() - 0.5));
    return FloatDevice.INSTANCE.of(rows, columns, values);
  }

  /** Odd shapes, any piece of the gradient, several micro-batches, beside a loop over all rows. */
  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void piecesAreThoseOfTheGradientThatIsWrittenOut(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    boolean isLarge = seed % 10 == 0; // several strips
    int out = 1 + random.nextInt(isLarge ? 30 : 9);
    int in = 1 + random.nextInt(isLarge ? 9000 : 40);
    OuterProducts outer = new OuterProducts(in);
    double[] expected = new double[out * in];
    for (int batch = random.nextInt(4); batch >= 0; batch--) {
      int rows = random.nextInt(isLarge ? 20 : 8);
      Matrix gradient = random(random, rows, out);
      Matrix input = random(random, rows, in);
      outer.add(gradient, input);
      double[] g = gradient.toHost();
      double[] x = input.toHost();
      for (int i = 0; i < rows * out * in; i++) {
        int row = i / (out * in);
        int to = i / in % out;
        int from = i % in;
        expected[to * in + from] += g[row * out + to] * x[row * in + from];
      }
    }

    int first = random.nextInt(out * in);
    int count = random.nextInt(out * in - first + 1);
    float[] read = new float[count + 2];
    Arrays.fill(read, 1);
    outer.read(first, read, count);
    for (int i = 0; i < count; i++) {
      assertThat((double) read[i]).isCloseTo(expected[first + i], within(1e-5));
    }

    assertThat(read[count]).isEqualTo(1);
  }

  @ParameterizedTest
  @CsvSource({"1, 3, 2", "2, 4, 4"})
  void rowsThatDoNotFitAreRefused(int rows, int in, int ofInput) {
    SplittableRandom random = new SplittableRandom(1);
    OuterProducts outer = new OuterProducts(3);
    assertThatThrownBy(() -> outer.add(random(random, rows, 5), random(random, ofInput, in)))
        .hasMessage(
            "Matrices do not fit: %d x 5 and %d x %d, columns of the gradient 3"
                .formatted(rows, ofInput, in));
  }

  /** Stored numbers, rows that are kept, the second use of a tied weight, and a scale. */
  @Test
  void aGradientIsTheSumOfAllThatCameOfIt() {
    SplittableRandom random = new SplittableRandom(3);
    Parameter weight = parameter(5, 7);
    Parameter second = weight.secondUse(ParameterMemory.JVM);
    double[] expected = new double[35];
    for (int step = 0; step < 3; step++) {
      weight.clearGradient();
      Arrays.fill(expected, 0);
      assertThat(weight.gradient()).as("nothing stored").isEqualTo(FloatBuffer.allocate(35));
      if (step != 1) {
        weight.storeGradient(sum(expected, random(random, 5, 7)));
      }

      if (step != 2) {
        keep(weight, random, expected);
        keep(second, random, expected);
      }

      Parameter.scaleGradients(List.of(weight), 0.5);
      double squares = 0;
      for (int i = 0; i < 35; i++) {
        assertThat((double) weight.gradient().get(i)).isCloseTo(expected[i] / 2, within(1e-6));
        squares += expected[i] * expected[i] / 4;
      }

      assertThat(Parameter.gradientSquares(List.of(weight)).get(0))
          .isCloseTo(squares, within(1e-5));
    }
  }

  private static Matrix sum(double[] expected, Matrix stored) {
    double[] numbers = stored.toHost();
    Arrays.setAll(expected, i -> expected[i] + numbers[i]);
    return stored;
  }

  private static void keep(Parameter weight, SplittableRandom random, double[] expected) {
    Matrix gradient = random(random, 3, 5);
    Matrix input = random(random, 3, 7);
    assertThat(weight.addOuter(gradient, input)).isTrue();
    Matrix written = FloatDevice.INSTANCE.zeros(5, 7);
    written.addOuter(gradient, input);
    sum(expected, written);
  }

  @Test
  void rowsAreKeptUpToTheBoundOfAStep() {
    SplittableRandom random = new SplittableRandom(3);
    Parameter weight = parameter(2, 2);
    int half = TrainingProfile.KEPT_ROWS / 2;
    for (int step = 0; step < 2; step++) {
      weight.clearGradient();
      for (int i = 0; i < 2; i++) {
        assertThat(weight.addOuter(random(random, half, 2), random(random, half, 2))).isTrue();
      }

      FloatBuffer before = weight.gradient();
      assertThat(weight.addOuter(random(random, 1, 2), random(random, 1, 2))).isFalse();
      assertThat(weight.gradient()).isEqualTo(before);
    }
  }

  /** The gradients of layers that were all given the same input, beside a device. */
  @Test
  void aProfileWritesProductsOfFewRowsNoMoreThanAStep() throws InterruptedException {
    Parameter up = parameter(3, 4);
    Parameter gate = parameter(5, 4);
    SplittableRandom random = new SplittableRandom(1);
    Matrix input = random(random, 2, 4);
    List<Matrix> gradients = List.of(random(random, 2, 3), random(random, 2, 5));
    try (ProfileCopies copies = ProfileCopies.beside(DoubleDevice.INSTANCE, FloatDevice.INSTANCE)) {
      copies.addOuters(List.of(up, gate), gradients, input);
    }

    for (Parameter weight : List.of(up, gate)) { // sums would not have been handed over
      Matrix expected = FloatDevice.INSTANCE.zeros(weight.rows(), 4);
      expected.addOuter(gradients.get(weight == up ? 0 : 1), input);
      float[] kept = new float[weight.elements()];
      weight.readGradient(0, kept, kept.length);
      for (int i = 0; i < kept.length; i++) {
        assertThat((double) kept[i]).isCloseTo(expected.toHost()[i], within(1e-6));
      }
    }
  }
}
