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
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The data source by name, out of the job jar, on a cluster of two worker processes. */
class RoutingTraceSourceIT {
  private static final Path TARGET =
      Path.of(System.getProperty("expertatlas.root"), "trace-ingest", "target");

  @TempDir private Path temp;

  /** The job jar and a user's job in one. */
  private Path userJar() throws IOException {
    Path jar = temp.resolve("user.jar");
    String name = RoundTripJob.class.getName().replace('.', '/') + ".class";
    try (JarFile job = new JarFile(TARGET.resolve("trace-ingest-job.jar").toFile());
        JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
      for (JarEntry entry : job.stream().toList()) {
        out.putNextEntry(new JarEntry(entry.getName()));
        try (InputStream in = job.getInputStream(entry)) {
          in.transferTo(out);
        }
      }

      out.putNextEntry(new JarEntry(name));
      out.write(Files.readAllBytes(TARGET.resolve("test-classes").resolve(name)));
    }

    return jar;
  }

  @Test
  void aUsersJobReadsAndWritesOnACluster() throws IOException, InterruptedException {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(6, 16, 2), 5_000, 100, 0.5, 3);
    Path file = temp.resolve("trace.npy");
    NpyWriter.write(file, trace);
    Path output = temp.resolve("dataset");

    SparkSubmit.Result result =
        SparkSubmit.in(temp.resolve("spark"), TARGET.resolve("lib"))
            .run(
                "local-cluster[2,1,1024]",
                userJar(),
                RoundTripJob.class.getName(),
                List.of(file.toString(), "16", output.toString()));

    assertThat(result.exitCode()).as(result.err()).isZero();
    long ones = IntStream.range(0, 5_000).filter(token -> trace.expert(token, 0, 0) == 1).count();
    assertThat(result.out()).contains("rows " + ones + "\n");
    try (TraceReader reader = new DatasetFormat().open(TraceSource.of(output))) {
      assertThat(Traces.choices(Traces.readAll(reader))).isEqualTo(Traces.choices(trace));
    }

    try (JarFile jar = new JarFile(TARGET.resolve("trace-ingest-job.jar").toFile())) {
      assertThat(
              jar.stream()
                  .map(JarEntry::getName)
                  .filter(name -> name.endsWith(".class") && name.contains("arrow")))
          .allMatch(name -> name.startsWith("io/expertatlas/"));
    }
  }
}
