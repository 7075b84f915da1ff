package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The models of {@code data/} with bf16 weights on the CPU, beside transformers' outputs in F32;
 * skipped where the processor has no such products.
 */
class Bf16GoldenTest {
  @BeforeAll
  static void needsBf16() {
    assumeTrue(CpuDevice.whyNoBfloat16().isEmpty(), () -> "skipped: " + CpuDevice.whyNoBfloat16());
  }

  private static Device open(int rank) {
    return new CpuDevice(rank, 1, DType.BF16);
  }

  private static Goldens goldens(String model) {
    return Goldens.read(model.equals("mixtral") ? "mixtral" : "nllb");
  }

  @ParameterizedTest
  @CsvSource({"mixtral, 1", "mixtral, 3", "nllb-moe, 1", "nllb-moe, 3"})
  void logitsAreNearTheGoldenOnes(String model, int ranks) {
    Goldens goldens = goldens(model);
    ExecutionPlan plan = Runs.vanilla(Runs.config(model).shape(), ranks, ParallelMode.HOME);
    double worst = 0;
    int agree = 0;
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 512), Bf16GoldenTest::open)) {
      List<int[]> starts = runs.model.begin(0, goldens.prompts());
      List<Step.Piece> pieces = new ArrayList<>();
      for (int s = 0; s < starts.size(); s++) {
        pieces.add(new Step.Piece(s, 0, starts.get(s), true, 0));
      }

      for (Logits logits : runs.model.forward(Step.of(Phase.PREFILL, 0, pieces))) {
        float[] found = logits.device().readFloats(logits.values());
        for (int i = 0; i < logits.sequences().length; i++) {
          float[] expected = goldens.logits()[logits.sequences()[i]];
          double largest = 0;
          double off = 0;
          int best = 0;
          for (int v = 0; v < expected.length; v++) {
            float value = found[i * expected.length + v];
            largest = Math.max(largest, Math.abs(expected[v]));
            off = Math.max(off, Math.abs(expected[v] - value));
            best = value > found[i * expected.length + best] ? v : best;
          }

          worst = Math.max(worst, off / largest);
          agree += best == goldens.greedy().get(logits.sequences()[i])[0] ? 1 : 0;
        }
      }
    }

    System.out.printf("%s: relative difference of logits at most %.2e%n", model, worst);
    assertThat(worst).isLessThan(5e-2);
    assertThat(agree).as("first tokens that are the golden ones").isGreaterThanOrEqualTo(7);
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 4, HOME, 0",
    "mixtral, 3, COHERENT, 0",
    "mixtral, 1, HOME, 5",
    "nllb-moe, 4, HOME, 0",
    "nllb-moe, 1, HOME, 5"
  })
  void ranksModeAndOffloadingDoNotChangeTheTokens(
      String model, int ranks, ParallelMode mode, int slots) {
    Goldens goldens = goldens(model);
    ExecutionPlan alone = Runs.vanilla(Runs.config(model).shape(), 1, ParallelMode.HOME);
    ExecutionPlan plan = Runs.vanilla(Runs.config(model).shape(), ranks, mode);
    ExecutionPlan changed =
        slots == 0 ? plan : plan.with(new Offload(slots, Offload.Eviction.POPULARITY));
    List<int[]> prompts = goldens.prompts().subList(0, 1); // products of the same rows: same bits
    Limits limits = new Limits(ranks, 128, 512);
    try (Runs one = new Runs(model, alone, limits, Bf16GoldenTest::open);
        Runs other = new Runs(model, changed, limits, Bf16GoldenTest::open)) {
      assertThat(other.greedy(prompts, 32, false))
          .containsExactlyElementsOf(one.greedy(prompts, 32, false));
    }
  }
}
