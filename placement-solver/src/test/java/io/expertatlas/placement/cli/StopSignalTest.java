package io.expertatlas.placement.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.json.PlacementDocument;
import io.expertatlas.placement.json.PlacementParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Ctrl-C, on a process of its own. */
class StopSignalTest {
  private static final int OF_SIGINT = 130;

  @TempDir Path folder;

  @Test
  void controlCWritesTheBestSoFarWithItsBound() throws IOException, InterruptedException {
    Assumptions.assumeTrue(
        Files.isExecutable(Path.of("/bin/kill")), "no /bin/kill on this machine");
    Path affinity = folder.resolve("affinity");
    AffinityFiles.write(Routes.count(Routes.random(12, 32, 2, 4000, 3)), affinity);
    Path output = folder.resolve("plan");
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-opens=java.base/java.nio=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "place",
                "--affinity",
                affinity.toString(),
                "--nodes",
                "1",
                "--gpus-per-node",
                "4",
                "--solver",
                "pool",
                "--threads",
                "1",
                "--time-limit",
                "600s",
                "--output",
                output.toString())
            .redirectOutput(folder.resolve("out.txt").toFile())
            .start();
    try (BufferedReader err = process.errorReader()) {
      String line = err.readLine();
      StringBuilder seen = new StringBuilder();
      while (line != null && !line.contains("pool:")) {
        seen.append(line).append('\n');
        line = err.readLine();
      }

      assertThat(line).as("progress after: %s", seen).isNotNull();
      Process kill = new ProcessBuilder("/bin/kill", "-INT", Long.toString(process.pid())).start();
      assertThat(kill.waitFor()).isZero();
      List<String> rest = err.lines().toList();
      assertThat(rest)
          .contains("Stopping: the best placement so far will be written.")
          .anyMatch(text -> text.startsWith("feasible in ") && text.contains("bound"));
      assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    } finally {
      process.destroyForcibly();
    }

    assertThat(process.exitValue()).isEqualTo(OF_SIGINT);
    PlacementDocument document = PlacementParser.read(output.resolve("placement.json"));
    assertThat(document.placement().layers()).isEqualTo(12);
    assertThat(document.outcome().bound()).isPositive();
    assertThat(document.outcome().objective()).isGreaterThan(document.outcome().bound());
  }
}
