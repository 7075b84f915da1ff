package io.expertatlas.predictor.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.SparkSubmit;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The job jar on a cluster of two worker processes, with ND4J by {@code --jars}. */
class TrainJobIT {
  private static final Path ROOT = Path.of(System.getProperty("expertatlas.root"));
  private static final Path TARGET = ROOT.resolve("predictor-training/target");

  /** A Spark without ND4J. */
  private static final Path SPARK = ROOT.resolve("affinity-analysis/target/lib");

  /** What ND4J needs and Spark lacks, as the README says. */
  private static final List<String> ND4J =
      List.of(
          "nd4j",
          "openblas",
          "javacpp",
          "guava-1",
          "jackson-1",
          "protobuf-1",
          "neoitertools",
          "byteunits");

  @TempDir private Path temp;

  private List<String> arguments(Path output) {
    return List.of(
        "train-predictor",
        "--trace",
        ROOT.resolve("data/slices/nllb-encoder").toString(),
        "--gates",
        ROOT.resolve("data/nllb-moe").toString(),
        "--predictors",
        "affinity,pre-gate,residual",
        "--epochs",
        "2",
        "--rank",
        "8",
        "--output",
        output.toString());
  }

  private static String jars() throws IOException {
    try (Stream<Path> files = Files.list(TARGET.resolve("lib"))) {
      return files
          .filter(file -> ND4J.stream().anyMatch(file.getFileName().toString()::startsWith))
          .map(Path::toString)
          .sorted()
          .collect(Collectors.joining(","));
    }
  }

  @Test
  void executorsTrainTheSamePredictorsAsThreads() throws IOException, InterruptedException {
    Path local = temp.resolve("local");
    StringWriter err = new StringWriter();
    CommandLine line =
        new CommandLine(new Main())
            .setOut(new PrintWriter(new StringWriter()))
            .setErr(new PrintWriter(err));
    assertThat(Terminal.execute(line, arguments(local).toArray(String[]::new)))
        .as(err.toString())
        .isZero();

    Path cluster = temp.resolve("cluster");
    SparkSubmit.Result result =
        SparkSubmit.in(temp.resolve("spark"), SPARK, "echarts")
            .with("--jars", jars())
            .run(
                "local-cluster[2,1,1024]",
                TARGET.resolve("predictor-training-job.jar"),
                "io.expertatlas.predictor.cli.Main",
                arguments(cluster));
    assertThat(result.exitCode()).as(result.err()).isZero();
    for (String file :
        List.of(
            "affinity/weights.safetensors",
            "pre-gate/weights.safetensors",
            "residual/weights.safetensors",
            "residual/predictor.json",
            "metrics.json")) {
      assertThat(cluster.resolve(file)).hasSameBinaryContentAs(local.resolve(file));
    }

    try (Stream<Path> left = Files.list(temp)) {
      assertThat(left.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder("local", "cluster", "spark");
    }
  }
}
