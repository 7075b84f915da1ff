package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.TraceSource;
import java.util.List;
import org.junit.jupiter.api.Test;

class IngestPlanTest {
  @Test
  void partsGrowWithTheTrace() {
    assertThat(IngestPlan.splitTokens(List.of(240_000L), 24)).isEqualTo((1 << 22) / 24);
    assertThat(IngestPlan.splitTokens(List.of(500_000_000L, 500_000_000L), 24))
        .isEqualTo(1_000_000_000L / 256);
    assertThat(IngestPlan.splitTokens(List.of(1L << 40), 24)).isEqualTo((1 << 28) / 24);
    assertThat(IngestPlan.splitTokens(List.of(5L), Integer.MAX_VALUE)).isEqualTo(1);
  }

  @Test
  void everyInputIsASplitOfItsOwnAtLeast() {
    TraceSource source = TraceSource.of(Golden.path("format/good/c-u1.npy")).withExperts(11);
    TraceSource empty = TraceSource.of(Golden.path("format/good/empty.npy")).withExperts(11);

    IngestPlan plan = IngestPlan.of(List.of(source, empty, source));

    assertThat(plan.totalTokens()).isEqualTo(14);
    assertThat(plan.splits()).extracting(IngestPlan.Split::source).containsExactly(0, 2);
    assertThatThrownBy(() -> IngestPlan.of(List.of())).hasMessage("No input to ingest");
  }
}
