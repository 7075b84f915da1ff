package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.Topology;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.checkpoint.Checkpoint;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.Logits;
import io.expertatlas.runtime.model.Model;
import io.expertatlas.runtime.model.Models;
import io.expertatlas.runtime.model.RunObserver;
import io.expertatlas.runtime.model.Step;
import io.expertatlas.trace.Phase;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The forward pass for training beside the one for generation. */
class MixtralForwardTest {
  @Test
  void logitsAreThoseOfTheModelThatGenerates() throws IOException, InterruptedException {
    Checkpoint checkpoint = Checkpoint.open(Goldens.data().resolve("mixtral"));
    MixtralConfig config = (MixtralConfig) checkpoint.config();
    MixtralTraining training = new MixtralTraining(config, checkpoint, false, ParameterMemory.JVM);
    ExecutionPlan plan =
        new ExecutionPlan(
            config.shape(),
            new Placement(new Topology(1, 1), new int[config.layers()][config.experts()]),
            ParallelMode.HOME);
    try (Device device = new CpuDevice(0, 1)) {
      Model model =
          Models.load(
              config, checkpoint, plan, List.of(device), new Limits(1, 128, 128), RunObserver.NONE);
      for (int[] prompt : Goldens.read("mixtral").prompts()) {
        model.begin(0, List.of(prompt));
        Step.Piece piece = new Step.Piece(0, 0, prompt, true, 0);
        Logits logits = model.forward(Step.of(Phase.PREFILL, 0, List.of(piece))).get(0);
        float[] expected = device.readFloats(logits.values());
        double[] found = logits(training, prompt).toHost();
        double largest = 0;
        double difference = 0;
        for (int v = 0; v < config.vocabulary(); v++) {
          largest = Math.max(largest, Math.abs(expected[v]));
          difference = Math.max(difference, Math.abs(expected[v] - found[v]));
        }

        assertThat(difference / largest).as("prompt of %d", prompt.length).isLessThan(2e-6);
      }
    }
  }

  /** After the last token. */
  private static Matrix logits(MixtralTraining model, int[] ids) throws InterruptedException {
    Copies copies =
        new Copies() {
          @Override
          public MatrixDevice device() {
            return DoubleDevice.INSTANCE;
          }

          @Override
          public Matrix value(Parameter parameter) {
            return DoubleDevice.INSTANCE.load(
                parameter.value(), parameter.rows(), parameter.columns());
          }

          @Override
          public Matrix gradient(Parameter parameter) {
            throw new IllegalStateException("no gradient is asked for");
          }
        };
    Matrix x = model.embed(ids, ids.length, copies);
    for (Layer layer : model.layers()) {
      x = layer.forward(x, ids.length, copies, ExpertRunner.inOrder(copies)).output();
    }

    return model.logits(x.gather(new int[] {ids.length - 1}), copies);
  }
}
