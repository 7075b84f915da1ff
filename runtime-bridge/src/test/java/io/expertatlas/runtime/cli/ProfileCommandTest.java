package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.runtime.Goldens;
import io.expertatlas.runtime.json.LookupTableParser;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class ProfileCommandTest {
  @TempDir private Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int execute(List<String> arguments) {
    CommandLine commands = new CommandLine(new Main());
    commands.setOut(new PrintWriter(out));
    commands.setErr(new PrintWriter(err));
    return Terminal.execute(commands, arguments.toArray(String[]::new));
  }

  private List<String> profile(String more) {
    List<String> arguments = new ArrayList<>(List.of("profile", "--output", table().toString()));
    arguments.addAll(List.of(more.split(" ")));
    return arguments;
  }

  private Path table() {
    return folder.resolve("table.json");
  }

  private static Path mixtral() {
    return Goldens.data().resolve("mixtral");
  }

  @Test
  void theFirstLayerOfACheckpointBecomesATableThatTheSimulatorTakes() throws IOException {
    String options = "--batch 2 --micro-batches 2 --sequence-length 4 --samples 1 --json --model ";
    assertThat(execute(profile(options + mixtral()))).as(err.toString()).isZero();
    LookupTable table = LookupTableParser.read(table());
    assertThat(out.toString()).isEqualTo(Files.readString(table()));
    assertThat(table.training().sizes().experts()).isEqualTo(8);
    assertThat(table.training().sizes().tokens()).isEqualTo(4);
    assertThat(table.machine().description()).endsWith("device cpu in doubles; float64");
    assertThat(err.toString()).contains("an expert: loaded in ", "optimizer ", "table.json");
    List<String> simulated =
        List.of(
            "simulate",
            "--profile",
            table().toString(),
            "--experts",
            "8",
            "--layers",
            "8",
            "--batch-size",
            "4",
            "--sequence-length",
            "4",
            "--steps",
            "1");
    assertThat(execute(simulated)).as(err.toString()).isZero();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--batch 3 --micro-batches 2 | Invalid options: --batch 3 in --micro-batches 2 must divide, --samples 20 at least 1",
        "--samples 0 | Invalid options: --batch 128 in --micro-batches 4 must divide, --samples 0 at least 1",
        "--preset XL | Invalid preset: XL, one of S, M, L",
        "--preset S --model here | Invalid options: --preset, --experts, --top-k and --vocabulary are of a preset, --model has its own",
        "--device tpu | Invalid --device: tpu, cpu or cuda",
        "--device cpu --precision tf32 | Invalid --precision: tf32, on cpu it is float64 or float32",
        "--cpu-threads 0 | Invalid profile: 0 threads, 32 sequences of 128 tokens, top-1, 20 samples; at least 1 each, 2 tokens"
      })
  void wrongOptionsAreUsageErrorsBeforeAnythingIsMade(String options, String message) {
    List<String> arguments = profile(options);
    arguments.addAll(
        options.contains("preset") || options.contains("model")
            ? List.of()
            : List.of("--experts", "1", "--top-k", "1"));
    assertThat(execute(arguments)).isEqualTo(2);
    assertThat(err.toString()).contains(message);
    assertThat(table()).doesNotExist();
  }

  @Test
  void sequencesLongerThanTheModelsPositionsAreRefused() {
    assertThat(execute(profile("--sequence-length 1000000 --model " + mixtral()))).isEqualTo(1);
    assertThat(err.toString())
        .containsPattern("Invalid --sequence-length: 1000000, the model has \\d+ positions");
    assertThat(table()).doesNotExist();
  }

  @Test
  void aFolderWithoutModelIsOneLine() {
    assertThat(execute(profile("--model " + folder))).isEqualTo(1);
    assertThat(err.toString().strip().lines()).hasSize(1);
    assertThat(table()).doesNotExist();
  }

  @Test
  void tablesThatAreNoProfilesOrOfAnotherLayerAreNoCosts() throws IOException {
    String options = "--batch 2 --micro-batches 2 --sequence-length 4 --samples 1 --model ";
    assertThat(execute(profile(options + mixtral()))).as(err.toString()).isZero();
    List<String> arguments =
        List.of(
            "benchmark-finetune",
            "--layers",
            "1",
            "--experts",
            "1",
            "--top-k",
            "1",
            "--costs",
            table().toString());
    assertThat(execute(arguments)).isEqualTo(1);
    assertThat(err.toString())
        .contains(
            "is of another layer or batch: hidden size, inner size, experts, top-k, vocabulary,"
                + " tokens of a micro-batch, sequence length [192, ");
  }
}
