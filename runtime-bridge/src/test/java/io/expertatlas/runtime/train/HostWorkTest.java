package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HostWorkTest {
  private static final int[] SIZES = {1, 4095, 4096, 65_535, 65_536, 65_537, 300_001, 2_100_001};

  private static Parameter parameter(int elements) {
    return new Parameter(
        "p" + elements, new InitialWeights(7).tensor("p", elements), ParameterMemory.JVM);
  }

  private static List<Parameter> parameters() {
    List<Parameter> parameters = new ArrayList<>();
    for (int size : SIZES) {
      parameters.add(parameter(size));
    }

    return parameters;
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void everyNumberIsWorkedOnOnce(boolean isBeside) {
    Map<Parameter, AtomicIntegerArray> times = new IdentityHashMap<>();
    List<Parameter> parameters = parameters();
    parameters.forEach(one -> times.put(one, new AtomicIntegerArray(one.elements())));
    HostWork.forEachRange(
        parameters,
        () ->
            (parameter, first, end) -> {
              assertThat(first % HostWork.PIECE).isZero();
              for (int i = first; i < end; i++) {
                times.get(parameter).incrementAndGet(i);
              }
            },
        isBeside);
    times.forEach(
        (parameter, counts) -> {
          for (int i = 0; i < counts.length(); i++) {
            assertThat(counts.get(i)).as("%s [%d]", parameter.name(), i).isEqualTo(1);
          }
        });
    HostWork.forEachRange(
        List.of(), () -> (parameter, first, end) -> assertThat(first).isZero(), isBeside);
  }

  @Test
  void resultsAreInTheOrderOfTheParameters() {
    assertThat(HostWork.map(parameters(), Parameter::elements))
        .containsExactly(1, 4095, 4096, 65_535, 65_536, 65_537, 300_001, 2_100_001);
    assertThat(HostWork.map(List.of(), Parameter::elements)).isEmpty();
  }

  @Test
  void aFailureIsThrown() {
    assertThatThrownBy(
            () ->
                HostWork.forEach(
                    parameters(),
                    one -> {
                      throw new IllegalStateException("no " + one.elements());
                    }))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("no ");
  }

  @Test
  void gradientsThatNothingStoredAreZeroAndTwoUsesAreAdded() {
    List<Parameter> parameters = parameters();
    Parameter tied = parameter(70_000);
    Parameter second = tied.secondUse(ParameterMemory.JVM);
    parameters.add(tied);
    for (int step = 0; step < 3; step++) {
      boolean isStored = step < 2;
      parameters.forEach(Parameter::clearGradient);
      for (Parameter one : isStored ? parameters : List.<Parameter>of()) {
        one.storeGradient(ones(one));
      }

      if (step > 0) {
        second.storeGradient(ones(second));
      }

      for (Parameter one : parameters) {
        float expected = (isStored ? 1 : 0) + (one == tied && step > 0 ? 1 : 0);
        float[] numbers = new float[one.elements()];
        Arrays.fill(numbers, expected);
        assertThat(one.gradient())
            .as("step %d, %s", step, one.name())
            .isEqualTo(FloatBuffer.wrap(numbers));
      }
    }

    Parameter.scaleGradients(List.of(tied), 0.25);
    assertThat(tied.gradient().get(69_999)).isEqualTo(0.25f);
    assertThat(Parameter.gradientNorm(List.of(tied))).isEqualTo(Math.sqrt(70_000 / 16.0));
  }

  private static Matrix ones(Parameter parameter) {
    double[] values = new double[parameter.elements()];
    Arrays.fill(values, 1);
    return DoubleDevice.INSTANCE.of(parameter.rows(), parameter.columns(), values);
  }
}
