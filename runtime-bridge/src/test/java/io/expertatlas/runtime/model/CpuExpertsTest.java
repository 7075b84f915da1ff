package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Offloaded experts on the CPU beside a device, which is a CPU too. */
class CpuExpertsTest {
  /** Rules that decide without a clock. */
  enum Forced implements CpuRule {
    ALL {
      @Override
      public Share share(int[] rows, double underWay, int most) {
        return new Share(most, 0.4);
      }
    },
    HALF {
      @Override
      public Share share(int[] rows, double underWay, int most) {
        return new Share(Math.min(most, (rows.length + 1) / 2), 0);
      }
    },
    SOME {
      private final SplittableRandom random = new SplittableRandom(5);

      @Override
      public Share share(int[] rows, double underWay, int most) {
        assertThat(rows).isSorted();
        return new Share(random.nextInt(most + 1), random.nextDouble() * 2);
      }
    }
  }

  static ExecutionPlan plan(String model, int slots, Eviction eviction) {
    return Runs.vanilla(Runs.config(model).shape(), 1, ParallelMode.HOME)
        .with(new Offload(slots, eviction, true));
  }

  private static Goldens goldens(String model) {
    return Goldens.read(model.equals("mixtral") ? "mixtral" : "nllb");
  }

  /** What a run gave. */
  private record Run(List<int[]> tokens, float[] logits, Offload.Use use) {}

  private static Run run(
      String model, int slots, Eviction eviction, DType type, CpuRule rule, Foretelling by) {
    boolean mixtral = model.equals("mixtral");
    try (Runs runs =
            new Runs(
                model,
                plan(model, slots, eviction),
                new Limits(8, 128, 512),
                rank -> new CpuDevice(rank, 1, type));
        CpuDevice cpu = new CpuDevice(0, 1, type)) {
      runs.model.computeOnHost(cpu, rule);
      if (by != Foretelling.NONE) {
        runs.model.foretell(by);
      }

      List<int[]> tokens = runs.greedy(goldens(model).prompts(), mixtral ? 32 : 128, !mixtral);
      return new Run(tokens, logits(runs, goldens(model).prompts()), runs.model.offloaded());
    }
  }

