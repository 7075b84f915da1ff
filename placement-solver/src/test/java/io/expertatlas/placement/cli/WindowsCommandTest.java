package io.expertatlas.placement.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.format.ExFlowCsv;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class WindowsCommandTest {
  private static final Topology PAIR = new Topology(1, 2);
  private static final int WINDOW = 100;

  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private RoutingTrace[] windows; // of another workload from the third on
  private Path trace;

  /** 430 tokens of which the first 200 and the others follow different routes. */
  @BeforeEach
  void writeTrace() throws IOException {
    RoutingTrace one = Routes.random(3, 4, 1, 200, 1);
    RoutingTrace other = Routes.random(3, 4, 1, 230, 8);
    windows =
        new RoutingTrace[] {
          one.slice(0, 100),
          one.slice(100, 200),
          other.slice(0, 100),
          other.slice(100, 200),
          other.slice(200, 230)
        };
    short[] experts = new short[430 * 3];
    int at = 0;
    for (RoutingTrace window : windows) {
      for (int choice = 0; choice < window.tokens() * 3; choice++) {
        experts[at++] = (short) window.expert(choice / 3, choice % 3, 0);
      }
    }

    trace = folder.resolve("trace.npy");
    AffinityCases.writeNpy(RoutingTrace.ofExperts(one.shape(), experts), trace);
  }

  private int run(String... more) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line =
        new CommandLine(new Main()).setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Terminal.execute(
        line,
        Stream.concat(
                Stream.of(
                    "place-windows",
                    "--trace",
                    trace.toString(),
                    "--experts",
                    "4",
                    "--nodes",
                    "1",
                    "--gpus-per-node",
                    "2",
                    "--window",
                    Integer.toString(WINDOW),
                    "--hop-bytes",
                    "10",
                    "--json",
                    "--overwrite",
                    "--output",
                    folder.resolve("plans").toString()),
                Stream.of(more))
            .toArray(String[]::new));
  }

  private static Placement best(RoutingTrace window) {
    return PlacementSolvers.find("auto")
        .solve(
            PlacementProblem.balanced(Routes.count(window), PAIR, Objective.HOPS),
            SolverConfig.DEFAULT)
        .placement()
        .orElseThrow();
  }

  private static double hops(RoutingTrace window, Placement plan) {
    return PlacementCost.of(Routes.count(window), plan).hopsPerToken();
  }

  @Test
  void freeMovesFollowTheWindowBefore() throws IOException {
    assertThat(run("--expert-bytes", "1", "--min-gains", "0")).as(err.toString()).isZero();

    JsonNode root = new ObjectMapper().readTree(out.toString());
    JsonNode stay = root.get("policies").get(0);
    JsonNode follow = root.get("policies").get(1);
    JsonNode own = root.get("policies").get(2);
    assertThat(root.get("tokens").asLong()).isEqualTo(330);
    assertThat(stay.get("moved").asInt()).isZero();
    assertThat(stay.get("hops-by-window")).hasSize(4);
    for (int window = 1; window < windows.length; window++) {
      assertThat(stay.get("hops-by-window").get(window - 1).asDouble())
          .isCloseTo(hops(windows[window], best(windows[0])), within(1e-9));
      Placement plan =
          ExFlowCsv.read(folder.resolve("plans/window-%d.csv".formatted(window)), 3, 4, PAIR);
      assertThat(follow.get("hops-by-window").get(window - 1).asDouble())
          .isCloseTo(hops(windows[window], plan), within(1e-9));
      assertThat(hops(windows[window - 1], plan))
          .as("nearly the best for the window before")
          .isLessThanOrEqualTo(hops(windows[window - 1], best(windows[window - 1])) + 0.02);
      assertThat(own.get("hops-by-window").get(window - 1).asDouble())
          .isCloseTo(hops(windows[window], best(windows[window])), within(1e-9));
    }

    assertThat(follow.get("moved").asInt()).isPositive();
    assertThat(follow.get("hops").asDouble()).isLessThan(stay.get("hops").asDouble());
    assertThat(err.toString())
        .contains("4 windows of 100 tokens after the first", "follow, gain 0");
  }

  @Test
  void dearMovesAreNotMade() throws IOException {
    assertThat(run("--expert-bytes", "1000000", "--min-gains", "0,0.5", "--history", "2"))
        .as(err.toString())
        .isZero();

    JsonNode policies = new ObjectMapper().readTree(out.toString()).get("policies");
    assertThat(policies).hasSize(4);
    for (int policy = 0; policy < 3; policy++) {
      assertThat(policies.get(policy).get("moved").asInt()).isZero();
      assertThat(policies.get(policy).get("hops")).isEqualTo(policies.get(0).get("hops"));
    }
  }

  @Test
  void badOptionsAreRefused() {
    assertThat(run()).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Missing required option: '--expert-bytes=B'");
    assertThat(run("--expert-bytes", "1", "--min-gains", "1")).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid --min-gains: [1.0], each 0 to below 1");
    assertThat(run("--expert-bytes", "1", "--history", "0")).isEqualTo(2);
    assertThat(run("--expert-bytes", "1", "--tokens", ":60")).isEqualTo(1);
    assertThat(err.toString()).contains("it has fewer than two. Maybe take a shorter --window");
    assertThat(folder.resolve("plans")).doesNotExist();
  }
}
