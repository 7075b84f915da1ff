package io.expertatlas.affinity.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.InMemoryEstimator;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.json.AffinitySummaryParser;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class AnalyzeCommandTest {
  private final RoutingTrace trace = SyntheticTrace.draw(new ModelShape(3, 6, 2), 300, 10, 0.6, 1);
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  @TempDir private Path home;

  @BeforeEach
  void writeTrace() throws IOException {
    AffinityCases.writeNpy(trace, home.resolve("trace.npy"));
  }

  private int run(String... options) {
    String[] all = new String[options.length + 7];
    System.arraycopy(
        new String[] {
          "--trace",
          home.resolve("trace.npy").toString(),
          "--experts",
          "6",
          "--master",
          "local[2]",
          "--output"
        },
        0,
        all,
        0,
        7);
    System.arraycopy(options, 0, all, 7, options.length);
    err.getBuffer().setLength(0);
    return Terminal.execute(
        new CommandLine(new AnalyzeCommand())
            .setOut(new PrintWriter(out))
            .setErr(new PrintWriter(err)),
        all);
  }

  private List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void theFolderIsCompleteAndTheSummaryPrinted() throws IOException {
    Path output = home.resolve("affinity");

    assertThat(run(output.toString(), "--json", "--seed", "9")).as(err.toString()).isZero();

    assertThat(names(output))
        .containsExactly(
            "coactivation.arrow",
            "expert-sets.arrow",
            "popularity.arrow",
            "report.html",
            "summary.json",
            "transitions.arrow");
    assertThat(AffinityFiles.read(output))
        .isEqualTo(InMemoryEstimator.count(AffinityCases.reader(trace, 50)));
    assertThat(out.toString()).isEqualTo(Files.readString(output.resolve("summary.json")));
    assertThat(AffinitySummaryParser.fromJson(out.toString()).seed()).isEqualTo(9);
    assertThat(err.toString())
        .contains("3 MoE layers x 6 experts, top-2, 300 tokens")
        .contains("layer  max/mean")
        .contains("report.html in a browser");
    assertThat(names(home)).containsExactly("affinity", "trace.npy");
  }

  @Test
  void whatExistsIsReplacedOnlyOnDemand() throws IOException {
    Path output = home.resolve("affinity");
    assertThat(run(output.toString())).isZero();
    assertThat(run(output.toString())).isEqualTo(1);
    assertThat(err.toString())
        .isEqualToIgnoringNewLines(
            "atlas: Cannot write %s: it exists already. Maybe add --overwrite".formatted(output));
    assertThat(run(output.toString(), "--overwrite", "--tokens", ":100")).isZero();
    assertThat(AffinityFiles.read(output).tokens()).isEqualTo(100);

    Path precious = Files.createDirectory(home.resolve("precious"));
    Files.writeString(precious.resolve("thesis"), "all of it");
    assertThat(run(precious.toString(), "--overwrite")).isEqualTo(1);
    assertThat(err.toString()).contains("it holds thesis, which no affinity folder has");
    assertThat(names(precious)).containsExactly("thesis");
  }

  @Test
  void failuresAreOneLineAndLeaveNothing() throws IOException {
    assertThat(run(home.resolve("no/affinity").toString())).isEqualTo(1);
    assertThat(err.toString()).startsWith("atlas: Cannot write").contains("does not exist");
    assertThat(run(home.resolve("a").toString(), "--sequences", "77")).isEqualTo(1);
    assertThat(err.toString().lines().filter(line -> line.startsWith("atlas: ")))
        .singleElement()
        .asString()
        .contains("none of its 300 tokens is in the selection (sequences 77)");
    assertThat(run(home.resolve("a").toString(), "--seed", "many")).isEqualTo(2);
    assertThat(run(home.resolve("a").toString(), "--tokens", "9:1")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid token range: 9:1");
    assertThat(names(home)).containsExactly("trace.npy");
  }
}
