package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.runtime.cuda.CudaDevice;
import io.expertatlas.runtime.cuda.CudaDevice.Precision;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.IntFunction;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tokens and logits of transformers on a GPU; skipped where there is none. */
class CudaGoldenTest {
  @BeforeAll
  static void needsGpu() {
    assumeTrue(CudaDevice.whyNone().isEmpty(), () -> "skipped: " + CudaDevice.whyNone());
  }

  private static Device exact(int rank) {
    return new CudaDevice(rank, rank % CudaDevice.count(), Precision.FLOAT32, 4L << 30);
  }

  private static Device half(int rank) {
    return new CudaDevice(rank, rank % CudaDevice.count(), Precision.BFLOAT16, 4L << 30);
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 1, 1, LRU",
    "mixtral, 1, 3, POPULARITY",
    "mixtral, 1, 30, POPULARITY",
    "mixtral, 3, 5, LRU",
    "nllb-moe, 1, 2, POPULARITY",
    "nllb-moe, 2, 7, LRU"
  })
  void offloadedExpertsGiveTheGoldenTokens(String model, int ranks, int slots, Eviction eviction) {
    boolean mixtral = model.equals("mixtral");
    Goldens goldens = Goldens.read(mixtral ? "mixtral" : "nllb");
    ExecutionPlan plan =
        Runs.vanilla(Runs.config(model).shape(), ranks, ParallelMode.HOME)
            .with(new Offload(slots, eviction));
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 512), CudaGoldenTest::exact)) {
      assertThat(runs.greedy(goldens.prompts(), mixtral ? 32 : 128, !mixtral))
          .containsExactlyElementsOf(goldens.greedy());
      assertThat(runs.model.offloaded().loads()).isGreaterThanOrEqualTo(slots);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 3, LRU, ALL",
    "mixtral, 30, POPULARITY, ALL",
    "mixtral, 30, POPULARITY, HALF",
    "mixtral, 12, LRU, SOME",
    "nllb-moe, 2, POPULARITY, ALL",
    "nllb-moe, 7, LRU, SOME"
  })
  void expertsOnTheCpuGiveTheGoldenTokens(
      String model, int slots, Eviction eviction, CpuExpertsTest.Forced rule) {
    boolean mixtral = model.equals("mixtral");
    Goldens goldens = Goldens.read(mixtral ? "mixtral" : "nllb");
    for (Foretelling by :
        mixtral ? List.of(Foretelling.NONE, Foretelling.NEXT_GATE) : List.of(Foretelling.NONE)) {
      try (Runs runs =
              new Runs(
                  model,
                  CpuExpertsTest.plan(model, slots, eviction),
                  new Limits(8, 128, 512),
                  CudaGoldenTest::exact);
          CpuDevice cpu = new CpuDevice(0, 4)) {
        runs.model.computeOnHost(cpu, rule);
        if (by != Foretelling.NONE) {
          runs.model.foretell(by);
        }

        assertThat(runs.greedy(goldens.prompts(), mixtral ? 32 : 128, !mixtral))
            .containsExactlyElementsOf(goldens.greedy());
        assertThat(runs.model.offloaded().onCpu()).isPositive();
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"mixtral", "nllb-moe"})
  void costsOfExpertsAreMeasuredAndDecideBesideAGpu(String model) {
    boolean mixtral = model.equals("mixtral");
    Goldens goldens = Goldens.read(mixtral ? "mixtral" : "nllb");
    ExecutionPlan plan = CpuExpertsTest.plan(model, 10, Eviction.POPULARITY);
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 512), CudaGoldenTest::exact);
        CpuDevice cpu = new CpuDevice(0, 4)) {
      HostCosts costs = runs.model.measureHost(cpu);
      assertThat(costs.loadNanos()).isPositive();
      assertThat(costs.cpuNanos()).isSorted().hasSameSizeAs(costs.rows());
      runs.model.computeOnHost(cpu, CpuRule.minMax(costs));
      assertThat(runs.greedy(goldens.prompts(), mixtral ? 32 : 128, !mixtral))
          .containsExactlyElementsOf(goldens.greedy());
    }
  }

  /** Both round to bf16: what they give differs by that alone. */
  @ParameterizedTest
  @CsvSource({"mixtral, ALL", "mixtral, SOME", "nllb-moe, HALF"})
  void inBfloat16ExpertsOnTheCpuGiveLogitsNearTheGoldenOnes(
      String model, CpuExpertsTest.Forced rule) {
    assumeTrue(CpuDevice.whyNoBfloat16().isEmpty(), () -> "skipped: " + CpuDevice.whyNoBfloat16());
    String goldens = model.equals("mixtral") ? "mixtral" : "nllb";
    ExecutionPlan plan = CpuExpertsTest.plan(model, 5, Eviction.POPULARITY);
    try (CpuDevice cpu = new CpuDevice(0, 4, DType.BF16)) {
      double off =
          difference(
              model,
              goldens,
              plan,
              CudaGoldenTest::half,
              loaded -> loaded.computeOnHost(cpu, rule));
      assertThat(off).isLessThan(5e-2);
    }
  }

  @ParameterizedTest
  @CsvSource({"3, LRU", "12, POPULARITY", "30, POPULARITY"})
  void expertsFetchedAheadGiveTheGoldenTokens(int slots, Eviction eviction) {
    Goldens goldens = Goldens.read("mixtral");
    ExecutionPlan plan =
        Runs.vanilla(Runs.config("mixtral").shape(), 1, ParallelMode.HOME)
            .with(new Offload(slots, eviction));
    try (Runs runs = new Runs("mixtral", plan, new Limits(8, 128, 512), CudaGoldenTest::exact)) {
      RecordedRoutes routes = new RecordedRoutes(Runs.config("mixtral").shape());
      Foretelling oracle = Foretelling.by(routes);
      for (Foretelling by :
          List.of(Foretelling.NONE, Foretelling.POPULARITY, Foretelling.NEXT_GATE, oracle)) {
        if (by == oracle && slots < 8) { // sums of several sets may be rounded otherwise
          continue;
        }

        runs.model.foretell(by);
        Offload.Use before = runs.model.offloaded();
        assertThat(runs.greedy(goldens.prompts(), 32, false))
            .containsExactlyElementsOf(goldens.greedy());
        Offload.Use use = runs.model.offloaded().minus(before);
        if (by == Foretelling.NONE) {
          assertThat(use.foretold()).isZero();
        } else if (slots >= 8) {
          assertThat(use.foretold()).isPositive();
        }

        runs.routes.forEach(routes::routed);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 1, HOME, 0, 8",
    "mixtral, 1, HOME, 0, 1",
    "mixtral, 4, HOME, 0, 8",
    "mixtral, 4, COHERENT, 0, 8",
    "mixtral, 3, HOME, 7, 3",
    "mixtral, 3, COHERENT, 7, 8",
    "nllb-moe, 1, HOME, 0, 8",
    "nllb-moe, 1, HOME, 0, 1",
    "nllb-moe, 4, HOME, 0, 8",
    "nllb-moe, 4, COHERENT, 0, 8",
    "nllb-moe, 5, COHERENT, 3, 2"
  })
  void inFloat32TheTokensAreTheGoldenOnes(
      String model, int ranks, ParallelMode mode, long seed, int batch) {
    boolean mixtral = model.equals("mixtral");
    Goldens goldens = Goldens.read(mixtral ? "mixtral" : "nllb");
    ExecutionPlan plan =
        seed == 0
            ? Runs.vanilla(Runs.config(model).shape(), ranks, mode)
            : Runs.random(Runs.config(model).shape(), ranks, mode, seed);
    Limits limits = new Limits(batch, 128, 512);
    try (Runs runs = new Runs(model, plan, limits, CudaGoldenTest::exact)) {
      for (int from = 0; from < 8; from += batch) {
        int to = Math.min(from + batch, 8);
        assertThat(runs.greedy(goldens.prompts().subList(from, to), mixtral ? 32 : 128, !mixtral))
            .containsExactlyElementsOf(goldens.greedy().subList(from, to));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"mixtral, HOME", "mixtral, COHERENT", "nllb-moe, HOME", "nllb-moe, COHERENT"})
  void copiesOfExpertsDoNotChangeTheTokens(String model, ParallelMode mode) {
    boolean mixtral = model.equals("mixtral");
    Goldens goldens = Goldens.read(mixtral ? "mixtral" : "nllb");
    ExecutionPlan plan = Runs.copies(Runs.config(model).shape(), 4, mode, 11);
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 512), CudaGoldenTest::exact)) {
      assertThat(runs.greedy(goldens.prompts(), mixtral ? 32 : 128, !mixtral))
          .containsExactlyElementsOf(goldens.greedy());
    }
  }

  @ParameterizedTest
  @CsvSource({"mixtral, mixtral", "nllb-moe, nllb"})
  void inFloat32TheLogitsAreTheGoldenOnes(String model, String goldens) {
    assertThat(difference(model, goldens, CudaGoldenTest::exact)).isLessThan(2e-3);
  }

  @ParameterizedTest
  @CsvSource({"mixtral, mixtral", "nllb-moe, nllb"})
  void inBfloat16TheLogitsAreNearTheGoldenOnes(String model, String goldens) {
    assertThat(difference(model, goldens, CudaGoldenTest::half)).isLessThan(5e-2);
  }

  /** The largest difference of a logit, relative to the largest logit of its row. */
  private static double difference(String model, String name, IntFunction<Device> open) {
    ExecutionPlan plan = Runs.vanilla(Runs.config(model).shape(), 1, ParallelMode.HOME);
    return difference(model, name, plan, open, loaded -> {});
  }

  private static double difference(
      String model,
      String name,
      ExecutionPlan plan,
      IntFunction<Device> open,
      Consumer<Model> change) {
    Goldens goldens = Goldens.read(name);
    double worst = 0;
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 512), open)) {
      change.accept(runs.model);
      List<int[]> starts = runs.model.begin(0, goldens.prompts());
      List<Step.Piece> pieces = new ArrayList<>();
      for (int s = 0; s < starts.size(); s++) {
        pieces.add(new Step.Piece(s, 0, starts.get(s), true, 0));
      }

      Logits logits = runs.model.forward(Step.of(Phase.PREFILL, 0, pieces)).get(0);
      float[] found = logits.device().readFloats(logits.values());
      int width = goldens.logits()[0].length;
      for (int s = 0; s < starts.size(); s++) {
        double largest = 0;
        double off = 0;
        for (int v = 0; v < width; v++) {
          largest = Math.max(largest, Math.abs(goldens.logits()[s][v]));
          off = Math.max(off, Math.abs(goldens.logits()[s][v] - found[s * width + v]));
        }

        worst = Math.max(worst, off / largest);
      }
    }

    System.out.printf("%s: relative difference of logits at most %.2e%n", model, worst);
    return worst;
  }
}
