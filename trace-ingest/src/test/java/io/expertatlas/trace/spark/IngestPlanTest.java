package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.NpyWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IngestPlanTest {
  @TempDir private Path temp;

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

  @Test
  void aCompressedInputIsOneSplit() throws IOException {
    byte[] array =
        NpyWriter.bytes(
            1,
            "{'descr': '|u1', 'fortran_order': False, 'shape': (5000000, 1), }",
            new byte[5_000_000]);
    Path plain = temp.resolve("routes.npy");
    Path packed = temp.resolve("routes.npy.gz");
    Files.write(plain, array);
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(packed))) {
      out.write(array);
    }

    IngestPlan plan =
        IngestPlan.of(
            List.of(TraceSource.of(plain).withExperts(3), TraceSource.of(packed).withExperts(3)));

    assertThat(plan.splits()).extracting(IngestPlan.Split::source).containsExactly(0, 0, 1);
    assertThat(plan.splits().get(2).tokens()).isEqualTo(5_000_000);
  }
}
