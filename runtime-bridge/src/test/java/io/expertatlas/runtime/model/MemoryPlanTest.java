package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.runtime.synthetic.NamedShapes;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MemoryPlanTest {
  /** A device that counts what is allocated on it. */
  private static Device counting(int rank, DType weights, long[] bytes) {
    CpuDevice device = new CpuDevice(rank, 1, weights);
    return (Device)
        Proxy.newProxyInstance(
            MemoryPlanTest.class.getClassLoader(),
            new Class<?>[] {Device.class},
            (proxy, method, arguments) -> {
              if (method.getName().equals("sharesMemoryWith")) {
                return true;
              }

              try {
                Object result = method.invoke(device, arguments);
                if (method.getName().equals("allocate")) {
                  bytes[rank] += Math.max(1, ((Tensor) result).bytes());
                }

                return result;
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 1, HOME, F32",
    "mixtral, 3, HOME, F32",
    "mixtral, 2, COHERENT, F32",
    "nllb-moe, 1, HOME, F32",
    "nllb-moe, 3, COHERENT, F32",
    "mixtral, 1, HOME, BF16",
    "nllb-moe, 3, COHERENT, BF16"
  })
  void planIsWhatIsAllocated(String name, int ranks, ParallelMode mode, DType weights) {
    assumeTrue(
        weights == DType.F32 || CpuDevice.whyNoBfloat16().isEmpty(),
        () -> "skipped: " + CpuDevice.whyNoBfloat16());
    ExecutionPlan plan = Runs.random(Runs.config(name).shape(), ranks, mode, 5);
    Limits limits = new Limits(6, 40, 20);
    long[] allocated = new long[ranks];
    try (Runs runs = new Runs(name, plan, limits, rank -> counting(rank, weights, allocated))) {
      new Generation(runs.model, limits, Sampler.GREEDY, 1, false, tokens -> {});
    }

    int[] memories = new int[ranks];
    assertThat(
            MemoryPlan.of(Runs.config(name), plan, limits, weights, DType.F32, memories).device())
        .containsExactly(allocated);
  }

  @Test
  void ranksOfOneMemoryShareTheirDenseWeights() {
    MixtralConfig config = NamedShapes.find("mixtral-8x7b");
    ExecutionPlan plan = Runs.vanilla(config.shape(), 4, ParallelMode.HOME);
    Limits limits = new Limits(4, 512, 512);
    long[] apart =
        MemoryPlan.of(config, plan, limits, DType.BF16, DType.BF16, new int[] {0, 1, 2, 3})
            .device();
    long[] pairs =
        MemoryPlan.of(config, plan, limits, DType.BF16, DType.BF16, new int[] {0, 1, 0, 1})
            .device();
    long parameters = 46_702_792_704L;
    long experts = 32L * 8 * 3 * 4096 * 14336;
    long dense = (parameters - experts) * 2;

    assertThat(pairs[0]).isEqualTo(apart[0]);
    assertThat(pairs[1]).isEqualTo(apart[1]);
    assertThat((double) (apart[2] - pairs[2])).isBetween(dense * 0.99, dense * 1.01);
    assertThat((double) apart[0]).isBetween(dense + experts / 2.0, (dense + experts / 2.0) * 1.1);
  }
}
