package io.expertatlas.runtime.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** One device with two stages of two layers, three experts each, unless said otherwise. */
class HierarchicalLoadingTest {
  private static final int EXPERTS = 3;
  private static final int CHUNKS = 2;

  private final StagePlan plan = StagePlan.equal(PipelineKind.APTMOE, 1, 4, 2);
  private final BlockIds ids = new BlockIds(4, EXPERTS);
  private final DemandLoader loader = new DemandLoader(ids.count(), 1);
  private final HierarchicalLoading loading = loading(AffinityPolicy.EQUATION_1, 10);

  /** A token takes 1 on the CPU, and nothing on the GPU. */
  private HierarchicalLoading loading(AffinityPolicy policy, double loadExpert) {
    ExpertCosts costs =
        new ExpertCosts() {
          @Override
          public double cpuNanos(int tokens, boolean backward) {
            return backward ? 2 * tokens : tokens;
          }

          @Override
          public double gpuNanos(int tokens, boolean backward) {
            return 0;
          }

          @Override
          public double loadExpertNanos() {
            return loadExpert;
          }

          @Override
          public double loadBaseNanos() {
            return 5;
          }
        };
    return new HierarchicalLoading(
        plan, EXPERTS, CHUNKS, costs, policy, new SplittableRandom(1), loader);
  }

  /** Copies everything that waits, in words. */
  private List<String> drained() {
    List<String> copied = new ArrayList<>();
    for (int block = loader.next(); block >= 0; block = loader.next()) {
      loader.completed(block);
      copied.add(ids.describe(block));
    }

    return copied;
  }

  @Test
  void interStageAsksForBasesThenForExpertsRankByRank() {
    loading.routed(0, new int[] {1, 9, 5});
    loading.routed(1, new int[] {7, 0, 7});
    loading.endStep();
    drained();
    for (int block = 0; block < ids.count(); block++) {
      loader.drop(block);
    }

    loading.requestForward(0);
    assertThat(drained())
        .containsExactly(
            "layer 0 attention",
            "layer 0 gate",
            "layer 1 attention",
            "layer 1 gate",
            "layer 0 expert 1",
            "layer 1 expert 0",
            "layer 0 expert 2",
            "layer 1 expert 2",
            "layer 0 expert 0",
            "layer 1 expert 1");
  }

  @Test
  void aStageThatStartsGivesItsPrefetchUpButNotItsSuccessors() {
    loading.requestForward(0);
    loading.requestForward(1);
    int first = loader.next();
    loading.startForward(0);
    loader.completed(first);
    assertThat(drained())
        .startsWith("layer 0 gate", "layer 1 attention", "layer 1 gate", "layer 2 attention")
        .contains("layer 3 expert 2")
        .noneMatch(what -> what.startsWith("layer 0 expert") || what.startsWith("layer 1 expert"));
  }

  @Test
  void aPredictionAsksForTheHottestFirstAndTakesBackWhatItNoLongerWants() {
    // scaled by 2 chunks over 1: C = 0, 2, 102; L = 35, 25, 15: two on the GPU
    loading.predicted(1, new int[] {50, 1, 90});
    assertThat(loader.isQueued(ids.expert(1, 0))).isTrue();
    assertThat(loader.isQueued(ids.expert(1, 1))).isFalse();
    loading.predicted(1, new int[] {1, 1, 90});
    assertThat(loader.isQueued(ids.expert(1, 0))).isFalse();
    assertThat(drained()).containsExactly("layer 1 expert 2");
  }

  @Test
  void theGateGoesBeforeThePredictionAndThePrefetch() {
    loading.requestForward(1);
    loading.predicted(1, new int[] {50, 1, 90});
    LayerSplit split = loading.routed(0, new int[] {40, 40, 0});
    assertThat(split.onCpu()).isEqualTo(1);
    assertThat(drained())
        .startsWith(
            "layer 0 expert 1",
            "layer 0 expert 0",
            "layer 1 expert 2",
            "layer 1 expert 0",
            "layer 2 attention");
  }

  @Test
  void splitsWeighAllChunksOfTheStep() {
    // 6 tokens: 2 chunks over 1 make 12, above the 5 + 0 of the base alone, below 5 + 10
    assertThat(loading.routed(0, new int[] {0, 6, 0}).onCpu()).isEqualTo(2);
    // 6 of both chunks: 6 is above 5
    assertThat(loading.routed(0, new int[] {0, 0, 0}).onCpu()).isEqualTo(2);
    assertThat(loading.routed(1, new int[] {0, 2, 0}).onCpu()).isEqualTo(3);
  }

