package io.expertatlas.runtime.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.cuda.CudaDevice;
import io.expertatlas.runtime.cuda.CudaMatrixDevice;
import io.expertatlas.runtime.matrix.DoubleDevice;
import io.expertatlas.runtime.matrix.FloatDevice;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.AffinityPolicy;
import io.expertatlas.runtime.pipeline.PipelineKind;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Pipelines in floats, on the CPU, beside devices in doubles and on GPUs where there are, beside
 * the one in doubles.
 */
@Timeout(120)
class SinglePrecisionTest {
  private static final AdamW OPTIMIZER = new AdamW(0.9, 0.99, 1e-6, 0.01);
  private static final int STEPS = 2;

  static List<Arguments> pipelines() {
    List<Arguments> all = new ArrayList<>();
    for (String device : List.of("cpu", "doubles", "cuda")) {
      for (String model : List.of("mixtral", "tied", "post-norm", "one-expert")) {
        for (int devices : new int[] {1, 2}) {
          for (PipelineKind kind : PipelineKind.values()) {
            all.add(Arguments.of(device, model, kind, AffinityPolicy.EQUATION_1, devices));
          }

          all.add(
              Arguments.of(
                  device, model, PipelineKind.APTMOE, AffinityPolicy.RANDOM_HALF, devices));
        }
      }
    }

    return all;
  }

  @ParameterizedTest
  @MethodSource("pipelines")
  void lossGradientsAndAdamStatesAreThoseInDoubles(
      String device, String name, PipelineKind kind, AffinityPolicy policy, int devices)
      throws InterruptedException {
    Assumptions.assumeTrue(
        !device.equals("cuda") || CudaDevice.count() >= devices,
        () -> "needs %d NVIDIA GPUs, this machine has %d".formatted(devices, CudaDevice.count()));
    List<MatrixDevice> opened = new ArrayList<>();
    for (int gpu = 0; device.equals("cuda") && gpu < devices; gpu++) {
      opened.add(new CudaMatrixDevice(gpu, 64 << 20, false));
    }

    ParameterMemory memory =
        opened.isEmpty() ? ParameterMemory.JVM : ((CudaMatrixDevice) opened.get(0))::pinned;
    Backend backend =
        switch (device) {
          case "cpu" -> beside(FloatDevice.INSTANCE, devices);
          case "doubles" -> beside(DoubleDevice.INSTANCE, devices);
          default -> new Backend(opened, FloatDevice.INSTANCE, true);
        };
    TrainableModel expected = PipelineExecutorTest.model(name, ParameterMemory.JVM);
    TrainableModel found = PipelineExecutorTest.model(name, memory);
    PipelineOptions options = PipelineExecutorTest.options(kind, policy, devices, 2, 32 << 20);
    try (PlainExecutor plain = new PlainExecutor(expected, 2);
        PipelineExecutor piped = new PipelineExecutor(found, options, backend, 12, 6)) {
      assertThat(piped.isInDoubles()).isEqualTo(device.equals("doubles"));
      for (int step = 1; step <= STEPS; step++) {
        TokenBatch batch = TinyModels.batch(19, 4, 6, step);
        assertThat(piped.gradients(batch)).isCloseTo(plain.gradients(batch), within(2e-5));
        for (int i = 0; i < expected.parameters().size(); i++) {
          Parameter one = expected.parameters().get(i);
          compare(one.name(), one.gradient(), found.parameters().get(i).gradient(), 2e-4);
        }

        OPTIMIZER.step(expected.parameters(), 1e-4, step, true);
        OPTIMIZER.step(found.parameters(), 1e-4, step, false);
      }

      for (int i = 0; i < expected.parameters().size(); i++) {
        Parameter one = expected.parameters().get(i);
        Parameter other = found.parameters().get(i);
        compare(one.name(), one.value(), other.value(), 1e-4);
        compare(one.name(), FloatBuffer.wrap(one.mean()), FloatBuffer.wrap(other.mean()), 1e-3);
      }

      TokenBatch scored = TinyModels.batch(19, 2, 6, 9);
      assertThat(piped.loss(scored)).isCloseTo(plain.loss(scored), within(2e-5));
      assertThat(piped.usedBytes()).isZero();
    } finally {
      opened.forEach(MatrixDevice::close);
    }
  }

  /** The CPU in floats beside devices of the host. */
  private static Backend beside(MatrixDevice device, int devices) {
    return new Backend(Collections.nCopies(devices, device), FloatDevice.INSTANCE, true);
  }

  /** Each number within a tolerance of the largest. */
  private static void compare(
      String name, FloatBuffer expected, FloatBuffer found, double tolerance) {
    double largest = 1e-4;
    for (int i = 0; i < expected.limit(); i++) {
      largest = Math.max(largest, Math.abs(expected.get(i)));
    }

    for (int i = 0; i < expected.limit(); i++) {
      assertThat((double) found.get(i))
          .as("%s [%d]", name, i)
          .isCloseTo(expected.get(i), within(tolerance * largest));
    }
  }
}
