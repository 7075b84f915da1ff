package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.train.TinyModels.Golden;
import java.nio.FloatBuffer;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Gradients against central differences of the loss, and against PyTorch's. */
class GradientTest {
  private static final double STEP = 1e-5;

  static Iterable<String> names() {
    return TinyModels.NAMES;
  }

  /** Copies that a test may change. */
  private static final class Changeable implements Copies {
    final Map<Parameter, double[]> values = new IdentityHashMap<>();
    final Map<Parameter, Matrix> gradients = new IdentityHashMap<>();

    @Override
    public MatrixDevice device() {
      return DoubleDevice.INSTANCE;
    }

    double[] numbers(Parameter parameter) {
      return values.computeIfAbsent(
          parameter,
          one -> DoubleDevice.INSTANCE.load(one.value(), one.rows(), one.columns()).toHost());
    }

    @Override
    public Matrix value(Parameter parameter) {
      return device().of(parameter.rows(), parameter.columns(), numbers(parameter));
    }

    @Override
    public Matrix gradient(Parameter parameter) {
      return gradients.computeIfAbsent(parameter, one -> device().zeros(one.rows(), one.columns()));
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void everyGradientIsTheSlopeOfTheLoss(String name) throws InterruptedException {
    Golden golden = Golden.read(name);
    TrainableModel model = golden.model();
    Stage stage = new Stage(model, 0, model.layers().size());
    TokenBatch batch = golden.batch(0);
    Changeable copies = new Changeable();
    ExpertRunner runner = ExpertRunner.inOrder(copies);
    Stage.Tape tape =
        stage.forward(batch, Optional.empty(), batch.targets(), Stage.Keep.TAPES, copies, runner);
    stage.backward(tape, Optional.empty(), batch.targets(), copies, runner);
    double largest =
        copies.gradients.values().stream()
            .mapToDouble(gradient -> largest(gradient.toHost()))
            .max()
            .orElseThrow();
    int checked = 0;
    for (Block block : stage.blocks()) {
      for (Parameter parameter : block.parameters()) {
        double[] value = copies.numbers(parameter);
        double[] gradient = copies.gradient(parameter).toHost();
        for (int i = 0; i < value.length; i++) {
          double before = value[i];
          value[i] = before + STEP;
          double above = loss(stage, batch, copies);
          value[i] = before - STEP;
          double below = loss(stage, batch, copies);
          value[i] = before;
          assertThat(gradient[i])
              .as("%s [%d]", parameter.name(), i)
              .isCloseTo((above - below) / (2 * STEP), within(1e-6 * largest));
          checked++;
        }
      }
    }

    assertThat(checked).isGreaterThanOrEqualTo((int) model.size());
  }

  private static double loss(Stage stage, TokenBatch batch, Copies copies)
      throws InterruptedException {
    return stage
            .forward(
                batch,
                Optional.empty(),
                batch.targets(),
                Stage.Keep.NOTHING,
                copies,
                ExpertRunner.inOrder(copies))
            .loss()
        / batch.targets();
  }

  private static double largest(double[] values) {
    double largest = 0;
    for (double value : values) {
      largest = Math.max(largest, Math.abs(value));
    }

    return largest;
  }

  @ParameterizedTest
  @MethodSource("names")
  void lossesGradientsAndAdamStatesOfTwoStepsAreThoseOfPyTorch(String name)
      throws InterruptedException {
    Golden golden = Golden.read(name);
    TrainableModel model = golden.model();
    try (StepExecutor executor = new PlainExecutor(model, 2)) {
      for (int step = 0; step < 2; step++) {
        assertThat(executor.gradients(golden.batch(step)))
            .isCloseTo(golden.loss(step), within(step == 0 ? 1e-12 : 1e-6));
        if (step == 0) {
          model.parameters().forEach(one -> compare(golden, "gradient", one, one.gradient(), 2e-7));
        }

        golden
            .optimizer()
            .step(model.parameters(), golden.about().get("rate").asDouble(), step + 1, true);
      }

      for (Parameter one : model.parameters()) {
        compare(golden, "after", one, one.value(), 1e-6);
        compare(golden, "mean", one, FloatBuffer.wrap(one.mean()), 1e-5);
        compare(golden, "variance", one, FloatBuffer.wrap(one.variance()), 1e-5);
      }
    }
  }

  /** Each number within a tolerance of the tensor's largest. */
  private static void compare(
      Golden golden, String kind, Parameter parameter, FloatBuffer found, double tolerance) {
    float[] expected = golden.numbers(kind, parameter);
    double largest = 1e-6;
    for (float number : expected) {
      largest = Math.max(largest, Math.abs(number));
    }

    for (int i = 0; i < expected.length; i++) {
      assertThat((double) found.get(i))
          .as("%s of %s [%d]", kind, parameter.name(), i)
          .isCloseTo(expected[i], within(tolerance * largest));
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void microBatchesDoNotChangeTheGradients(String name) throws InterruptedException {
    Golden golden = Golden.read(name);
    TrainableModel whole = golden.model();
    TrainableModel parts = golden.model();
    try (StepExecutor one = new PlainExecutor(whole, 1);
        StepExecutor four = new PlainExecutor(parts, 4)) {
      assertThat(four.gradients(golden.batch(0)))
          .isCloseTo(one.gradients(golden.batch(0)), within(1e-13));
    }

    for (int i = 0; i < whole.parameters().size(); i++) {
      FloatBuffer expected = whole.parameters().get(i).gradient();
      FloatBuffer found = parts.parameters().get(i).gradient();
      for (int j = 0; j < expected.limit(); j++) {
        assertThat(found.get(j))
            .as(whole.parameters().get(i).name())
            .isCloseTo(expected.get(j), within(2 * Math.ulp(expected.get(j)) + 1e-12f));
      }
    }
  }
}
