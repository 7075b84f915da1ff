package io.expertatlas.trace.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.SparkSubmit;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.format.NpyWriter;
import io.expertatlas.trace.parquet.DatasetFormat;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The job jar on a cluster of two worker processes. */
class IngestIT {
  private static final Path TARGET =
      Path.of(System.getProperty("expertatlas.root"), "trace-ingest", "target");

  @TempDir private Path temp;

  private SparkSubmit.Result submit(String name, String... arguments)
      throws IOException, InterruptedException {
    SparkSubmit spark = SparkSubmit.in(temp.resolve(name), TARGET.resolve("lib"));
    return spark.run(
        "local-cluster[2,1,1024]",
        TARGET.resolve("trace-ingest-job.jar"),
        "io.expertatlas.trace.cli.Main",
        List.of(arguments));
  }

  @Test
  void theJobJarRunsOnACluster() throws IOException, InterruptedException {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(30, 64, 8), 40_000, 100, 0.5, 3);
    Path file = temp.resolve("trace.npy");
    NpyWriter.write(file, trace);
    Path output = temp.resolve("dataset");

    SparkSubmit.Result result =
        submit(
            "spark",
            "ingest",
            "--input",
            file.toString(),
            "--experts",
            "64",
            "--output",
            output.toString(),
            "--json");

    assertThat(result.exitCode()).as(result.err()).isZero();
    assertThat(result.out()).contains("\"part-00002.parquet\"");
    try (TraceReader reader = new DatasetFormat().open(TraceSource.of(output))) {
      assertThat(Traces.choices(Traces.readAll(reader))).isEqualTo(Traces.choices(trace));
    }
  }

  @Test
  void aFailingTaskLeavesNothingBehind() throws IOException, InterruptedException {
    Path file = temp.resolve("trace.npy");
    NpyWriter.write(file, SyntheticTrace.draw(new ModelShape(2, 9, 2), 500, 100, 0, 3));

    SparkSubmit.Result result =
        submit(
            "spark",
            "ingest",
            "--input",
            file.toString(),
            "--experts",
            "5",
            "--output",
            temp.resolve("dataset").toString());

    assertThat(result.exitCode()).isEqualTo(1);
    assertThat(result.err())
        .containsPattern("atlas: Invalid expert id \\d in \\S*trace.npy at token \\d+, layer \\d");
    try (Stream<Path> files = Files.list(temp)) {
      assertThat(files.map(f -> f.getFileName().toString()).sorted())
          .containsExactly("spark", "trace.npy");
    }
  }
}
