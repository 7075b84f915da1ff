package io.expertatlas.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class ExpertCountsTest {
  @Test
  void countsAreFoundByLayerAndExpert() {
    ExpertCounts counts =
        ExpertCounts.of(
            2, 3, "iteration 11", 11, OptionalInt.of(4), new long[] {1, 2, 3, 40, 50, 60});

    assertThat(counts.count(0, 2)).isEqualTo(3);
    assertThat(counts.count(1, 0)).isEqualTo(40);
    assertThat(counts.sum(0)).isEqualTo(6);
    assertThat(counts.sum(1)).isEqualTo(150);
    assertThat(counts.step()).isEqualTo(11);
    assertThat(counts).hasToString("ExpertCounts[iteration 11, rank 4, 2 layers x 3 experts]");
    assertThatThrownBy(() -> counts.count(0, 3)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void oneExpertOfOneLayerIsFine() {
    assertThat(ExpertCounts.of(1, 1, "all", 0, OptionalInt.empty(), new long[] {7}).count(0, 0))
        .isEqualTo(7);
  }

  @Test
  void impossibleCountsAreRefused() {
    assertThatThrownBy(
            () -> ExpertCounts.of(2, 2, "w", 0, OptionalInt.empty(), new long[] {0, 0, 0}))
        .hasMessage("Invalid number of counts: 3, expected 4 for 2 layers x 2 experts");
    assertThatThrownBy(
            () -> ExpertCounts.of(2, 2, "w", 0, OptionalInt.empty(), new long[] {0, 0, 0, -5}))
        .hasMessage("Invalid count -5 of layer 1, expert 1: at least 0");
    assertThatThrownBy(() -> ExpertCounts.of(0, 2, "w", 0, OptionalInt.empty(), new long[0]))
        .hasMessageContaining("Invalid number of MoE layers: 0");
  }
}
