package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A run that is killed leaves its recording whole or not at all. */
class KilledRunIT {
  private static final long SEED = Long.getLong("cases.seed", 1);

  @TempDir private static Path folder;
  private static TreeMap<String, String> whole;
  private static long millis;

  @BeforeAll
  static void recordsOnceInPeace() throws IOException, InterruptedException {
    Path trace = folder.resolve("whole");
    long start = System.nanoTime();
    Process process = start(trace);
    assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
    assertThat(process.exitValue()).as(Files.readString(folder.resolve("err"))).isZero();
    millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
    whole = contents(trace);
    assertThat(whole).containsKeys("capture.json", "experts.npy", "weights.npy");
  }

  @Test
  void killedAtAnyMomentItLeavesNoneOrAll() throws IOException, InterruptedException {
    SplittableRandom random = new SplittableRandom(SEED);
    for (int kill = 0; kill < 2; kill++) {
      Path trace = folder.resolve("any-" + kill);
      Process process = start(trace);
      Thread.sleep(random.nextLong(millis));
      kill(process);
      assertNoneOrAll(trace);
    }
  }

  @Test
  void killedWhileItWritesItLeavesNoneOrAllAndTheNextRunIsNotDisturbed()
      throws IOException, InterruptedException {
    SplittableRandom random = new SplittableRandom(SEED);
    Path trace = folder.resolve("written");
    int halfWritten = 0;
    for (int kill = 0; kill < 3 && !Files.exists(trace); kill++) {
      Process process = start(trace);
      while (process.isAlive() && !Files.exists(trace) && unfinished("written") == kill) {
        LockSupport.parkNanos(100_000);
      }

      LockSupport.parkNanos(random.nextLong(kill == 0 ? 1 : 10_000_000));
      kill(process);
      assertNoneOrAll(trace);
      halfWritten += Files.exists(trace) ? 0 : 1;
    }

    assertThat(halfWritten).as("kills in the midst of writing").isPositive();
    if (!Files.exists(trace)) {
      assertThat(start(trace).waitFor(2, TimeUnit.MINUTES)).isTrue();
    }

    assertThat(contents(trace)).isEqualTo(whole);
  }

  private static void assertNoneOrAll(Path trace) throws IOException {
    if (Files.exists(trace)) {
      assertThat(contents(trace)).isEqualTo(whole);
    }
  }

  /** Folders that a killed run had begun. */
  private static long unfinished(String name) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith("." + name + ".tmp-"))
          .count();
    }
  }

  /** Not told to stop, but stopped: no shutdown hook runs. */
  private static void kill(Process process) throws InterruptedException {
    process.destroyForcibly();
    assertThat(process.waitFor(1, TimeUnit.MINUTES)).isTrue();
  }

  private static TreeMap<String, String> contents(Path trace) throws IOException {
    TreeMap<String, String> bytes = new TreeMap<>();
    try (Stream<Path> files = Files.list(trace)) {
      for (Path file : files.toList()) {
        bytes.put(
            file.getFileName().toString(), HexFormat.of().formatHex(Files.readAllBytes(file)));
      }
    }

    return bytes;
  }

  private static Process start(Path trace) throws IOException {
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1", // starts sooner
            "-cp",
            "target/classes:target/lib/*",
            "io.expertatlas.runtime.cli.Main",
            "run",
            "--random-weights",
            "mixtral-tiny",
            "--random-prompts",
            "16x250",
            "--max-new-tokens",
            "2",
            "--threads",
            "1",
            "--record",
            trace.toString());
    return new ProcessBuilder(command)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(folder.resolve("err").toFile())
        .start();
  }
}
