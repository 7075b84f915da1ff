package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.train.TinyModels.Golden;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Rows that experts are given in addition change nothing. */
class ExpertTokensTest {
  /** Copies on a device that adds up so many rows at a time. */
  private static final class UnitCopies implements Copies {
    final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();
    final Set<Integer> rowsOfExperts = new TreeSet<>();
    private final List<Parameter> ofExperts;
    private final MatrixDevice device;

    UnitCopies(int unit, List<Parameter> ofExperts) {
      this.ofExperts = ofExperts;
      this.device =
          (MatrixDevice)
              Proxy.newProxyInstance(
                  MatrixDevice.class.getClassLoader(),
                  new Class<?>[] {MatrixDevice.class},
                  (proxy, method, arguments) -> {
                    try {
                      return method.getName().equals("rowsOfSum")
                          ? unit
                          : method.invoke(DoubleDevice.INSTANCE, arguments);
                    } catch (InvocationTargetException e) {
                      throw e.getCause();
                    }
                  });
    }

    @Override
    public MatrixDevice device() {
      return device;
    }

    @Override
    public Matrix value(Parameter parameter) {
      return Copies.load(parameter, DoubleDevice.INSTANCE);
    }

    @Override
    public Matrix gradient(Parameter parameter) {
      return gradients.computeIfAbsent(
          parameter, one -> DoubleDevice.INSTANCE.zeros(one.rows(), one.columns()));
    }

    @Override
    public void addOuter(Parameter weight, Matrix gradient, Matrix input) {
      if (ofExperts.contains(weight)) {
        rowsOfExperts.add(gradient.rows());
      }

      Copies.super.addOuter(weight, gradient, input);
    }
  }

  static Stream<Arguments> modelsAndUnits() {
    return TinyModels.NAMES.stream()
        .flatMap(name -> Stream.of(4, 7).map(unit -> Arguments.of(name, unit)));
  }

  @ParameterizedTest
  @MethodSource("modelsAndUnits")
  void gradientsOfRoundedRowsAreThoseOfTheTokensAlone(String name, int unit)
      throws InterruptedException {
    TrainableModel model = Golden.read(name).model();
    UnitCopies alone = backward(name, model, 1, Stage.Keep.REDUCED);
    UnitCopies rounded = backward(name, model, unit, Stage.Keep.REDUCED);
    assertThat(alone.rowsOfExperts).anyMatch(rows -> rows % unit != 0);
    assertThat(rounded.rowsOfExperts).isNotEmpty().allMatch(rows -> rows % unit == 0);
    assertThat(backward(name, model, unit, Stage.Keep.TAPES).rowsOfExperts)
        .as("tapes have their rows")
        .isEqualTo(alone.rowsOfExperts);
    assertThat(rounded.gradients.keySet()).isEqualTo(alone.gradients.keySet());
    alone.gradients.forEach(
        (parameter, expected) ->
            assertThat(rounded.gradients.get(parameter).toHost())
                .as(parameter.name())
                .usingComparatorWithPrecision(1e-14)
                .containsExactly(expected.toHost()));
  }

  private static UnitCopies backward(String name, TrainableModel model, int unit, Stage.Keep keep)
      throws InterruptedException {
    List<Parameter> ofExperts = new ArrayList<>();
    model.layers().stream()
        .flatMap(layer -> layer.experts().stream())
        .forEach(expert -> ofExperts.addAll(expert.parameters()));
    UnitCopies copies = new UnitCopies(unit, ofExperts);
    Stage stage = new Stage(model, 0, model.layers().size());
    ExpertRunner runner = ExpertRunner.inOrder(copies);
    TokenBatch batch = Golden.read(name).batch(0);
    long targets = batch.targets();
    Stage.Tape tape = stage.forward(batch, Optional.empty(), targets, keep, copies, runner);
    stage.backward(tape, Optional.empty(), targets, copies, runner);
    assertThat(tape.loss() / targets).isCloseTo(Golden.read(name).loss(0), within(1e-12));
    return copies;
  }

  @ParameterizedTest
  @MethodSource("modelsAndUnits")
  void roundedRowsAreCountedAsMemory(String name, int unit) {
    TrainableModel model = Golden.read(name).model();
    Layer layer = model.layers().get(0);
    Stage stage = new Stage(model, 0, 1);
    long inner =
        (long) layer.math().innerMatrices() * layer.experts().get(0).parameters().get(0).rows();
    long more =
        stage.tapeBytes(50, 1, Stage.Keep.REDUCED, new UnitCopies(unit, List.of()).device)
            - stage.tapeBytes(50, 1, Stage.Keep.REDUCED, DoubleDevice.INSTANCE);
    assertThat(more)
        .isGreaterThanOrEqualTo(
            (unit - 1L) * (layer.experts().size() * (long) model.hidden() + inner) * Double.BYTES);
  }
}
