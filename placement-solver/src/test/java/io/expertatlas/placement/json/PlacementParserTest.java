package io.expertatlas.placement.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Routes;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.json.PlacementDocument.InSample;
import io.expertatlas.placement.json.PlacementDocument.Source;
import io.expertatlas.placement.solver.PlacementSolvers;
import io.expertatlas.placement.solver.SolverConfig;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PlacementParserTest {
  private static PlacementDocument document() {
    PlacementProblem problem = Routes.problem(Routes.CASE_A, 1, 2);
    SolverOutcome outcome =
        PlacementSolvers.find("viterbi").solve(problem, SolverConfig.DEFAULT.withSeed(-3));
    return new PlacementDocument(
        problem.shape(),
        Objective.HOPS,
        outcome,
        InSample.of(PlacementCost.of(problem.counts(), outcome.placement().orElseThrow())),
        new Source(List.of("a", "b \"c\""), "t.npy", "0:4", "all"));
  }

  private static String golden() throws IOException {
    try (InputStream in = PlacementParserTest.class.getResourceAsStream("placement.json")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  @Test
  void everythingComesBack() {
    PlacementDocument document = document();
    String json = PlacementParser.toJson(document);
    assertThat(PlacementParser.fromJson(json, "x")).isEqualTo(document);
  }

  @Test
  void theGoldenFileIsReadAndWritten() throws IOException {
    PlacementDocument document = PlacementParser.fromJson(golden(), "golden");
    assertThat(document.placement().toArray())
        .isEqualTo(new int[][] {{0, 1, 1, 0}, {1, 1, 0, 0}, {0, 0, 1, 1}});
    assertThat(document.outcome().objective()).isEqualTo(1);
    assertThat(PlacementParser.toJson(document)).isEqualTo(golden());
  }

  private static PlacementDocument withCopies() {
    PlacementDocument one = document();
    Placement copies =
        Placement.ofCopies(
            new Topology(1, 2),
            new int[][][] {
              {{0}, {0, 1}, {1}, {0, 1}}, {{1, 1, 1}, {0}, {0}, {0}}, {{0}, {0}, {1, 1}, {0, 1}}
            });
    SolverOutcome outcome =
        new SolverOutcome(
            "x", SolverStatus.FEASIBLE, Optional.of(copies), 5, 1, 0.5, 2, "with copies");
    PlacementCost cost = PlacementCost.of(Routes.count(Routes.CASE_A), copies);
    return new PlacementDocument(
        one.shape(), Objective.HOPS, outcome, InSample.of(cost), one.source());
  }

  @Test
  void copiesComeBack() {
    String json = PlacementParser.toJson(withCopies());
    assertThat(json)
        .contains("\"gpus-of-expert\" : [\n    [[0],[0,1],[1],[0,1]],", "\"hops-estimated\" : true")
        .doesNotContain("gpu-of-expert");
    assertThat(PlacementParser.fromJson(json, "x")).isEqualTo(withCopies());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "[0,1],[1]|[],[1]|Invalid placement: layer 0, expert 1 has no copy",
        "[0,1],[1]|[0,2],[1]|Invalid placement: layer 0, expert 1 is on GPU 2, the topology 1x2 has 0 to 1",
        "[0,1],[1]|[0,'1'],[1]|gpus-of-expert[0][1][1] is \"1\", expected a GPU",
        "[0,1],[1]|3,[1]|gpus-of-expert[0][1] is 3, expected a list of GPUs",
        "[0,1],[1]|[1]|gpus-of-expert[0] has 3 entries, the shape has 4 experts",
        "'gpus-of-expert'|'gpu-of-expert':[],'gpus-of-expert'|both gpu-of-expert and gpus-of-expert are there",
        "'hops-estimated' : true|'hops-estimated' : 1|hops-estimated is 1, expected true or false"
      },
      quoteCharacter = '@')
  void whatIsWrongWithCopiesIsNamed(String found, String replacement, String message) {
    String json = PlacementParser.toJson(withCopies()).replace('"', '\'');
    assertThat(json).contains(found);
    String broken = json.replace(found, replacement).replace('\'', '"');
    assertThatThrownBy(() -> PlacementParser.fromJson(broken, "p.json"))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage("Cannot read p.json: " + message);
  }

  @Test
  void unknownFieldsAreLeftAside() throws IOException {
    String extra = golden().replace("\"shape\"", "\"colour\" : \"blue\",\n  \"shape\"");
    assertThat(PlacementParser.fromJson(extra, "x"))
        .isEqualTo(PlacementParser.fromJson(golden(), "x"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"format-version\" : 1|\"format-version\" : 2|format-version is 2, expected 1",
        "\"format-version\" : 1|\"version\" : 1|format-version is missing",
        "\"nodes\" : 1|\"nodes\" : null|nodes is null",
        "\"nodes\" : 1|\"nodes\" : 0|Invalid topology: 0 nodes x 2 GPUs, each at least 1 and at most 65536 in all",
        "\"seed\" : 1|\"sed\" : 1|seed is missing",
        "\"status\" : \"optimal\"|\"status\" : \"infeasible\"|status is infeasible, expected optimal or feasible",
        "[0,1,1,0]|[0,1,1]|gpu-of-expert[0] has 3 entries, the shape has 4 experts",
        "[0,1,1,0],|''|gpu-of-expert has 2 rows, the shape has 3 layers",
        "[0,1,1,0]|[0,1,1,2]|Invalid placement: layer 0, expert 3 is on GPU 2, the topology 1x2 has 0 to 1",
        "[0,1,1,0]|[0,1,1.5,2]|gpu-of-expert[0][2] is 1.5, expected a GPU",
        "\"objective\" : \"hops\"|\"objective\" : \"speed\"|Invalid objective: speed, one of hops, crossings, fanout, load, copies",
        "\"tokens\" : 4|\"tokens\" : -4|tokens is -4, expected 0 to 9223372036854775807",
        "\"shape\"|\"form\"|shape is missing"
      })
  void whatIsWrongIsNamed(String found, String replacement, String message) throws IOException {
    assertThat(golden()).contains(found);
    String broken = golden().replace(found, replacement);
    assertThatThrownBy(() -> PlacementParser.fromJson(broken, "p.json"))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage("Cannot read p.json: " + message);
  }

  @Test
  void whatIsNoTextIsNamed(@TempDir Path folder) throws IOException {
    Path file = Files.write(folder.resolve("p.json"), new byte[] {'{', (byte) 0xff, '}'});
    assertThatThrownBy(() -> PlacementParser.read(file))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessage("Cannot read " + file + ": not UTF-8");
  }

  @Test
  void whatIsNoJsonIsNamed() {
    assertThatThrownBy(() -> PlacementParser.fromJson("{\"a\": ", "p.json"))
        .isInstanceOf(PlacementFormatException.class)
        .hasMessageStartingWith("Cannot read p.json: not JSON at line ")
        .hasMessageContaining("line 1");
    assertThatThrownBy(() -> PlacementParser.fromJson("[]", "p.json"))
        .hasMessage("Cannot read p.json: not a JSON object");
    assertThatThrownBy(() -> PlacementParser.fromJson("", "p.json"))
        .hasMessage("Cannot read p.json: not a JSON object");
  }
}
