package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.matrix.DoubleDevice;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AdamWTest {
  private static final AdamW OPTIMIZER = new AdamW(0.9, 0.99, 1e-8, 0.01);

  private static Parameter parameter(int elements) {
    Parameter parameter =
        new Parameter("p", new InitialWeights(7).tensor("p", elements), ParameterMemory.JVM);
    parameter.read();
    return parameter;
  }

  /** Two steps in floats, and beside them each number by AdamW's formula in doubles. */
  @ParameterizedTest
  @ValueSource(ints = {1, 4095, 4097, (1 << 20) + 3})
  void stepsInFloatsAreThoseOfTheFormulaWithinRounding(int elements) {
    Parameter parameter = parameter(elements);
    double[] value = new double[elements];
    double[] mean = new double[elements];
    double[] variance = new double[elements];
    for (int i = 0; i < elements; i++) {
      value[i] = parameter.value().get(i);
    }

    for (int step = 1; step <= 2; step++) {
      SplittableRandom random = new SplittableRandom(step);
      double[] gradients = new double[elements];
      for (int i = 0; i < elements; i++) {
        float gradient = i % 5 == 0 ? 0 : (float) (random.nextGaussian() * 1e-3);
        gradients[i] = gradient;
        mean[i] = 0.9 * mean[i] + 0.1 * gradient;
        variance[i] = 0.99 * variance[i] + 0.01 * gradient * gradient;
        double root = Math.sqrt(variance[i] / (1 - Math.pow(0.99, step)));
        double move = mean[i] / (1 - Math.pow(0.9, step)) / (root + 1e-8);
        value[i] = value[i] * (1 - 1e-3 * 0.01) - 1e-3 * move;
      }

      parameter.clearGradient();
      parameter.storeGradient(DoubleDevice.INSTANCE.of(1, elements, gradients));
      OPTIMIZER.step(List.of(parameter), 1e-3, step, false);
    }

    for (int i = 0; i < elements; i++) {
      assertThat((double) parameter.value().get(i)).as("[%d]", i).isCloseTo(value[i], within(2e-8));
      assertThat((double) parameter.mean()[i]).isCloseTo(mean[i], within(1e-9));
      assertThat((double) parameter.variance()[i]).isCloseTo(variance[i], within(1e-12));
    }
  }
}
