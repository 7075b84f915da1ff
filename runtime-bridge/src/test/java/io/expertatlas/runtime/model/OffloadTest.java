package io.expertatlas.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.runtime.cpu.CpuDevice;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class OffloadTest {
  /** One number an expert: 100 times its layer and itself. */
  private static final WeightSource NUMBERS =
      (name, shape) ->
          new TensorData() {
            @Override
            public String name() {
              return name;
            }

            @Override
            public DType type() {
              return DType.F32;
            }

            @Override
            public List<Long> shape() {
              return Arrays.stream(shape).boxed().toList();
            }

            @Override
            public void read(long first, ByteBuffer into) {
              while (into.hasRemaining()) {
                into.putFloat(Float.parseFloat(name.substring(name.indexOf('.') + 1)));
              }
            }
          };

  /** A cache of two layers of four experts, 0, 1, 2, 3 and 100, 101, 102, 103. */
  private static ExpertCache cache(CpuDevice device, int slots, Eviction eviction) {
    ExpertCache cache = new ExpertCache(device, new Offload(slots, eviction));
    Loading loading = new Loading(NUMBERS, device, Optional.of(cache));
    for (int layer = 0; layer < 2; layer++) {
      String name = "number.%d0%%d".formatted(layer);
      Loading.Part part = new Loading.Part(DType.F32, name, 1, 1);
      cache.hold(
          layer,
          new int[] {0, 1, 2, 3},
          4,
          List.of(part, part, part),
          stacks -> new ExpertWeights.Swiglu(stacks.get(0), stacks.get(1), stacks.get(2)),
          loading);
    }

    return cache;
  }

  /** Brings experts one by one, and gives the number of loads of each. */
  private static List<Integer> loads(Eviction eviction, int slots, int... experts) {
    List<Integer> loads = new ArrayList<>();
    try (CpuDevice device = new CpuDevice(0, 1)) {
      ExpertCache cache = cache(device, slots, eviction);
      for (int expert : experts) {
        long before = cache.use().loads();
        cache.bring(expert / 100, new int[] {expert % 100});
        loads.add((int) (cache.use().loads() - before));
        int slot = device.read(cache.local())[expert % 100];
        float there = device.readFloats(cache.weights().stacks().get(1))[slot];
        assertThat(there).isEqualTo(expert);
      }
    }

    return loads;
  }

  @Test
  void theLeastRecentlyUsedLeaves() {
    assertThat(loads(Eviction.LRU, 2, 0, 101, 0, 2, 0, 101)).containsExactly(1, 1, 0, 1, 0, 1);
  }

  @Test
  void theLeastPopularLeavesAndOfEqualsTheNewest() {
    assertThat(loads(Eviction.POPULARITY, 2, 0, 0, 1, 102, 0, 102, 1))
        .containsExactly(1, 0, 1, 1, 0, 0, 1);
  }

  @Test
  void aScanOverMoreThanTheSlotsHitsNothingUnderLruAndTheFirstOnesUnderPopularity() {
    int[] scan = {0, 1, 2, 100, 0, 1, 2, 100, 0, 1, 2, 100};
    assertThat(loads(Eviction.LRU, 3, scan)).doesNotContain(0);
    assertThat(loads(Eviction.POPULARITY, 3, scan))
        .containsExactly(1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1);
  }

  @Test
  void neededExpertsAreBroughtInSetsThatFit() {
    try (CpuDevice device = new CpuDevice(0, 1)) {
      ExpertCache cache = cache(device, 2, Eviction.LRU);
      cache.bring(1, new int[] {3});

      assertThat(cache.passes(1, new int[] {2, -1, 1, 3, 2, 0}))
          .containsExactly(new int[] {0, 3}, new int[] {1, 2});
      assertThat(cache.passes(0, new int[] {3, 3, -1})).containsExactly(new int[] {3});
      assertThat(cache.passes(0, new int[] {-1})).containsExactly(new int[0]);
    }
  }

  /** Numbers that differ from element to element, expert to expert and part to part. */
  private static WeightSource counting() {
    int[] first = {0};
    return (name, shape) ->
        new TensorData() {
          @Override
          public String name() {
            return name;
          }

          @Override
          public DType type() {
            return DType.F32;
          }

          @Override
          public List<Long> shape() {
            return Arrays.stream(shape).boxed().toList();
          }

          @Override
          public void read(long element, ByteBuffer into) {
            while (into.hasRemaining()) {
              into.putFloat(++first[0]);
            }
          }
        };
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 12, 25, 1 << 20})
  void anExpertThatIsCopiedAheadInPiecesIsTheSame(long pieceBytes) {
    try (CpuDevice device = new CpuDevice(0, 1)) {
      ExpertCache cache = new ExpertCache(device, new Offload(3, Eviction.LRU), pieceBytes);
      List<Loading.Part> parts =
          List.of(
              new Loading.Part(DType.F32, "a%d", 5, 3),
              new Loading.Part(DType.F32, "b%d", 7),
              new Loading.Part(DType.F32, "c%d", 3, 5),
              new Loading.Part(DType.F32, "d%d", 1));
      cache.hold(
          0,
          new int[] {0, 1, 2},
          3,
          parts,
          stacks ->
              new ExpertWeights.Relu(stacks.get(0), stacks.get(1), stacks.get(2), stacks.get(3)),
          new Loading(counting(), device, Optional.of(cache)));
      cache.bring(0, new int[] {0}, HostShare.NONE, new Foretold(0, new int[] {2, 1}));
      cache.bring(0, new int[] {1, 2});

      assertThat(cache.use())
          .isEqualTo(new Offload.Use(0, 2, 2, 1, 0, 3 * (15 + 7 + 15 + 1) * Float.BYTES, 0));
      int[] slots = device.read(cache.local());
      assertThat(slots).containsExactly(-1, 2, 1);
      for (int expert = 1; expert < 3; expert++) {
        float next = expert * 38;
        for (Tensor stack : cache.weights().stacks()) {
          for (float found : device.readFloats(device.rows(stack, slots[expert], 1))) {
            assertThat(found).isEqualTo(++next);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "mixtral, 1, 1, LRU",
    "mixtral, 1, 3, POPULARITY",
    "mixtral, 1, 30, POPULARITY",
    "mixtral, 1, 96, LRU",
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
    try (Runs runs = new Runs(model, plan, new Limits(8, 128, 512))) {
      assertThat(runs.greedy(goldens.prompts(), mixtral ? 32 : 128, !mixtral))
          .containsExactlyElementsOf(goldens.greedy());
      Offload.Use use = runs.model.offloaded();
      int experts = plan.shape().layers() * plan.shape().experts();
      assertThat(use.loads()).isGreaterThanOrEqualTo(slots == 96 ? 1 : slots);
      assertThat(use.hits() + use.loads()).isGreaterThan(experts);
      if (slots == 96) { // all fit: each is loaded once
        assertThat(use.loads()).isLessThanOrEqualTo(experts);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Eviction.class)
  void memoryIsPlanned(Eviction eviction) {
    ExecutionPlan plan = Runs.vanilla(Runs.config("mixtral").shape(), 2, ParallelMode.HOME);
    Limits limits = new Limits(4, 32, 16);
    MemoryPlan few = plan(plan.with(new Offload(3, eviction)), limits);
    MemoryPlan more = plan(plan.with(new Offload(4, eviction)), limits);
    long expert = 3L * 192 * 64 * Float.BYTES;

    assertThat(few.host()).isEqualTo(12 * 8 * expert);
    assertThat(more.device()[1] - few.device()[1]).isEqualTo(expert);
    assertThat(plan(plan, limits).host()).isZero();
  }

  private static MemoryPlan plan(ExecutionPlan plan, Limits limits) {
    return MemoryPlan.of(
        Runs.config("mixtral"), plan, limits, DType.F32, DType.F32, new int[plan.ranks()]);
  }

  @Test
  void refusesNoSlots() {
    assertThatThrownBy(() -> new Offload(0, Eviction.LRU))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Invalid number of expert slots: 0, 1 to 512");
  }
}
