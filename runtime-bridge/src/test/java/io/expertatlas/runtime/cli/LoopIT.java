package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.runtime.Goldens;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The commands close the loop: run, trace, analyze, place, run again. */
class LoopIT {
  private static final Path ROOT = Goldens.data().toAbsolutePath().normalize().getParent();

  @TempDir private Path folder;

  @Test
  void aPlacementFromARecordedRunMovesLessAndAsMuchAsPredicted()
      throws IOException, InterruptedException {
    Path prompts = folder.resolve("prompts.jsonl");
    List<String> lines = new ArrayList<>();
    JsonNode golden =
        new ObjectMapper()
            .readTree(Goldens.data().resolve("golden/mixtral.json").toFile())
            .get("prompts");
    golden.forEach(prompt -> lines.add(prompt.get("text").toString()));
    Files.write(prompts, lines);
    String model = Goldens.data().resolve("mixtral").toString();
    JsonNode vanilla =
        atlas(
            "run",
            "--model",
            model,
            "--prompts",
            prompts.toString(),
            "--ranks",
            "4",
            "--mode",
            "coherent",
            "--record",
            path("trace"),
            "--json");
    atlas("analyze", "--trace", path("trace"), "--output", path("affinity"));
    atlas(
        "place",
        "--affinity",
        path("affinity"),
        "--nodes",
        "1",
        "--gpus-per-node",
        "4",
        "--output",
        path("plan"));
    JsonNode predicted =
        atlas(
            "evaluate",
            "--trace",
            path("trace"),
            "--placement",
            path("plan"),
            "--mode",
            "coherent",
            "--vector-bytes",
            "768",
            "--json");
    JsonNode placed =
        atlas(
            "run",
            "--model",
            model,
            "--prompts",
            prompts.toString(),
            "--placement",
            path("plan"),
            "--mode",
            "coherent",
            "--json");

    assertThat(placed.get("tokens")).isEqualTo(vanilla.get("tokens"));
    assertThat(placed.get("bytesMoved")).isEqualTo(predicted.get("bytesMoved"));
    assertThat(sum(placed.get("bytesMoved"))).isLessThan(sum(vanilla.get("bytesMoved")));
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }

  private static long sum(JsonNode numbers) {
    long sum = numbers.isNumber() ? numbers.asLong() : 0;
    for (JsonNode inner : numbers) {
      sum += sum(inner);
    }

    return sum;
  }

  /** Runs a command; its JSON, or a missing node if it printed nothing. */
  private JsonNode atlas(String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(ROOT.resolve("runtime-bridge/bin/atlas").toString());
    command.addAll(Arrays.asList(arguments));
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    Process process =
        new ProcessBuilder(command)
            .redirectOutput(out.toFile())
            .redirectError(err.toFile())
            .start();
    assertThat(process.waitFor(10, TimeUnit.MINUTES)).isTrue();
    assertThat(process.exitValue()).as(Files.readString(err)).isZero();
    return new ObjectMapper().readTree(Files.readString(out, StandardCharsets.UTF_8));
  }
}
