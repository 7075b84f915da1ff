package io.expertatlas.affinity.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.SparkSubmit;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The job jar on a cluster of two worker processes. */
class AnalyzeIT {
  private static final Path TARGET =
      Path.of(System.getProperty("expertatlas.root"), "affinity-analysis", "target");
  private static final Path JOB = TARGET.resolve("affinity-analysis-job.jar");

  @TempDir private Path temp;

  @Test
  void theJobJarRunsOnACluster() throws IOException, InterruptedException {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(12, 16, 2), 50_000, 100, 0.5, 3);
    Path file = temp.resolve("trace.npy");
    AffinityCases.writeNpy(trace, file);
    Path output = temp.resolve("affinity");

    SparkSubmit.Result result =
        SparkSubmit.in(temp.resolve("spark"), TARGET.resolve("lib"), "echarts")
            .run(
                "local-cluster[2,1,1024]",
                JOB,
                "io.expertatlas.affinity.cli.Main",
                List.of(
                    "analyze",
                    "--trace",
                    file.toString(),
                    "--experts",
                    "16",
                    "--output",
                    output.toString(),
                    "--json"));

    assertThat(result.exitCode()).as(result.err()).isZero();
    assertThat(result.out()).contains("\"tokens\" : 50000");
    assertThat(AffinityFiles.read(output))
        .isEqualTo(InMemoryEstimator.count(AffinityCases.reader(trace, 1000)));
    assertThat(output.resolve("report.html")).isNotEmptyFile();
  }

  @Test
  void theJobJarHoldsNothingThatSparkBrings() throws IOException {
    try (JarFile jar = new JarFile(JOB.toFile())) {
      assertThat(
              jar.stream()
                  .map(entry -> entry.getName())
                  .filter(name -> name.endsWith(".class"))
                  .map(name -> name.replaceAll("^META-INF/versions/\\d+/", ""))
                  .filter(
                      name ->
                          !name.startsWith("io/expertatlas/")
                              && !name.startsWith("picocli/")
                              && !name.startsWith("me/tongfei/")
                              && !name.startsWith("org/jline/")))
          .isEmpty();
      assertThat(jar.getEntry("META-INF/services/io.expertatlas.trace.TraceFormat")).isNotNull();
    }
  }
}
