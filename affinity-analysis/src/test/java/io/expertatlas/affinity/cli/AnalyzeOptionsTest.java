package io.expertatlas.affinity.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.json.AffinitySummaryParser;
import io.expertatlas.affinity.report.BrowserCheck;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class AnalyzeOptionsTest {
  private final RoutingTrace trace = SyntheticTrace.draw(new ModelShape(4, 6, 2), 300, 20, 0.6, 1);
  private final StringWriter err = new StringWriter();
  @TempDir private Path home;

  @BeforeEach
  void writeTrace() throws IOException {
    AffinityCases.writeNpy(trace, home.resolve("trace.npy"));
    AffinityCases.writeSequences(trace, home.resolve("sequence.npy"));
    StringBuilder groups = new StringBuilder("sequence,group\n");
    for (int sequence = 0; sequence < 15; sequence++) {
      groups.append(sequence).append(sequence % 3 == 0 ? ",law/civil\n" : ",law_civil\n");
    }

    Files.writeString(home.resolve("groups.csv"), groups);
  }

  private int run(String... options) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "--trace",
                home.resolve("trace.npy").toString(),
                "--experts",
                "6",
                "--sequence-file",
                home.resolve("sequence.npy").toString(),
                "--master",
                "local[2]",
                "--output",
                home.resolve("affinity").toString()));
    all.addAll(List.of(options));
    err.getBuffer().setLength(0);
    return Terminal.execute(
        new CommandLine(new AnalyzeCommand())
            .setOut(new PrintWriter(new StringWriter()))
            .setErr(new PrintWriter(err)),
        all.toArray(String[]::new));
  }

  private List<String> names(String folder) throws IOException {
    try (Stream<Path> files = Files.list(home.resolve(folder))) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void everyOptionAddsItsFilesKeysAndPlots() throws IOException {
    assertThat(
            run(
                "--window",
                "70",
                "--lags",
                "3,1",
                "--grouping",
                "blocks:2",
                "--locality",
                "--group-by",
                home.resolve("groups.csv").toString()))
        .as(err.toString())
        .isZero();

    List<String> tables =
        List.of(
            "cache.arrow",
            "coactivation.arrow",
            "expert-sets.arrow",
            "overlap.arrow",
            "popularity.arrow",
            "reuse.arrow",
            "transitions-lag-3.arrow",
            "transitions.arrow",
            "window-metrics.arrow",
            "windows.arrow");
    assertThat(names("affinity"))
        .containsAll(tables)
        .contains("group-distances.arrow", "groups")
        .hasSize(tables.size() + 4);
    assertThat(names("affinity/groups")).containsExactly("law_civil", "law_civil-2");
    assertThat(names("affinity/groups/law_civil")).containsExactlyElementsOf(tables);
    assertThat(AffinityFiles.read(home.resolve("affinity/groups/law_civil")))
        .isEqualTo(AffinityCases.count(trace.select(t -> trace.sequence(t) % 3 == 0)));
    String json = Files.readString(home.resolve("affinity/summary.json"));
    assertThat(AffinitySummaryParser.fromJson(json).tokens()).isEqualTo(300);
    JsonNode root = new ObjectMapper().readTree(json);
    assertThat(root.at("/layers/0/cv").isNumber()).isTrue();
    assertThat(root.at("/windows/tokens").toString()).isEqualTo("[70,70,70,70,20]");
    assertThat(root.at("/windows/layers/3/drift")).hasSize(4);
    assertThat(root.at("/lags/1/lag").asInt()).isEqualTo(3);
    assertThat(root.at("/lags/1/layers/0/stay").isNumber()).isTrue();
    assertThat(root.at("/locality/runs").asInt()).isEqualTo(15);
    assertThat(root.at("/locality/layers/0/lru-hit-rate")).hasSize(6);
    assertThat(root.at("/groups/0/group").asText()).isEqualTo("law/civil");
    assertThat(root.at("/groups/0/tokens").asInt()).isEqualTo(100);
    assertThat(root.at("/groups/1/locality/runs").asInt()).isEqualTo(10);
    assertThat(root.at("/group-distances/0/popularity-noise").asDouble()).isPositive();
    BrowserCheck.ofThisMachine()
        .open(home.resolve("affinity/report.html"))
        .hasPlots(
            "popularity",
            "load",
            "mutual-information",
            "certainty",
            "transitions",
            "drift",
            "drift-layers",
            "load-windows",
            "lags",
            "stay",
            "cache",
            "cache-layers",
            "reuse",
            "overlap",
            "group-popularity",
            "group-transitions");
    assertThat(run("--overwrite")).as(err.toString()).isZero();
    assertThat(names("affinity")).doesNotContain("groups", "windows.arrow");
  }

  @Test
  void wrongValuesAreNamedAndNothingIsWritten() throws IOException {
    assertThat(run("--window", "0")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid window: 0 tokens, at least 1");
    assertThat(run("--window", "5", "--ema", "1.5")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid --ema: 1.5, above 0, at most 1");
    assertThat(run("--format-option", "top")).isEqualTo(2);
    assertThat(run("--lags", "0")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid lags: [0]");
    assertThat(run("--lags", "4")).isEqualTo(1);
    assertThat(err.toString()).contains("Invalid lag: 4, below the number of MoE layers 4");
    assertThat(run("--group-by", "nothing.csv")).isEqualTo(1);
    assertThat(err.toString()).contains("nothing.csv: no such file");
    assertThat(run("--grouping", home.resolve("groups.csv").toString())).isEqualTo(1);
    assertThat(err.toString()).contains("groups.csv:2: expected layer*experts+expert,group");
    Files.writeString(home.resolve("groups.csv"), "sequence,group\n0,a\n");
    assertThat(run("--group-by", home.resolve("groups.csv").toString())).isEqualTo(1);
    assertThat(err.toString()).contains("sequence 1 has no group in groups.csv");
    assertThat(names("")).containsExactly("groups.csv", "sequence.npy", "trace.npy");
  }

  private int runCounts(String... options) {
    List<String> all = new ArrayList<>(List.of("--output", home.resolve("affinity").toString()));
    all.addAll(List.of(options));
    err.getBuffer().setLength(0);
    return Terminal.execute(
        new CommandLine(new AnalyzeCommand())
            .setOut(new PrintWriter(new StringWriter()))
            .setErr(new PrintWriter(err)),
        all.toArray(String[]::new));
  }

  @Test
  void countsGivePopularityAndSayWhatTheyCannotTell() throws IOException {
    Path counts = home.resolve("c.steps");
    Files.writeString(counts, "2 3\n0 5 1 0 2 2 2\n1 4 2 0 3 2 1\n2 0 0 6 2 2 2\n");

    assertThat(runCounts("--counts", counts.toString())).as(err.toString()).isZero();

    assertThat(names("affinity"))
        .containsExactly(
            "popularity.arrow",
            "report.html",
            "summary.json",
            "window-metrics.arrow",
            "windows.arrow");
    JsonNode root =
        new ObjectMapper().readTree(Files.readString(home.resolve("affinity/summary.json")));
    assertThat(root.at("/counts").asText()).isEqualTo("c.steps");
    assertThat(root.at("/unknown/0").asText()).isEqualTo("transitions");
    assertThat(root.at("/layers/0/popularity/0").asDouble()).isEqualTo(0.5);
    assertThat(root.at("/windows/layers/0/drift/1").asDouble()).isEqualTo(1);
    assertThat(err.toString()).contains("counts tell no affinity");
    assertThatThrownBy(() -> AffinityFiles.read(home.resolve("affinity")))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessage(
            "Cannot read %s: it was made of counts, which tell popularity but no affinity. Maybe analyze a trace"
                .formatted(home.resolve("affinity")));
    BrowserCheck.Page page =
        BrowserCheck.ofThisMachine().open(home.resolve("affinity/report.html"));
    page.hasPlots("popularity", "load", "drift", "drift-layers", "load-windows");
    assertThat(page.dom()).contains("need a trace of routes");
  }

  @Test
  void countsGoWithNothingThatTheyDoNotTell() throws IOException {
    Path counts = home.resolve("c.steps");
    Files.writeString(counts, "2 3\n0 5 1 zero 2 2 2\n");

    assertThat(runCounts("--counts", counts.toString(), "--locality")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid option with --counts: --locality");
    assertThat(runCounts("--counts", counts.toString(), "--trace", "t")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid options: --trace and --counts");
    assertThat(runCounts()).isEqualTo(2);
    assertThat(err.toString()).contains("Missing required option: '--trace=T'");
    assertThat(runCounts("--counts", counts.toString())).isEqualTo(1);
    assertThat(err.toString()).contains("c.steps: For input string: \"zero\"");
    assertThat(names("")).doesNotContain("affinity");
  }
}
