package io.expertatlas.trace.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.parquet.DatasetFolder;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class MainTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @TempDir private Path temp;

  private int run(String... arguments) {
    CommandLine line =
        new CommandLine(Main.class).setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
    return Terminal.execute(line, arguments);
  }

  private static String golden(String name) {
    return Golden.path("format/" + name).toString();
  }

  @Test
  void ingestThenInspect() throws IOException {
    String dataset = temp.resolve("dataset").toString();

    assertThat(
            run(
                "ingest",
                "--input",
                golden("good/capture"),
                "--output",
                dataset,
                "--master",
                "local[1]"))
        .as("%s", err)
        .isZero();
    assertThat(out.toString()).isEmpty();
    assertThat(err.toString())
        .contains("Write parts: 1 task")
        .contains(dataset + ": 3 MoE layers x 11 experts, top-2, 7 tokens in 3 sequences");

    assertThat(run("inspect", dataset, "--json")).as("%s", err).isZero();
    JsonNode json = new ObjectMapper().readTree(out.toString());
    assertThat(json.get("format").asText()).isEqualTo("dataset");
    assertThat(json.get("tokens").asInt()).isEqualTo(7);
    assertThat(json.get("sequences").asInt()).isEqualTo(3);
    assertThat(json.get("decode-tokens").asInt()).isEqualTo(4);
    assertThat(json.get("longest-sequence").asInt()).isEqualTo(3);
    assertThat(json.get("position-jumps").asInt()).isZero();
    assertThat(json.get("rising-weights").asInt()).isZero();
    assertThat(json.get("load")).hasSize(3);
    assertThat(json.get("load").get(1).get("used-experts").asInt()).isEqualTo(11);
    assertThat(json.get("manifest").get("sources").get(0).get("format").asText())
        .isEqualTo("capture");
  }

  @Test
  void inspectPrintsATableForPeople() {
    assertThat(run("inspect", golden("good/top1.npy"), "--experts", "11")).isZero();
    assertThat(out.toString()).isEmpty();
    assertThat(err.toString())
        .contains("3 MoE layers x 11 experts, top-1")
        .contains("tokens     7: 7 prefill, 0 decode")
        .contains("7 of   11");
  }

  @Test
  void inspectOfAnEmptyTraceIsFine() {
    assertThat(run("inspect", golden("good/empty.npy"), "--experts", "11", "--json")).isZero();
    assertThat(out.toString()).contains("\"tokens\" : 0").contains("\"max-over-mean\" : 0.0");
  }

  @Test
  void inspectVerifiesChecksums() throws IOException {
    RoutingTrace trace = Golden.capture();
    DatasetFolder.write(temp.resolve("dataset"), trace, 4);
    Path part = temp.resolve("dataset/part-00001.parquet");
    byte[] bytes = Files.readAllBytes(part);
    bytes[bytes.length - 20] ^= 1;
    Files.write(part, bytes);

    assertThat(run("inspect", temp.resolve("dataset").toString())).isEqualTo(1);
    assertThat(err.toString()).startsWith("atlas: Invalid part of the dataset: SHA-256 of " + part);
  }

  @Test
  void failuresAreOneLine() {
    assertThat(run("inspect", golden("broken/twice.npy"), "--experts", "11")).isEqualTo(1);
    assertThat(err.toString().lines()).hasSize(1);
    assertThat(err.toString()).startsWith("atlas: Invalid top-2 in ");
  }

  @Test
  void usageErrorsAreTwo() {
    assertThat(run("ingest", "--input", "x")).isEqualTo(2);
    assertThat(run("inspect")).isEqualTo(2);
    assertThat(run("inspect", "x", "--experts", "many")).isEqualTo(2);
    assertThat(
            run(
                "ingest",
                "--input",
                "a",
                "b",
                "--sequence-file",
                "s",
                "--experts",
                "8",
                "--output",
                "t"))
        .isEqualTo(2);
    assertThat(err.toString())
        .contains("Invalid number of files for --sequence-file: 1, one for each of the 2 inputs");
    assertThat(run()).isEqualTo(2);
  }

  @Test
  void inspectShowsCountsAndWhatTheyCannotTell() throws IOException {
    assertThat(run("inspect", golden("counts/smartmoe"))).as("%s", err).isZero();
    assertThat(out.toString()).isEmpty();
    assertThat(err.toString())
        .contains("(smartmoe, ")
        .contains("counts only: popularity and its drift, no token's route")
        .contains("windows    8, steps 1 to 11, 2 ranks")
        .contains("    4 of    4");

    assertThat(run("inspect", golden("counts/vllm-eplb.jsonl"), "--json")).isZero();
    JsonNode json = new ObjectMapper().readTree(out.toString());
    assertThat(json.get("kind").asText()).isEqualTo("counts");
    assertThat(json.get("windows").asInt()).isEqualTo(2);
    assertThat(json.get("load").get(0).get("visits").asInt()).isEqualTo(6 * 300 + 2 * 15);
  }

  @Test
  void inspectOfCountsWithoutWindowsIsFine() {
    assertThat(run("inspect", golden("counts/moe-infinity-none.npy"), "--format", "moe-infinity"))
        .as("%s", err)
        .isZero();
    assertThat(err.toString()).contains("windows    0\n");
  }

  @Test
  void ingestOfCountsSaysWhatTakesThem() {
    assertThat(
            run(
                "ingest",
                "--input",
                golden("counts/smartmoe"),
                "--output",
                temp.resolve("t").toString(),
                "--master",
                "local[1]"))
        .isEqualTo(1);
    assertThat(err.toString())
        .contains("format smartmoe holds counts of tokens for each expert only")
        .contains("atlas analyze --counts");
    assertThat(temp.resolve("t")).doesNotExist();
  }

  @Test
  void inspectShowsRouterStates() throws IOException {
    assertThat(run("inspect", golden("good/capture-states"))).as("%s", err).isZero();
    assertThat(err.toString()).contains("states     hidden states of 4; router logits");
    assertThat(run("inspect", golden("megatron/good"), "--json")).as("%s", err).isZero();
    JsonNode json = new ObjectMapper().readTree(out.toString());
    assertThat(json.get("states").get("hidden-size").asInt()).isEqualTo(3);
    assertThat(json.get("states").get("tokens").asInt()).isEqualTo(28);
  }

  @Test
  void formatOptionsReachTheFormat() throws IOException {
    String dataset = temp.resolve("dataset").toString();
    assertThat(
            run(
                "ingest",
                "--input",
                golden("requests/sglang-chat.jsonl"),
                "--experts",
                "9",
                "--format-option",
                "layers=5",
                "--format-option",
                "top-k=2",
                "--output",
                dataset,
                "--master",
                "local[1]"))
        .as("%s", err)
        .isZero();
    assertThat(err.toString())
        .contains(dataset + ": 3 MoE layers x 9 experts, top-2, 12 tokens in 2 sequences");
  }

  @Test
  void unknownFormatOptionsAreRefused() {
    assertThat(run("inspect", golden("requests/sglang-chat.jsonl"), "--format-option", "topk=2"))
        .isEqualTo(1);
    assertThat(err.toString())
        .startsWith(
            "atlas: Unknown option of format sglang-requests: topk, known are layers, top-k, start, dense-layers");
    assertThat(run("inspect", golden("good/top1.npy"), "--format-option", "topk")).isEqualTo(2);
    assertThat(err.toString()).contains("Invalid format option: 'topk', expected KEY=VALUE");
  }
}