  /** Logits behind the prompts. */
  private static float[] logits(Runs runs, List<int[]> prompts) {
    List<int[]> starts = runs.model.begin(0, prompts);
    List<Step.Piece> pieces = new ArrayList<>();
    for (int s = 0; s < starts.size(); s++) {
      pieces.add(new Step.Piece(s, 0, starts.get(s), true, 0));
    }

    Logits logits = runs.model.forward(Step.of(Phase.PREFILL, 0, pieces)).get(0);
    return logits.device().readFloats(logits.values());
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 3, POPULARITY, ALL",
    "mixtral, 30, POPULARITY, ALL",
    "mixtral, 30, LRU, ALL",
    "mixtral, 3, LRU, HALF",
    "mixtral, 30, POPULARITY, HALF",
    "mixtral, 1, POPULARITY, SOME",
    "mixtral, 12, LRU, SOME",
    "mixtral, 96, LRU, ALL",
    "nllb-moe, 2, POPULARITY, ALL",
    "nllb-moe, 2, LRU, HALF",
    "nllb-moe, 7, POPULARITY, SOME"
  })
  void whereAnExpertIsComputedChangesNoBit(
      String model, int slots, Eviction eviction, Forced rule) {
    Run without = run(model, slots, eviction, DType.F32, CpuRule.NONE, Foretelling.NONE);
    Run with = run(model, slots, eviction, DType.F32, rule, Foretelling.NONE);

    assertThat(with.tokens()).containsExactlyElementsOf(goldens(model).greedy());
    assertThat(without.tokens()).containsExactlyElementsOf(goldens(model).greedy());
    assertThat(with.logits()).isEqualTo(without.logits());
    assertThat(with.use().needed()).isEqualTo(without.use().needed());
    assertThat(without.use().onCpu()).isZero();
    if (slots == 96) { // all fit: empty slots are filled, never the CPU asked
      assertThat(with.use()).isEqualTo(without.use());
    } else {
      assertThat(with.use().onCpu()).isPositive();
      assertThat(with.use().loads()).isGreaterThanOrEqualTo(slots);
      assertThat(with.use().loads()).isLessThan(without.use().loads());
    }
  }

  @ParameterizedTest
  @CsvSource({"mixtral, 5, SOME", "mixtral, 30, ALL", "nllb-moe, 5, HALF"})
  void withBf16WeightsNeither(String model, int slots, Forced rule) {
    assumeTrue(CpuDevice.whyNoBfloat16().isEmpty(), () -> "skipped: " + CpuDevice.whyNoBfloat16());
    Eviction eviction = Eviction.POPULARITY;
    Run without = run(model, slots, eviction, DType.BF16, CpuRule.NONE, Foretelling.NONE);
    Run with = run(model, slots, eviction, DType.BF16, rule, Foretelling.NONE);

    assertThat(with.tokens()).containsExactlyElementsOf(without.tokens());
    assertThat(with.logits()).isEqualTo(without.logits());
    assertThat(with.use().onCpu()).isPositive();
  }

  @ParameterizedTest
  @CsvSource({"9, LRU, ALL", "30, POPULARITY, HALF", "30, POPULARITY, SOME"})
  void whatIsForetoldComesToTheDeviceAndTheRestFollowsTheRule(
      int slots, Eviction eviction, Forced rule) {
    Run without = run("mixtral", slots, eviction, DType.F32, CpuRule.NONE, Foretelling.NONE);
    Run with = run("mixtral", slots, eviction, DType.F32, rule, Foretelling.NEXT_GATE);

    assertThat(with.tokens()).containsExactlyElementsOf(without.tokens());
    assertThat(with.logits()).isEqualTo(without.logits());
    assertThat(with.use().foretold()).isPositive();
    assertThat(with.use().onCpu()).isPositive();
    assertThat(with.use().needed()).isEqualTo(without.use().needed());
  }

  @Test
  void expertsThatTheCpuComputesOftenComeToSlotsWhileItComputes() {
    Run never = run("mixtral", 30, Eviction.POPULARITY, DType.F32, Forced.HALF, Foretelling.NONE);
    Run often = run("mixtral", 30, Eviction.POPULARITY, DType.F32, Forced.ALL, Foretelling.NONE);
    long expert = 3L * 192 * 64 * Float.BYTES;

    assertThat(never.use().bytes()).isEqualTo(never.use().loads() * expert);
    assertThat(often.use().loads()).isEqualTo(30); // as many as were empty
    assertThat(often.use().bytes()).isGreaterThan(30 * expert);
    assertThat(often.use().hits()).isPositive();
  }

  @Test
  void theLongerOfCpuAndLinkIsMadeShort() {
    HostCosts costs = new HostCosts(List.of(1, 2, 4), List.of(3.0, 3.0, 9.0), 6);
    CpuRule rule = CpuRule.minMax(costs);

    assertThat(rule.share(new int[] {1}, 0, 1)).isEqualTo(new CpuRule.Share(1, 0.5));
    assertThat(rule.share(new int[] {1, 2}, 0, 2)).isEqualTo(new CpuRule.Share(1, 0)); // 6: as 2
    assertThat(rule.share(new int[] {1, 1, 1}, 0, 3)).isEqualTo(new CpuRule.Share(2, 0));
    assertThat(rule.share(new int[] {1, 1, 1}, 0, 1)).isEqualTo(new CpuRule.Share(1, 0));
    assertThat(rule.share(new int[] {1, 1, 1}, 1.5, 3)).isEqualTo(new CpuRule.Share(3, 0));
    assertThat(rule.share(new int[] {4}, 0, 1)).isEqualTo(new CpuRule.Share(0, 0)); // 9: longer
    assertThat(rule.share(new int[] {4}, 0.5, 1)).isEqualTo(new CpuRule.Share(0, 0)); // 9 both
    assertThat(rule.share(new int[] {4}, 1, 1)).isEqualTo(new CpuRule.Share(1, 0.5));
    assertThat(rule.share(new int[] {8, 8}, 0, 2)).isEqualTo(new CpuRule.Share(0, 0)); // 12 or 18
  }

  /** All splits tried, one after the other. */
  @ParameterizedTest
  @CsvSource({"1", "2", "3", "4", "5", "6"})
  void noOtherSplitIsShorter(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    for (int round = 0; round < 200; round++) {
      double[] cpu = random.doubles(5, 1, 20).sorted().toArray();
      double load = random.nextDouble(1, 20);
      HostCosts costs =
          new HostCosts(List.of(1, 2, 3, 4, 5), Arrays.stream(cpu).boxed().toList(), load);
      int[] rows = random.ints(random.nextInt(1, 9), 1, 6).sorted().toArray();
      double underWay = random.nextInt(3) / 2.0;
      int most = random.nextInt(rows.length + 1);
      CpuRule.Share found = CpuRule.minMax(costs).share(rows, underWay, most);

      double best = Double.MAX_VALUE;
      int bestCount = -1;
      double spare = 0;
      for (int k = 0; k <= most; k++) {
        double onCpu = 0;
        for (int i = 0; i < k; i++) {
          onCpu += cpu[rows[i] - 1];
        }

        double onLink = (underWay + rows.length - k) * load;
        if (Math.max(onCpu, onLink) < best) {
          best = Math.max(onCpu, onLink);
          bestCount = k;
          spare = Math.max(0, (onCpu - onLink) / load);
        }
      }

      assertThat(found.onCpu()).isEqualTo(bestCount);
      assertThat(found.spareCopies()).isCloseTo(bestCount == 0 ? 0 : spare, within(1e-9));
    }
  }

  @ParameterizedTest
  @CsvSource({"mixtral", "nllb-moe"})
  void costsAreMeasuredOnTheHeldExpertsAndLeaveTheSlotsEmpty(String model) {
    ExecutionPlan plan = plan(model, 5, Eviction.POPULARITY);
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 96));
        CpuDevice cpu = new CpuDevice(0, 1)) {
      HostCosts costs = runs.model.measureHost(cpu);
      assertThat(costs.loadNanos()).isPositive();
      assertThat(costs.rows()).startsWith(1).isSorted();
      assertThat(costs.rows()).allMatch(rows -> rows <= 96 && Integer.bitCount(rows) == 1);
      assertThat(costs.cpuNanos()).isSorted().hasSameSizeAs(costs.rows());
      assertThat(costs.cpuNanos().get(0)).isPositive();
      assertThat(runs.model.offloaded()).isEqualTo(Offload.Use.NONE);

      runs.model.computeOnHost(cpu, CpuRule.minMax(costs));
      boolean mixtral = model.equals("mixtral");
      assertThat(runs.greedy(goldens(model).prompts(), mixtral ? 32 : 128, !mixtral))
          .containsExactlyElementsOf(goldens(model).greedy());
      assertThatThrownBy(() -> runs.model.measureHost(cpu))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("Cannot measure copies: experts are on slots");
    }
  }

  @Test
  void anotherCpuMayGoOn() {
    ExecutionPlan plan = plan("mixtral", 30, Eviction.POPULARITY);
    try (Runs runs = new Runs("mixtral", plan, new Limits(8, 128, 512))) {
      for (int turn = 0; turn < 2; turn++) {
        try (CpuDevice cpu = new CpuDevice(0, 1 + turn)) {
          runs.model.computeOnHost(cpu, Forced.ALL);
          assertThat(runs.greedy(goldens("mixtral").prompts(), 32, false))
              .containsExactlyElementsOf(goldens("mixtral").greedy());
        }
      }
    }
  }

  @Test
  void memoryOfTheHostIsPlanned() {
    Limits limits = new Limits(4, 32, 16);
    ExecutionPlan with = plan("mixtral", 3, Eviction.LRU);
    ExecutionPlan without = with.with(new Offload(3, Eviction.LRU));
    long more = planned(with, limits).host() - planned(without, limits).host();

    assertThat(more).isEqualTo(16L * (1 + 2) * 192 * Float.BYTES); // rows and results
    assertThat(planned(with, limits).device()[0] - planned(without, limits).device()[0])
        .isEqualTo(Integer.BYTES * (16 * 2 + 3)); // numbers; offsets of 3 + 8 experts, not 8
  }

  private static MemoryPlan planned(ExecutionPlan plan, Limits limits) {
    return MemoryPlan.of(
        Runs.config("mixtral"), plan, limits, DType.F32, DType.F32, new int[plan.ranks()]);
  }

  @Test
  void refusesSeveralRanksTooManySlotsAndPlansWithoutIt() {
    ExecutionPlan two = Runs.vanilla(Runs.config("mixtral").shape(), 2, ParallelMode.HOME);
    assertThatThrownBy(() -> two.with(new Offload(3, Eviction.LRU, true)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Cannot compute experts on the CPU beside 2 ranks: only beside one");
    assertThatThrownBy(() -> plan("mixtral", 505, Eviction.LRU))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid number of expert slots beside experts on the CPU: 505, 1 to 512 less the 8"
                + " experts of a layer");
    ExecutionPlan without = plan("mixtral", 3, Eviction.LRU).with(new Offload(3, Eviction.LRU));
    try (Runs runs = new Runs("mixtral", without, new Limits(1, 8, 8));
        CpuDevice cpu = new CpuDevice(0, 1)) {
      assertThatThrownBy(() -> runs.model.computeOnHost(cpu, Forced.ALL))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("Cannot compute experts on the CPU: the plan keeps them on the devices");
    }
  }
}
