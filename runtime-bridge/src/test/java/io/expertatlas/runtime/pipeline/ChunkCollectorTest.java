package io.expertatlas.runtime.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.List;
import org.junit.jupiter.api.Test;

class ChunkCollectorTest {
  private static final ModelShape SHAPE = new ModelShape(2, 3, 1);

  /** Tokens of layer 0 and layer 1, one after the other. */
  private static RoutingTrace trace(int... experts) {
    short[] narrow = new short[experts.length];
    for (int i = 0; i < experts.length; i++) {
      narrow[i] = (short) experts[i];
    }

    return RoutingTrace.ofExperts(SHAPE, narrow);
  }

  @Test
  void tokensFillChunksAcrossBatchesAndTheRestIsLeftOut() {
    ChunkCollector collector = new ChunkCollector(SHAPE, 2, 2, 9);
    collector.add(trace(0, 1, 0, 2, 1, 1));
    collector.add(trace(2, 0, 0, 0, 1, 1));
    List<StepRouting> steps = collector.steps();
    assertThat(steps).hasSize(1);
    assertThat(steps.get(0).counts(0, 0)).containsExactly(2, 0, 0);
    assertThat(steps.get(0).counts(1, 0)).containsExactly(0, 1, 1);
    assertThat(steps.get(0).counts(0, 1)).containsExactly(0, 1, 1);
    assertThat(steps.get(0).counts(1, 1)).containsExactly(1, 1, 0);
    assertThat(steps.get(0).predicted(1, 1)).isEmpty();
    assertThat(steps.get(0).fidelity()).isNaN();
    // shares of layer 0: 2, 1, 1 of 4; of layer 1: 1, 2, 1
    assertThat(steps.get(0).concentration()).isCloseTo(6 / 16.0, within(1e-12));
  }

  @Test
  void noMoreStepsAreKeptThanAsked() {
    ChunkCollector collector = new ChunkCollector(SHAPE, 1, 1, 2);
    collector.add(trace(0, 0, 1, 1, 2, 2));
    assertThat(collector.isFull()).isTrue();
    assertThat(collector.steps()).hasSize(2);
  }

  @Test
  void predictionsOfHeadOutOneAreThoseOfTheNextLayer() {
    ChunkCollector collector = new ChunkCollector(SHAPE, 1, 4, 9);
    collector.iteration(0, new long[] {3, 1, 0, 0, 2, 2}, new long[][][] {{{1, 1, 2}}});
    collector.iteration(1, new long[] {1, 0, 0, 0, 1, 0}, new long[][][] {{{1, 0, 0}}});
    StepRouting step = collector.steps().get(0);
    assertThat(collector.steps()).hasSize(1);
    assertThat(step.counts(0, 0)).containsExactly(3, 1, 0);
    assertThat(step.predicted(0, 0)).isEmpty();
    assertThat(step.predicted(1, 0)).containsExactly(1, 1, 2);
    assertThat(step.fidelity()).isEqualTo(0.75);
  }

  @Test
  void anEmptyTraceGivesNoStep() {
    assertThat(new ChunkCollector(SHAPE, 1, 1, 1).steps()).isEmpty();
    assertThatThrownBy(() -> new ChunkCollector(SHAPE, 0, 1, 1))
        .hasMessage("Invalid micro-batches: 0 of 1 tokens, at least 1 each");
  }

  @Test
  void theLastStepForetellsTheNext() {
    ChunkCollector collector = new ChunkCollector(SHAPE, 1, 1, 3);
    collector.add(trace(0, 0, 1, 1, 2, 2));
    LastStepForetelling foretelling = new LastStepForetelling(RoutingSource.of(collector.steps()));
    assertThat(foretelling.next().orElseThrow().predicted(0, 0)).isEmpty();
    assertThat(foretelling.next().orElseThrow().predicted(1, 0)).containsExactly(1, 0, 0);
    assertThat(foretelling.next().orElseThrow().predicted(1, 0)).containsExactly(0, 1, 0);
    assertThat(foretelling.next()).isEmpty();
  }
}
