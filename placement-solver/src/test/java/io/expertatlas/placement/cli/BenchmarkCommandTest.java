package io.expertatlas.placement.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.arrow.FoldFiles;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class BenchmarkCommandTest {
  private static final RoutingTrace TRACE = Routes.random(3, 4, 2, 240, 3);

  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private Path affinity;

  @BeforeEach
  void writeInputs() throws IOException {
    affinity = folder.resolve("tiny");
    AffinityFiles.write(Routes.count(TRACE), affinity);
    FoldFiles.writeInto(
        List.of(Routes.count(TRACE.slice(0, 160)), Routes.count(TRACE.slice(160, 240))), affinity);
  }

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line =
        new CommandLine(new Main()).setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Terminal.execute(line, arguments);
  }

  private int benchmark(String... more) {
    return run(
        Stream.concat(
                Stream.of(
                    "benchmark-placement",
                    "--clusters",
                    "1x2,2x2",
                    "--seeds",
                    "1,2",
                    "--warm-up",
                    "1ms",
                    "--json",
                    "--output",
                    folder.resolve("bench").toString()),
                Stream.of(more))
            .toArray(String[]::new));
  }

  @Test
  void everyCombinationIsRunOnceAndScoredOnTheFoldHeldOut() throws IOException {
    String[] what = {
      "--affinity",
      affinity.toString(),
      "--solvers",
      "viterbi,vanilla@3s",
      "--objectives",
      "hops,fanout"
    };
    assertThat(benchmark(what)).as(err.toString()).isZero();

    JsonNode runs = new ObjectMapper().readTree(out.toString()).get("runs");
    assertThat(runs).hasSize(2 * 2 * 2 * 2);
    RouteCounts fit = Routes.count(TRACE.slice(0, 160));
    long best =
        PlacementSolvers.find("viterbi")
            .solve(
                PlacementProblem.balanced(fit, new Topology(1, 2), Objective.HOPS),
                SolverConfig.DEFAULT)
            .objective();
    assertThat(runs.get(0).get("dataset").asText()).isEqualTo("tiny");
    assertThat(runs.get(0).get("tokens").asLong()).isEqualTo(160);
    assertThat(runs.get(0).get("held-out-tokens").asLong()).isEqualTo(80);
    assertThat(runs.get(0).get("value").asDouble()).isCloseTo(best / 160.0, within(1e-12));
    assertThat(runs.get(0).get("status").asText()).isEqualTo("optimal");
    assertThat(runs.get(2).get("solver").asText()).isEqualTo("vanilla");
    assertThat(runs.get(2).get("time-limit-ms").asLong()).isEqualTo(3000);
    assertThat(err.toString())
        .contains("tiny, 1x2, hops: best", "viterbi@10s", "vanilla@3s", "held out");
    assertThat(folder.resolve("bench/report.html")).isNotEmptyFile();

    List<String> lines = Files.readAllLines(folder.resolve("bench/runs.jsonl"));
    assertThat(lines).hasSize(16);
    Files.write(folder.resolve("bench/runs.jsonl"), lines.subList(0, 9));
    assertThat(benchmark(what)).isZero();
    List<String> again = Files.readAllLines(folder.resolve("bench/runs.jsonl"));
    assertThat(again).hasSize(16);
    assertThat(again.subList(0, 9)).as("not run again").isEqualTo(lines.subList(0, 9));
  }

  @Test
  void theProgramPerTokenIsNoBetterThanTheOptimum() throws IOException {
    assertThat(
            benchmark(
                "--affinity",
                affinity.toString(),
                "--solvers",
                "viterbi,exflow-token,exflow-token-cpsat"))
        .as(err.toString())
        .isZero();

    JsonNode runs = new ObjectMapper().readTree(out.toString()).get("runs");
    List<Double> values = new ArrayList<>();
    runs.forEach(run -> values.add(run.get("value").asDouble()));
    assertThat(values).hasSize(12);
    for (int one : new int[] {2, 3, 4, 5}) { // one split of one node is the whole problem
      assertThat(values.get(one)).isCloseTo(values.get(0), within(1e-12));
      assertThat(values.get(6 + one)).isGreaterThanOrEqualTo(values.get(6) - 1e-12);
    }
  }

  @Test
  void aCapOnLoadIsMetAndMakesRunsOfItsOwn() throws IOException {
    String[] what = {"--affinity", affinity.toString(), "--solvers", "viterbi"};
    assertThat(benchmark(what)).as(err.toString()).isZero();
    JsonNode free = new ObjectMapper().readTree(out.toString()).get("runs");

    List<String> capped = new ArrayList<>(List.of(what));
    capped.addAll(List.of("--max-load", "1"));
    assertThat(benchmark(capped.toArray(String[]::new))).as(err.toString()).isZero();

    assertThat(err.toString()).contains("tiny, 1x2, hops, load at most 1.0: best");
    JsonNode run = new ObjectMapper().readTree(out.toString()).get("runs").get(0);
    assertThat(free.get(0).has("max-load")).isFalse();
    assertThat(run.get("max-load").asDouble()).isEqualTo(1);
    PlacementProblem load =
        PlacementProblem.balanced(
            Routes.count(TRACE.slice(0, 160)), new Topology(1, 2), Objective.LOAD);
    double least =
        PlacementSolvers.find("viterbi").solve(load, SolverConfig.DEFAULT).objective()
            / (160 * 2 / 2.0) // two choices of each token, over two GPUs
            / 3; // layers
    assertThat(run.get("load-mean-max-over-mean").asDouble()).isCloseTo(least, within(1e-12));
    assertThat(free.get(0).get("load-mean-max-over-mean").asDouble()).isGreaterThan(least);
    assertThat(run.get("value").asDouble()).isGreaterThan(free.get(0).get("value").asDouble());
    assertThat(Files.readAllLines(folder.resolve("bench/runs.jsonl"))).hasSize(8);
    assertThat(benchmark("--affinity", affinity.toString(), "--max-load", "0.9")).isEqualTo(2);
    assertThat(err.toString())
        .startsWith(
            "atlas: Invalid cap on load, as a multiple of the best achievable: 0.9, at least 1");
  }

  @Test
  void aBoundIsProvenOnceAnInstanceUnlessARunIsOptimal() throws IOException {
    String[] what = {
      "--affinity", affinity.toString(), "--solvers", "vanilla", "--bound-limit", "20s"
    };
    assertThat(benchmark(what)).as(err.toString()).isZero();

    JsonNode root = new ObjectMapper().readTree(out.toString());
    Path file = folder.resolve("bench/bounds.jsonl");
    assertThat(Files.readAllLines(file)).hasSize(2);
    assertThat(root.get("bounds")).hasSize(2);
    for (int at = 0; at < 2; at++) {
      Topology cluster = new Topology(1 + at, 2);
      JsonNode bound = root.get("bounds").get(at);
      double optimum = optimum(cluster, "viterbi", Files.createTempDirectory(folder, "free"));
      assertThat(bound.get("nodes").asInt()).isEqualTo(cluster.nodes());
      assertThat(bound.get("bound-limit-ms").asLong()).isEqualTo(20_000);
      assertThat(bound.get("bound").asDouble())
          .isLessThanOrEqualTo(optimum + 1e-12)
          .isGreaterThan(root.get("runs").get(2 * at).get("bound").asDouble());
      assertThat(err.toString())
          .contains(
              String.format(
                  Locale.ROOT,
                  "bound %.4f (%s, ",
                  bound.get("bound").asDouble(),
                  bound.get("method").asText()));
    }

    List<String> proven = Files.readAllLines(file);
    assertThat(benchmark(what)).isZero();
    assertThat(Files.readAllLines(file)).as("not proven again").isEqualTo(proven);
    what[3] = "vanilla,viterbi";
    assertThat(benchmark(what)).isZero();
    assertThat(new ObjectMapper().readTree(out.toString()).get("bounds")).isEmpty();
    assertThat(err.toString()).contains("gap 0.0 %").doesNotContain("semidefinite");

    Files.writeString(file, "{\"format-version\": 1, \"dataset\": 7}\n");
    assertThat(benchmark(what)).isEqualTo(1);
    assertThat(err.toString())
        .startsWith("atlas: Cannot read %s:1: dataset is 7, expected a text".formatted(file));
    assertThat(benchmark("--affinity", affinity.toString(), "--bound-limit", "0s")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid duration: 0s");
  }

  @Test
  void aBoundUnderACapOnLoadIsNotAboveTheOptimumUnderIt() throws IOException {
    String[] cap = {"--max-load", "1.05"};
    String[] what = {
      "--affinity",
      affinity.toString(),
      "--solvers",
      "pool@1s",
      "--bound-limit",
      "20s",
      cap[0],
      cap[1]
    };
    assertThat(benchmark(what)).as(err.toString()).isZero();

    JsonNode bounds = new ObjectMapper().readTree(out.toString()).get("bounds");
    assertThat(bounds).isNotEmpty();
    for (JsonNode bound : bounds) {
      Topology cluster = new Topology(bound.get("nodes").asInt(), 2);
      double optimum =
          optimum(cluster, "viterbi", Files.createTempDirectory(folder, "capped"), cap);
      assertThat(bound.get("max-load").asDouble()).isEqualTo(1.05);
      assertThat(bound.get("bound").asDouble()).isBetween(0.0, optimum + 1e-12);
    }
  }

  /** The least hops a token that a benchmark of its own finds. */
  private double optimum(Topology cluster, String solver, Path bench, String... more)
      throws IOException {
    List<String> arguments =
        new ArrayList<>(
            List.of("benchmark-placement", "--affinity", affinity.toString(), "--solvers", solver));
    arguments.addAll(List.of("--clusters", cluster.toString(), "--seeds", "1", "--json"));
    arguments.addAll(List.of("--warm-up", "1ms", "--output", bench.toString()));
    arguments.addAll(List.of(more));
    StringWriter own = new StringWriter();
    CommandLine line =
        new CommandLine(new Main())
            .setOut(new PrintWriter(own))
            .setErr(new PrintWriter(new StringWriter()));
    assertThat(Terminal.execute(line, arguments.toArray(String[]::new))).isZero();
    return new ObjectMapper().readTree(own.toString()).get("runs").get(0).get("value").asDouble();
  }

  @Test
  void aFolderToScoreOnIsNamedAsTheOneToFitOn() throws IOException {
    Path other = folder.resolve("other");
    AffinityFiles.write(Routes.count(TRACE.slice(0, 7)), other);
    assertThat(
            benchmark(
                "--affinity", "a=" + affinity, "--score", "a=" + other, "--solvers", "vanilla"))
        .as(err.toString())
        .isZero();
    JsonNode run = new ObjectMapper().readTree(out.toString()).get("runs").get(0);
    assertThat(run.get("tokens").asLong()).isEqualTo(240);
    assertThat(run.get("held-out-tokens").asLong()).isEqualTo(7);

    assertThat(benchmark("--affinity", affinity.toString(), "--score", "b=" + other)).isEqualTo(2);
    assertThat(err.toString())
        .startsWith("atlas: Invalid --score: [b], there is no --affinity of that name");
  }

  @Test
  void badOptionsAndRunsAreRefused() throws IOException {
    assertThat(benchmark()).isEqualTo(2);
    assertThat(err.toString())
        .startsWith("atlas: Missing required option: '--affinity=A' or '--trace=T'");
    assertThat(benchmark("--affinity", affinity.toString(), "--solvers", "magic")).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid --solvers: magic: Invalid solver: magic");
    assertThat(benchmark("--affinity", affinity.toString(), "--solvers", "pool@soon")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid duration: soon");
    assertThat(benchmark("--affinity", affinity.toString(), "--fit", ":5")).isEqualTo(2);
    assertThat(
            run(
                "benchmark-placement",
                "--affinity",
                affinity.toString(),
                "--clusters",
                "four",
                "--output",
                folder.resolve("x").toString()))
        .isEqualTo(2);
    assertThat(err.toString()).contains("Invalid cluster: four, expected nodes x GPUs such as 1x4");

    Files.createDirectory(folder.resolve("bench"));
    Path runs = folder.resolve("bench/runs.jsonl");
    for (String[] broken :
        List.of(
            new String[] {"{", "not JSON"},
            new String[] {"{}", "format-version is missing, expected a whole number"},
            new String[] {"{\"format-version\": 2}", "format-version is 2, expected 1"},
            new String[] {
              "{\"format-version\": 1, \"points\": [[1]]}",
              "points has [1], expected [seconds, value]"
            })) {
      Files.writeString(runs, broken[0] + "\n");
      assertThat(benchmark("--affinity", affinity.toString(), "--solvers", "vanilla")).isEqualTo(1);
      assertThat(err.toString())
          .startsWith("atlas: Cannot read %s:1: %s".formatted(runs, broken[1]));
    }
  }
}
