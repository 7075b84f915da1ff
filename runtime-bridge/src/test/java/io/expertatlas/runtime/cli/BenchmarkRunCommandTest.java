package io.expertatlas.runtime.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.expertatlas.runtime.Goldens;
import io.expertatlas.trace.terminal.Terminal;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class BenchmarkRunCommandTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int run(String arguments) {
    CommandLine line = new CommandLine(new Main());
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    return Terminal.execute(
        line,
        Stream.concat(Stream.of("benchmark-run"), Arrays.stream(arguments.split(" ")))
            .toArray(String[]::new));
  }

  private JsonNode json(String arguments) throws IOException {
    assertThat(run(arguments + " --json")).as(err.toString()).isZero();
    return new ObjectMapper().readTree(out.toString());
  }

  @Test
  void oneSequenceOnOneRankReadsItsExpertsAndItsContextOnce() throws IOException {
    JsonNode result =
        json(
            "--random-weights mixtral-tiny --batch-sizes 1,3 --context 6 --steps 5 --prefill 2x7"
                + " --rounds 3 --threads 1 --bandwidth 1e10");

    assertThat(result.get("measurements")).hasSize(1);
    JsonNode one = result.get("measurements").get(0).get("decode").get(0);
    // 3 layers of hidden size 48, 4 and 2 heads of 12; 5 experts of 40 inner, 2 a token; 101 ids.
    double attention = 3 * 48 * (2 * 48 + 2 * 24) * 4;
    double exact = 3 * 48 * (5 + 2) * 4;
    double head = 101 * 48 * 4;
    double experts = 3 * 2 * 3 * 48 * 40 * 4;
    double context = (7 + 8 + 9 + 10 + 11) / 5.0 * 2 * 24 * 3 * 4;
    double bytes = attention + exact + head + experts + context;
    assertThat(one.get("batch-size").asInt()).isEqualTo(1);
    assertThat(one.get("step-bytes").asDouble()).isCloseTo(bytes, within(0.5));
    assertThat(one.get("roofline-tokens-per-second").asDouble())
        .isCloseTo(1e10 / bytes, within(1e-6 * 1e10 / bytes));
    double rate = one.get("tokens-per-second").asDouble();
    assertThat(rate).isPositive();
    assertThat(one.get("step-milliseconds").asDouble() * rate).isCloseTo(1000, within(1e-6));
    assertThat(one.get("bytes-moved-per-step").asDouble()).isZero();
    JsonNode prefill = result.get("measurements").get(0).get("prefill");
    assertThat(prefill.get("tokens").asInt()).isEqualTo(14);
    assertThat(prefill.get("products-ratio").asDouble()).isPositive();
    assertThat(result.get("bandwidth-measured").asBoolean()).isFalse();
    assertThat(err.toString())
        .contains("memory: 10.0 GB/s (given)")
        .contains("vanilla, 1 rank, mode home")
        .contains("decode, batch 3:");
  }

  @Test
  void severalRanksAreMeasuredInBothModesWithWhatTheyMove() throws IOException {
    JsonNode result =
        json(
            "--model "
                + Goldens.data().resolve("mixtral")
                + " --ranks 2 --batch-sizes 4 --context 3 --steps 2 --prefill 2x5 --rounds 1"
                + " --threads 1");

    assertThat(result.get("bandwidth-measured").asBoolean()).isTrue();
    assertThat(result.get("bandwidth").asDouble()).isPositive();
    assertThat(result.get("measurements")).hasSize(2);
    JsonNode home = result.get("measurements").get(0);
    JsonNode coherent = result.get("measurements").get(1);
    assertThat(home.get("mode").asText()).isEqualTo("home");
    assertThat(coherent.get("mode").asText()).isEqualTo("coherent");
    for (JsonNode one : result.get("measurements")) {
      assertThat(one.get("ranks").asInt()).isEqualTo(2);
      double moved = one.get("decode").get(0).get("bytes-moved-per-step").asDouble();
      assertThat(moved).isPositive();
      assertThat(moved * 2 % (192 * 4)).isZero(); // two steps move whole vectors
    }

    assertThat(home.get("prefill").get("context-bytes-moved").asDouble()).isZero();
    assertThat(coherent.get("prefill").get("context-bytes-moved").asDouble()).isPositive();
  }

  @Test
  void waysToForetellAreMeasuredInTurns() throws IOException {
    JsonNode result =
        json(
            "--model "
                + Goldens.data().resolve("mixtral")
                + " --offload popularity --expert-slots 24 --predictor none,next-gate,oracle"
                + " --batch-sizes 1,2 --context 5 --steps 6 --prefill 2x7 --rounds 2 --threads 1"
                + " --bandwidth 1e10");

    assertThat(result.get("measurements")).hasSize(3);
    long[][] loads = new long[3][];
    for (int p = 0; p < 3; p++) {
      JsonNode one = result.get("measurements").get(p);
      assertThat(one.get("predictor").asText())
          .isEqualTo(List.of("none", "next-gate", "oracle").get(p));
      assertThat(one.get("prefill").get("tokens-per-second").asDouble()).isPositive();
      JsonNode alone = one.get("decode").get(0);
      long hits = alone.get("expert-hits").asLong();
      long foretold = alone.get("expert-foretold").asLong();
      loads[p] = new long[] {alone.get("expert-loads").asLong(), foretold};
      assertThat(hits + foretold + loads[p][0]).isEqualTo(6 * 12 * 2); // steps, layers, top-k
      assertThat(alone.get("expert-foretold-arrived").asLong()).isEqualTo(foretold);
      assertThat(alone.get("expert-loads-wasted").asLong()).isNotNegative();
      assertThat(alone.get("expert-bytes-loaded-per-step").asDouble() * 6)
          .isEqualTo(alone.get("expert-bytes-loaded").asDouble());
      assertThat(one.get("decode").get(1).get("batch-size").asInt()).isEqualTo(2);
    }

    assertThat(loads[0][0]).isPositive();
    assertThat(loads[0][1]).isZero();
    assertThat(loads[1][0]).isBetween(1L, loads[0][0] / 2);
    assertThat(loads[2][0]).isZero();
    assertThat(err.toString()).contains("vanilla, 1 rank, mode home, foretold by oracle");
  }

  @Test
  void expertsOnTheCpuAreMeasuredInTurnsWithEachPredictor() throws IOException {
    JsonNode result =
        json(
            "--model "
                + Goldens.data().resolve("mixtral")
                + " --offload popularity --expert-slots 24 --predictor none,next-gate"
                + " --cpu-experts none,min-max --batch-sizes 1 --context 5 --steps 6"
                + " --prefill 2x7 --rounds 1 --threads 1 --bandwidth 1e10");

    assertThat(result.get("measurements")).hasSize(4);
    for (int w = 0; w < 4; w++) {
      JsonNode one = result.get("measurements").get(w);
      assertThat(one.get("predictor").asText()).isEqualTo(w % 2 == 0 ? "none" : "next-gate");
      assertThat(one.get("cpu-experts").asText()).isEqualTo(w < 2 ? "none" : "min-max");
      assertThat(one.has("link-milliseconds")).isEqualTo(w >= 2);
      JsonNode alone = one.get("decode").get(0);
      long computed = alone.get("expert-cpu").asLong();
      assertThat(computed).isBetween(0L, w < 2 ? 0L : 6L * 12 * 2);
      assertThat(
              alone.get("expert-hits").asLong()
                  + alone.get("expert-foretold").asLong()
                  + alone.get("expert-loads").asLong()
                  + computed)
          .isEqualTo(6 * 12 * 2); // steps, layers, top-k
    }

    assertThat(err.toString()).contains("foretold by next-gate, min-max on the CPU; an expert");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--random-weights mixtral-tiny --rounds 0|2|each at least 1",
        "--random-weights mixtral-tiny --batch-sizes 0|2|Invalid benchmark: batches [0]",
        "--random-weights mixtral-tiny --bandwidth -1|2|Invalid --bandwidth: -1.0, 0 or more",
        "--random-weights mixtral-tiny --prefill 9999x9999|2|Invalid benchmark: prefill 9999 x 9999",
        "--random-weights mixtral-tiny --predictor oracle|2|Invalid --predictor: oracle, experts stay",
        "--random-weights mixtral-tiny --offload lru --expert-slots 3 --predictor none,oracle"
            + " --cpu-experts none,min-max|2|Invalid --cpu-experts: min-max beside --predictor oracle",
        "--random-weights mixtral-tiny --offload lru --expert-slots 3 --ranks 2 --context 3 --steps 2"
            + " --prefill 2x5 --cpu-experts min-max|1|Cannot compute experts on the CPU beside 2",
        "--random-weights mixtral-tiny --ranks -1|2|Invalid --ranks: -1, at least 0",
        "--random-weights mixtral-tiny|1|1025 tokens of a sequence, the model has 256 positions"
      })
  void whatCannotBeMeasuredIsRefused(String arguments, int code, String message) {
    assertThat(run(arguments)).isEqualTo(code);
    assertThat(err.toString()).contains(message);
  }

  @Test
  void otherArchitecturesAreRefused() {
    assertThat(run("--model " + Goldens.data().resolve("nllb-moe"))).isEqualTo(1);
    assertThat(err.toString()).contains("NllbMoeForConditionalGeneration, only Mixtral models");
  }
}
