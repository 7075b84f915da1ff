package io.expertatlas.predictor.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.predictor.PredictorKind;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.updaters.AdamUpdater;
import org.nd4j.linalg.factory.Nd4j;

class NetworkTest {
  @ParameterizedTest
  @CsvSource({"2,2,1,0,2", "7,5,3,0,2", "17,8,3,4,3", "9,1,2,3,5", "33,16,1,8,4"})
  void explicitGradientsAreThoseOfTheGraph(int width, int experts, int heads, int rank, int rows) {
    SingleThread.enter();
    TrainerConfig config = config(rank, rows);
    SplittableRandom random = new SplittableRandom(width);
    int outputs = experts * heads;
    try (Network network = new Network(config, width, outputs, heads, rows)) {
      float[][] state = network.state();
      for (int i = 0; i < state.length; i += 3) {
        state[i] = draw(random, state[i].length);
      }

      network.restore(state);
      fill(network.train().features, random);
      fillDistributions(network.train().target, experts, random);
      network.train().gradients();
      String[] names = rank > 0 ? new String[] {"W", "U", "V"} : new String[] {"W"};
      Map<String, INDArray> expected =
          new SameDiffTwin(network.weights(), width, outputs, rank, heads, rows)
              .gradients(
                  network.train().features.array(),
                  Nd4j.createFromArray(network.train().target),
                  names);
      float[][] found = network.lastGradients();
      for (int i = 0; i < names.length; i++) {
        assertThat(found[i])
            .as(names[i])
            .containsExactly(
                expected.get(names[i]).dup('c').reshape(-1).toFloatVector(), within(1e-5f));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"7,5,3,0,2", "17,8,3,4,3"})
  void stepsAreThoseOfNd4jsAdam(int width, int experts, int heads, int rank, int rows) {
    SingleThread.enter();
    TrainerConfig config = config(rank, rows);
    SplittableRandom random = new SplittableRandom(width);
    try (Network network = new Network(config, width, experts * heads, heads, rows)) {
      network.begin(draw(random, width * experts * heads), draw(random, width * rank));
      INDArray value = Nd4j.createFromArray(network.weights()[0]);
      INDArray velocity = Nd4j.zerosLike(value);
      INDArray momentum = Nd4j.zerosLike(value);
      for (int step = 0; step < 5; step++) {
        fill(network.train().features, random);
        fillDistributions(network.train().target, experts, random);
        network.step(1e-2, step);
        INDArray gradient = Nd4j.createFromArray(network.lastGradients()[0]);
        Nd4j.exec(new AdamUpdater(gradient, velocity, momentum, 1e-2, 0.9, 0.999, 1e-8, step));
        value.subi(gradient);
        assertThat(network.weights()[0]).containsExactly(value.toFloatVector(), within(1e-5f));
      }
    }
  }

  private static TrainerConfig config(int rank, int rows) {
    return new TrainerConfig(
        rank > 0 ? PredictorKind.RESIDUAL : PredictorKind.PRE_GATE,
        1,
        1,
        1,
        rows,
        1e-3,
        false,
        rank,
        0,
        0,
        rows);
  }

  private static void fill(Matrix matrix, SplittableRandom random) {
    System.arraycopy(draw(random, matrix.values.length), 0, matrix.values, 0, matrix.values.length);
    matrix.push();
  }

  private static void fillDistributions(float[] target, int group, SplittableRandom random) {
    for (int from = 0; from < target.length; from += group) {
      float sum = 0;
      for (int i = from; i < from + group; i++) {
        target[i] = (float) random.nextDouble(0.01, 1);
        sum += target[i];
      }

      for (int i = from; i < from + group; i++) {
        target[i] /= sum;
      }
    }
  }

  private static float[] draw(SplittableRandom random, int length) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextDouble(-1, 1);
    }

    return values;
  }
}
