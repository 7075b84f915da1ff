package io.expertatlas.runtime.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class StagePlanTest {
  private static final int[] TWO = {0, 1};

  @Test
  void kindsDealStagesInTheirWay() {
    assertThat(StagePlan.equal(PipelineKind.MOBIUS, 4, 16, 8).stagesOf(3)).containsExactly(3, 7);
    assertThat(StagePlan.equal(PipelineKind.GPIPE_OFFLOAD, 4, 16, 8).stagesOf(3))
        .containsExactly(6, 7);
    assertThat(StagePlan.equal(PipelineKind.GPIPE, 4, 16, 4).stagesOf(3)).containsExactly(3);
    StagePlan plan = StagePlan.of(PipelineKind.APTMOE, 2, 5, new int[] {0, 1}, new int[] {1, 0});
    assertThat(plan.stageOf(0)).isZero();
    assertThat(plan.stageOf(4)).isEqualTo(1);
    assertThat(plan.endLayer(1)).isEqualTo(5);
    assertThat(plan.gpu(0)).isEqualTo(1);
    assertThat(plan.onGpus(TWO).gpu(0)).isZero();
    assertThat(plan)
        .hasToString("aptmoe, 2 devices on GPUs [1, 0], stages from layers [0, 1] of 5");
  }

  @Test
  void aStageIsVisitedOncePerPassOrStaysForItsTurn() {
    StagePlan plan = StagePlan.equal(PipelineKind.MOBIUS, 4, 8, 8);
    assertThat(Visit.of(plan, 1, true, true))
        .containsExactly(
            new Visit(0, 1, true, false),
            new Visit(1, 5, true, true),
            new Visit(2, 1, false, true));
    assertThat(Visit.of(plan, 1, true, false)).extracting(Visit::stage).containsExactly(1, 5, 5, 1);
    assertThat(Visit.of(plan, 1, false, true))
        .containsExactly(new Visit(0, 1, true, false), new Visit(1, 5, true, false));
  }

  @Test
  void visitsBeginAndEndWithTheirFirstAndLastChunk() {
    Visit turn = new Visit(1, 5, true, true);
    Action first = new Action(Action.What.FORWARD, 5, 4, 0);
    Action last = new Action(Action.What.BACKWARD, 5, 6, 3);
    assertThat(turn.beginsWith(first)).isTrue();
    assertThat(turn.beginsWith(last)).isFalse();
    assertThat(turn.endsWith(last, 4)).isTrue();
    assertThat(turn.endsWith(new Action(Action.What.FORWARD, 5, 4, 3), 4)).isFalse();
    assertThat(turn.endsWith(last, 5)).isFalse();
  }

  @Test
  void plansThatCannotBeAreRefused() {
    assertThatThrownBy(() -> StagePlan.equal(PipelineKind.MOBIUS, 2, 10, 4))
        .hasMessage("Invalid number of stages: 4, a divisor of the 10 layers");
    assertThatThrownBy(() -> StagePlan.equal(PipelineKind.MOBIUS, 2, 9, 3))
        .hasMessage("Invalid number of stages: 3, a multiple of the 2 devices");
    assertThatThrownBy(() -> StagePlan.equal(PipelineKind.GPIPE, 2, 8, 4))
        .hasMessage("Invalid number of stages: 4, gpipe has one for each of the 2 devices");
    assertThatThrownBy(() -> StagePlan.of(PipelineKind.MOBIUS, 2, 4, new int[] {0, 4}, TWO))
        .hasMessage("Invalid first layers of the stages: [0, 4], ascending from 0, below 4");
    assertThatThrownBy(
            () -> StagePlan.of(PipelineKind.MOBIUS, 2, 4, new int[] {0, 2}, new int[] {0, 0}))
        .hasMessage("Invalid GPUs of the devices: [0, 0], each of 0 to 1 once");
    assertThatThrownBy(() -> PipelineKind.ofWord("mobile"))
        .hasMessage("Invalid pipeline: mobile, one of gpipe, gpipe-offload, mobius, aptmoe");
    assertThatThrownBy(() -> AffinityPolicy.ofWord("best"))
        .hasMessage(
            "Invalid policy: best, one of equation-1, min-max, critical-path, artifact, random-half");
  }

  @Test
  void neighboursGoUnderDifferentRootComplexes() {
    assertThat(CrossMapping.of(List.of(0, 0, 1, 1))).containsExactly(0, 2, 1, 3);
    assertThat(CrossMapping.of(List.of(0))).containsExactly(0);
  }

  private static int fewest(List<Integer> complexOf, List<Integer> order) {
    if (order.size() == complexOf.size()) {
      return CrossMapping.shared(complexOf, order.stream().mapToInt(gpu -> gpu).toArray());
    }

    int fewest = Integer.MAX_VALUE;
    for (int gpu = 0; gpu < complexOf.size(); gpu++) {
      if (!order.contains(gpu)) {
        List<Integer> longer = new ArrayList<>(order);
        longer.add(gpu);
        fewest = Math.min(fewest, fewest(complexOf, longer));
      }
    }

    return fewest;
  }

  @ParameterizedTest
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void noOtherDealHasFewerNeighboursUnderOneComplex(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    List<Integer> complexOf =
        IntStream.range(0, 1 + random.nextInt(6)).map(i -> random.nextInt(3)).boxed().toList();
    int[] gpus = CrossMapping.of(complexOf);
    assertThat(IntStream.of(gpus).sorted().toArray())
        .isEqualTo(IntStream.range(0, gpus.length).toArray());
    assertThat(CrossMapping.shared(complexOf, gpus)).isEqualTo(fewest(complexOf, List.of()));
  }
}