  @Test
  void aLayerThatEndsLeavesNothingWaiting() {
    loading.routed(0, new int[] {40, 40, 40});
    int copying = loader.next();
    loading.endLayer(0);
    assertThat(loader.isEvictable(copying)).isTrue();
    loader.completed(copying);
    assertThat(loader.next()).isEqualTo(-1);
  }

  /** By hand: the CPU takes 8 for the coldest, two loads wait, 20; another 1 is under way. */
  @Test
  void theColdestExpertWhoseCopyWaitsGoesToTheCpuIfThatEndsFirst() {
    loading.routed(0, new int[] {40, 40, 8});
    loader.push(ids.expert(0, 2), 0);
    assertThat(loader.next()).isEqualTo(ids.expert(0, 1)); // it is under way
    assertThat(loading.soonerOnCpu(0, new int[] {40, 40, 8}, 1)).isEqualTo(2);
    assertThat(loader.isQueued(ids.expert(0, 2))).isFalse();
    assertThat(loading.soonerOnCpu(0, new int[] {40, 40, 0}, 29)).isEqualTo(-1); // 40, not before
    assertThat(loader.isQueued(ids.expert(0, 0))).isTrue();
    assertThat(loading.soonerOnCpu(0, new int[] {40, 40, 0}, 31)).isEqualTo(0);
    assertThat(loading.soonerOnCpu(0, new int[] {0, 40, 0}, 1000)).isEqualTo(-1); // under way
  }

  @Test
  void nothingGoesToTheCpuInsteadWhileTheDeviceHasAnExpertToCompute() {
    loading.routed(0, new int[] {40, 40, 0});
    loader.completed(loader.next());
    assertThat(loading.soonerOnCpu(0, new int[] {40, 40, 0}, 1000)).isEqualTo(-1);
    assertThat(loading.soonerOnCpu(0, new int[] {40, 0, 0}, 1000)).isEqualTo(0);
  }

  @Test
  void equalTimesLeaveAnExpertToTheDevice() {
    loading.routed(0, new int[] {0, 40, 0});
    assertThat(loading.soonerOnCpu(0, new int[] {0, 40, 0}, 30)).isEqualTo(-1);
    assertThat(loading.soonerOnCpu(0, new int[] {0, 40, 0}, 30.5)).isEqualTo(1);
  }

  @Test
  void backwardAsksForItsSplitFromTheLastLayerDownUnscaled() {
    loading.routed(0, new int[] {40, 40, 0});
    loading.routed(1, new int[] {0, 0, 3});
    loading.endLayer(0);
    loading.endLayer(1);
    loading.requestBackward(0);
    // layer 0: C = 0, 80 for two chunks' gradients, one on the CPU; layer 1: 6 is above 5
    assertThat(loading.split(0).onCpu()).isEqualTo(1);
    assertThat(loading.split(1).onCpu()).isEqualTo(2);
    assertThat(drained())
        .containsExactly(
            "layer 1 attention",
            "layer 1 gate",
            "layer 0 attention",
            "layer 0 gate",
            "layer 1 expert 2",
            "layer 0 expert 1",
            "layer 0 expert 0");
  }

  @Test
  void aStageThatTurnsGoesBeforeTheOneAfterIt() {
    loading.routed(0, new int[] {40, 0, 0});
    loading.endLayer(0);
    loading.routed(2, new int[] {0, 40, 0});
    loading.endLayer(2);
    loading.requestBackward(0);
    loading.requestBackward(1);
    loading.startBackward(1);
    assertThat(drained())
        .startsWith("layer 3 attention", "layer 3 gate", "layer 2 attention", "layer 2 gate")
        .containsSubsequence("layer 2 expert 1", "layer 1 attention", "layer 0 expert 0");
  }

  @Test
  void randomHalvesAreDrawnOnceAStep() {
    HierarchicalLoading drawing = loading(AffinityPolicy.RANDOM_HALF, 10);
    LayerSplit first = drawing.routed(0, new int[] {1, 1, 1});
    assertThat(drawing.routed(0, new int[] {5, 0, 0})).isSameAs(first);
    drawing.requestBackward(0);
    assertThat(drawing.split(0)).isSameAs(first);
    assertThat(first.onCpu()).isEqualTo(2);
  }

  @Test
  void aLayerThatWasNotSplitHasNoSplit() {
    assertThatThrownBy(() -> loading.split(3)).hasMessage("Layer 3 has not been split yet");
  }
}
