package io.expertatlas.placement.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.arrow.AffinityFiles;
import io.expertatlas.affinity.arrow.FoldFiles;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.json.PlacementParser;
import io.expertatlas.trace.RoutingTrace;
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

class FitCommandTest {
  private static final RoutingTrace TRACE = Routes.random(4, 8, 2, 600, 3);

  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private Path affinity;
  private Path other;
  private List<RouteCounts> folds;

  @BeforeEach
  void writeInputs() throws IOException {
    affinity = folder.resolve("affinity");
    other = folder.resolve("other");
    AffinityFiles.write(Routes.count(TRACE), affinity);
    AffinityFiles.write(Routes.count(Routes.random(4, 8, 2, 200, 4)), other);
    folds =
        List.of(
            Routes.count(TRACE.slice(0, 250)),
            Routes.count(TRACE.slice(250, 400)),
            Routes.count(TRACE.slice(400, 600)));
    FoldFiles.writeInto(folds, affinity);
  }

  private int place(String... more) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    CommandLine line =
        new CommandLine(new Main()).setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Terminal.execute(
        line,
        Stream.concat(
                Stream.of(
                    "place",
                    "--nodes",
                    "1",
                    "--gpus-per-node",
                    "4",
                    "--overwrite",
                    "--json",
                    "--output",
                    folder.resolve("plan").toString(),
                    "--affinity",
                    affinity.toString()),
                Stream.of(more))
            .toArray(String[]::new));
  }

  private Placement plan() throws IOException {
    return PlacementParser.read(folder.resolve("plan/placement.json")).placement();
  }

  private JsonNode json() throws IOException {
    return new ObjectMapper().readTree(out.toString());
  }

  @Test
  void theLastFoldIsHeldOutAndScored() throws IOException {
    assertThat(place()).as(err.toString()).isZero();

    PlacementCost held = PlacementCost.of(folds.get(2), plan());
    assertThat(json().get("tokens").asLong()).isEqualTo(400);
    assertThat(json().get("held-out").get("tokens").asLong()).isEqualTo(200);
    assertThat(json().get("held-out").get("hops").asDouble())
        .isCloseTo(held.hopsPerToken(), within(1e-9));
    JsonNode file = new ObjectMapper().readTree(folder.resolve("plan/fit.json").toFile());
    assertThat(file.get("format-version").asInt()).isEqualTo(1);
    assertThat(file.get("fitted-tokens").asLong()).isEqualTo(400);
    assertThat(file.get("held-out")).isEqualTo(json().get("held-out"));
    assertThat(file.get("traces").get(0).get("held-out-fold").asInt()).isEqualTo(2);
    assertThat(err.toString())
        .contains("Held out: 200 tokens, of fold 2 of 0 to 2; fitted on 400", "held out     rise");
  }

  @Test
  void anyFoldOrNoneMayBeHeldOut() throws IOException {
    assertThat(place("--hold-out", "0")).as(err.toString()).isZero();
    assertThat(json().get("tokens").asLong()).isEqualTo(350);

    assertThat(place("--hold-out", "none")).as(err.toString()).isZero();
    assertThat(json().get("tokens").asLong()).isEqualTo(600);
    assertThat(json().has("held-out")).isFalse();
    assertThat(folder.resolve("plan/fit.json")).doesNotExist();
    assertThat(err.toString()).contains("On the tokens it was fitted on.");

    assertThat(place("--hold-out", "3")).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid --hold-out: 3, last, none or 0 to 2");
  }

  @Test
  void shrinkageIsChosenOnTheFoldsThatAreFittedOn() throws IOException {
    assertThat(place("--shrinkage", "auto", "--shrink-toward", "co-activation,even"))
        .as(err.toString())
        .isZero();

    JsonNode shrinkage = json().get("shrinkage");
    assertThat(shrinkage.get("toward").toString()).isEqualTo("[\"co-activation\",\"even\"]");
    assertThat(shrinkage.get("cross-validation")).hasSize(5);
    assertThat(err.toString())
        .contains("Shrinkage toward co-activation and even by cross-validation over 2 parts");
    assertThat(json().get("total-objective").asLong())
        .isEqualTo(
            PlacementCost.of(folds.get(0), plan()).hops()
                + PlacementCost.of(folds.get(1), plan()).hops());
  }

  @Test
  void aGivenStrengthIsUsedAndSaid() throws IOException {
    assertThat(place("--shrinkage", "0.5")).as(err.toString()).isZero();

    assertThat(json().get("note").asText())
        .startsWith("pair counts shrunken by 0.5 toward co-activation, solved with gap 0.0 %");
    assertThat(json().get("total-bound").asLong())
        .isLessThanOrEqualTo(json().get("total-objective").asLong());
    assertThat(json().get("shrinkage").get("strength").asDouble()).isEqualTo(0.5);

    assertThat(place("--shrinkage", "2")).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid --shrinkage: 2, auto or 0 to 1");
    assertThat(place("--shrinkage", "0.5", "--objective", "fanout")).isEqualTo(1);
    assertThat(err.toString()).contains("Cannot shrink the counts for objective fanout");
  }

  @Test
  void withoutFoldsOrGroupsNothingCanBeChosen() {
    assertThat(place("--affinity", other.toString(), "--robust", "worst", "--hold-out", "1"))
        .isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid --hold-out: 1, the folder has no folds");
    affinity = other;
    assertThat(place("--shrinkage", "auto")).isEqualTo(1);
    assertThat(err.toString())
        .contains("Cannot choose the shrinkage from " + other + ": 0 folds to fit on and 0 groups");
  }

  @Test
  void groupsServeWhereThereAreNoFolds() throws IOException {
    Path groups = Files.createDirectory(other.resolve("groups"));
    AffinityFiles.write(Routes.count(TRACE.slice(0, 100)), groups.resolve("law"));
    AffinityFiles.write(Routes.count(TRACE.slice(100, 200)), groups.resolve("intent"));
    affinity = other;

    assertThat(place("--shrinkage", "auto")).as(err.toString()).isZero();

    assertThat(err.toString()).contains("by cross-validation over 2 parts");
  }

  @Test
  void onePlacementForTheWorstOfSeveralTraces() throws IOException {
    assertThat(place("--affinity", other.toString(), "--robust", "worst", "--hold-out", "none"))
        .as(err.toString())
        .isZero();

    JsonNode robust = json().get("robust");
    double first = PlacementCost.of(Routes.count(TRACE), plan()).hopsPerToken();
    double second =
        PlacementCost.of(Routes.count(Routes.random(4, 8, 2, 200, 4)), plan()).hopsPerToken();
    assertThat(robust.get("value").asDouble()).isCloseTo(Math.max(first, second), within(1e-9));
    assertThat(robust.get("bound").asDouble())
        .isPositive()
        .isLessThanOrEqualTo(robust.get("value").asDouble());
    assertThat(json().get("traces").get(1).get("in-sample").get("hops").asDouble())
        .isCloseTo(second, within(1e-9));
    assertThat(err.toString()).contains("Worst trace: ", other + ": ");

    assertThat(place("--affinity", other.toString(), "--robust", "weighted", "--weights", "3,1"))
        .as(err.toString())
        .isZero();
    assertThat(json().get("robust").get("mode").asText()).isEqualTo("weighted");
    assertThat(json().get("traces").get(0).get("weight").asDouble()).isEqualTo(3);
  }

  @Test
  void movesToABetterPlacementAreWeighedAndListed() throws IOException {
    String[] move = {
      "--current", "random", "--horizon", "100000", "--expert-bytes", "50000", "--hop-bytes", "100"
    };
    assertThat(place(move)).as(err.toString()).isZero();

    JsonNode moving = json().get("moving");
    double stay = moving.get("stay").get("bytes").asDouble();
    double chosen = moving.get("chosen").get("bytes").asDouble();
    assertThat(moving.get("stays").asBoolean()).isFalse();
    assertThat(chosen)
        .isLessThan(stay)
        .isLessThanOrEqualTo(moving.get("fewest").get("bytes").asDouble());
    assertThat(moving.get("chosen").get("objective-per-token").asDouble())
        .isCloseTo(json().get("hops").asDouble(), within(1e-6));
    JsonNode file = new ObjectMapper().readTree(folder.resolve("plan/moves.json").toFile());
    assertThat(file.get("format-version").asInt()).isEqualTo(1);
    assertThat(file.get("steps")).hasSize(moving.get("chosen").get("moved").asInt());
    assertThat(err.toString()).contains("Moving, over 100,000 tokens", "transfers");

    assertThat(
            place(
                "--current",
                "random",
                "--horizon",
                "10",
                "--expert-bytes",
                "50000",
                "--hop-bytes",
                "100"))
        .isZero();
    assertThat(json().get("moving").get("stays").asBoolean()).isTrue();
    assertThat(json().get("note").asText()).startsWith("the present placement stays");
    assertThat(err.toString())
        .contains("The present placement stays: moving would save less than 1.0 %");
  }

  @Test
  void sizesOfMovesComeFromTheModel() throws IOException {
    Path config = folder.resolve("config.json");
    Files.writeString(
        config,
        """
        {"num_hidden_layers": 4, "num_local_experts": 8, "hidden_size": 16,
         "intermediate_size": 32, "torch_dtype": "bfloat16", "model_type": "mixtral"}
        """);
    assertThat(
            place("--current", "vanilla", "--horizon", "1000", "--model-config", config.toString()))
        .as(err.toString())
        .isZero();
    assertThat(json().get("moving").get("expert-bytes").asLong()).isEqualTo(3 * 16 * 32 * 2);
    assertThat(json().get("moving").get("hop-bytes").asLong()).isEqualTo(32);

    assertThat(place("--current", "vanilla")).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Missing required option: '--horizon=TOKENS'");
    assertThat(place("--current", "vanilla", "--horizon", "5")).isEqualTo(2);
    assertThat(err.toString())
        .startsWith("atlas: Missing required option: '--expert-bytes=B' or '--model-config=FILE'");
    assertThat(
            place(
                "--current",
                "vanilla",
                "--horizon",
                "0",
                "--hop-bytes",
                "1",
                "--expert-bytes",
                "1"))
        .isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid --horizon: 0, at least 1");
  }

  @Test
  void severalFoldersAreIncrementsUnlessTheyAreSaidToBeTraces() throws IOException {
    assertThat(place("--affinity", other.toString())).as(err.toString()).isZero();
    assertThat(json().get("tokens").asLong()).isEqualTo(200);
    assertThat(place("--affinity", other.toString(), "--incremental")).isZero();
    assertThat(json().get("tokens").asLong()).isEqualTo(200);

    assertThat(place("--affinity", other.toString(), "--incremental", "--robust", "worst"))
        .isEqualTo(2);
    assertThat(err.toString())
        .startsWith("atlas: Invalid options: --incremental and --robust, expected one of them");
    assertThat(place("--robust", "worst", "--shrinkage", "auto")).isEqualTo(2);
    assertThat(place("--weights", "1")).isEqualTo(2);
    assertThat(err.toString())
        .startsWith("atlas: Invalid options: --weights without --robust weighted");
    assertThat(place("--robust", "weighted", "--weights", "1,2")).isEqualTo(2);
    assertThat(err.toString())
        .startsWith("atlas: Invalid --weights: [1.0, 2.0], expected a positive number for each");
    assertThat(place("--affinity", other.toString(), "--hold-out", "1")).isEqualTo(2);
    assertThat(err.toString()).startsWith("atlas: Invalid options: --hold-out and increments");
  }
}
