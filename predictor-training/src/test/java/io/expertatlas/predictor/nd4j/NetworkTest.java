package io.expertatlas.predictor.nd4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.predictor.PredictorKind;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.ndarray.INDArray;

class NetworkTest {
  @ParameterizedTest
  @CsvSource({"2,2,1,0,2", "7,5,3,0,2", "17,8,3,4,3", "9,1,2,3,5", "33,16,1,8,4"})
  void explicitGradientsAreThoseOfTheGraph(int width, int experts, int heads, int rank, int rows) {
    SingleThread.enter();
    TrainerConfig config =
        new TrainerConfig(
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
    SplittableRandom random = new SplittableRandom(width);
    int outputs = experts * heads;
    try (Network network = new Network(config, width, outputs, heads, rows)) {
      float[][] state = network.state();
      for (int i = 0; i < state.length; i += 3) {
        state[i] = draw(random, state[i].length);
      }

      network.restore(state);
      network.train().features.data().asNioFloat().put(draw(random, rows * width));
      float[] target = draw(random, rows * outputs);
      for (int row = 0; row < target.length; row += experts) {
        float sum = 0;
        for (int i = row; i < row + experts; i++) {
          target[i] = Math.abs(target[i]) + 0.01f;
          sum += target[i];
        }

        for (int i = row; i < row + experts; i++) {
          target[i] /= sum;
        }
      }

      network.train().target.data().asNioFloat().put(target);
      network.train().gradients();
      String[] names = rank > 0 ? new String[] {"W", "U", "V"} : new String[] {"W"};
      Map<String, INDArray> expected =
          new SameDiffTwin(network.weights(), width, outputs, rank, heads, rows)
              .gradients(network.train().features, network.train().target, names);
      float[][] found = network.lastGradients();
      for (int i = 0; i < names.length; i++) {
        assertThat(found[i])
            .as(names[i])
            .containsExactly(
                expected.get(names[i]).dup('c').reshape(-1).toFloatVector(), within(1e-5f));
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
