package io.expertatlas.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class RoutingTraceTest {
  private static final ModelShape SHAPE = new ModelShape(2, 4, 2);

  @Test
  void choicesAreIndexedByTokenLayerAndRank() {
    RoutingTrace trace = RoutingTrace.ofExperts(SHAPE, new short[] {0, 1, 2, 3, 3, 2, 1, 0});

    assertThat(trace.tokens()).isEqualTo(2);
    assertThat(trace.expert(0, 1, 0)).isEqualTo(2);
    assertThat(trace.expert(1, 0, 1)).isEqualTo(2);
    assertThat(trace.slice(1, 2).expert(0, 0, 0)).isEqualTo(3);
    assertThat(trace.position(1)).isEqualTo(1);
    assertThat(trace.phase(0)).isEqualTo(Phase.PREFILL);
  }

  @Test
  void idsOutOfRangeNameTheirPlace() {
    assertThatThrownBy(() -> RoutingTrace.ofExperts(SHAPE, new short[] {0, 1, 2, 3, 0, 1, 2, 4}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Invalid expert id 4 at token 1, layer 1, rank 1: the model has experts 0 to 3");
  }

  @Test
  void anExpertStandsOnceInATopK() {
    assertThatThrownBy(() -> RoutingTrace.ofExperts(SHAPE, new short[] {0, 1, 2, 3, 1, 1, 2, 3}))
        .hasMessage("Invalid top-2 at token 1, layer 0: expert 1 stands at ranks 0 and 1");
  }

  @Test
  void halfATokenIsRefused() {
    assertThatThrownBy(() -> RoutingTrace.ofExperts(SHAPE, new short[6]))
        .hasMessage("Invalid number of expert choices: 6, a multiple of 4");
  }

  @Test
  void weightsMustHaveBeenRecorded() {
    RoutingTrace trace = RoutingTrace.ofExperts(SHAPE, new short[] {0, 1, 2, 3});

    assertThat(trace.hasWeights()).isFalse();
    assertThatThrownBy(() -> trace.weight(0, 0, 0))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("The trace has no router weights");
  }
}
