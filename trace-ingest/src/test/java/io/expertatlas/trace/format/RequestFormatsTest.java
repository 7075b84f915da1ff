package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Formats {@code sglang-requests} and {@code vllm}. */
class RequestFormatsTest {
  private static final List<String> SGLANG = List.of("layers=5", "top-k=2");

  private static Path path(String file) {
    return Golden.path("format/requests/" + file);
  }

  private static TraceSource source(String file, String... options) {
    List<String> all = new ArrayList<>(List.of(options));
    if (file.contains("sglang")) {
      all.addAll(SGLANG);
    }

    return TraceSource.of(path(file)).withExperts(9).withOptions(FormatOptions.parse(all));
  }

  private static RoutingTrace read(TraceSource source) {
    return read(source, TokenRange.ALL);
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      assertThat(reader.shape()).isEqualTo(new ModelShape(3, 9, 2));
      assertThat(reader.hasWeights()).isFalse();
      return Traces.readAll(reader);
    }
  }

  /** Tokens of a sequence: by the rule of make_requests.py. */
  private record Part(int sequence, int ruleSequence, int from, int to, int prompt) {}

  private static void check(RoutingTrace trace, Part... parts) {
    int token = 0;
    for (Part part : parts) {
      for (int position = part.from(); position < part.to(); position++, token++) {
        assertThat(trace.sequence(token)).isEqualTo(part.sequence());
        assertThat(trace.position(token)).isEqualTo(position);
        assertThat(trace.phase(token))
            .isEqualTo(position < part.prompt() ? Phase.PREFILL : Phase.DECODE);
        for (int layer = 0; layer < 3; layer++) {
          for (int rank = 0; rank < 2; rank++) {
            assertThat(trace.expert(token, layer, rank))
                .isEqualTo((4 * part.ruleSequence() + 3 * position + 5 * layer + 2 * rank) % 9);
          }
        }
      }
    }

    assertThat(trace.tokens()).isEqualTo(token);
  }

  @ParameterizedTest
  @CsvSource({"sglang-chat.jsonl, sglang-requests", "sglang-generate.json, sglang-requests"})
  void answersOfSglangAreRead(String file, String format) {
    TraceSource source = source(file);

    assertThat(TraceFormat.find(source).name()).isEqualTo(format);
    check(read(source), new Part(0, 0, 0, 6, 4), new Part(1, 1, 0, 6, 2));
  }

  @Test
  void routesOfSglangMayStartLater() {
    check(read(source("sglang-start.json", "start=2")), new Part(0, 0, 2, 6, 4));
    assertThatThrownBy(() -> read(source("sglang-start.json")))
        .hasMessageContaining("4 tokens, but the usage beside it says 6")
        .hasMessageContaining("Maybe layers, top-k or start is wrong");
  }

  @Test
  void threeLayoutsOfVllmAreToldApart() {
    check(read(source("vllm-request.npy").withFormat("vllm")), new Part(0, 0, 0, 7, 99));
    check(read(source("vllm-all-layers.jsonl")), new Part(0, 0, 0, 7, 4), new Part(1, 1, 0, 7, 2));
    check(read(source("vllm-encoded.jsonl")), new Part(0, 0, 0, 7, 4), new Part(1, 1, 0, 7, 2));
    check(
        read(source("vllm-moe-layers.jsonl", "layout=moe-layers")),
        new Part(0, 0, 0, 7, 4),
        new Part(1, 1, 0, 7, 2),
        new Part(2, 2, 2, 4, 2));
  }

  @Test
  void aLayoutThatIsDeclaredIsChecked() {
    assertThatThrownBy(() -> read(source("vllm-encoded.jsonl", "layout=moe-layers")))
        .hasMessage(
            "Invalid layout of %s, line 1, choices[0].routed_experts: it looks like encoded, by --format-option it is moe-layers"
                .formatted(path("vllm-encoded.jsonl")));
    assertThatThrownBy(() -> read(source("vllm-request.npy", "layout=encoded").withFormat("vllm")))
        .hasMessageContaining("an .npy file is all-layers");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "[{\"a\":1}]; 1 tokens with 1 layers and top-0, expected at least 1 of both",
        "[1]; 1 tokens with 0 layers and top-0",
        "{\"data\":\"\",\"shape\":[2147483647,0,0]}; 2147483647 tokens with 0 layers and top-0",
        "{\"data\":\"\",\"shape\":[2147483647,2147483647,2147483647]}; and at most 268435455 ids",
      })
  void axesThatWouldTakeAllMemoryAreRefused(String routes, String message, @TempDir Path temp)
      throws IOException {
    Path file =
        Files.writeString(temp.resolve("a.json"), "{\"routed_experts\":%s}".formatted(routes));

    assertThatThrownBy(() -> read(TraceSource.of(file).withExperts(9)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith("Invalid routes in %s, line 1, routed_experts: ".formatted(file))
        .hasMessageContaining(message);
  }

  @Test
  void textInAnotherEncodingIsRefused(@TempDir Path temp) throws IOException {
    Path file = temp.resolve("a.json");
    Files.write(
        file, Files.readString(path("vllm-cached.json")).getBytes(StandardCharsets.UTF_16LE));

    assertThatThrownBy(() -> read(TraceSource.of(file).withExperts(9)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage("Invalid JSON in %s: it is not UTF-8".formatted(file));
  }

  @Test
  void tokensOfACachedPrefixAreLeftOutOnlyWhenAsked() {
    check(read(source("vllm-cached.json", "missing=drop")), new Part(0, 0, 2, 7, 4));
    assertThatThrownBy(() -> read(source("vllm-cached.json")))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("token 0: all ids are -1, as of a cached prefix");
    check(read(source("broken-vllm-preempted.jsonl", "missing=drop")), new Part(0, 0, 0, 4, 4));
  }

  @Test
  void denseLayersMayBeDeclared() {
    check(
        read(source("vllm-encoded.jsonl", "dense-layers=none")),
        new Part(0, 0, 0, 7, 4),
        new Part(1, 1, 0, 7, 2));
    assertThatThrownBy(() -> read(source("vllm-all-layers.jsonl", "dense-layers=0:2")))
        .hasMessageContaining("layer 1 has expert ids other than 0");
    assertThatThrownBy(() -> read(source("vllm-all-layers.jsonl", "dense-layers=7")))
        .hasMessageContaining("7, the routes have layers 0 to 4");
  }

  @Test
  void everyRangeIsAPartOfTheWhole() {
    RoutingTrace whole = read(source("vllm-moe-layers.jsonl"));
    for (int from = 0; from < whole.tokens(); from++) {
      for (int to = from + 1; to <= whole.tokens() + 1; to++) {
        RoutingTrace part = read(source("vllm-moe-layers.jsonl"), new TokenRange(from, to));
        assertThat(Traces.describe(part))
            .isEqualTo(Traces.describe(whole.slice(from, Math.min(to, whole.tokens()))));
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "broken-sglang-base64.json; sglang-requests; Invalid base64 in ; line 1, choices[0].sgl_ext.routed_experts",
        "broken-sglang-absent.json; sglang-requests; Invalid routes in ; null, expected base64 text",
        "broken-sglang-usage.jsonl; sglang-requests; Invalid routes in ; line 2, choices[0].sgl_ext.routed_experts: 6 tokens, but the usage beside it says 7",
        "broken-sglang-id.jsonl; sglang-requests; Invalid expert id 9 in ; line 2, choices[0].sgl_ext.routed_experts, token 4, layer 1, rank 1: the model has experts 0 to 8",
        "broken-vllm-ragged.jsonl; vllm; Invalid routes in ; line 2, choices[0].routed_experts[2][1]: a list of 1, expected a list of 2",
        "broken-vllm-mixed.jsonl; vllm; Invalid layout of ; line 2, choices[0].routed_experts: it looks like encoded, by what came before it it is moe-layers",
        "broken-vllm-short.jsonl; vllm; Invalid data in ; 112 characters, the shape needs 96 bytes",
        "broken-vllm-twice.jsonl; vllm; Invalid top-2 in ; line 2, choices[0].routed_experts, token 5, layer 2, rank 1: expert 4 stands at rank 0 too",
        "broken-vllm-preempted.jsonl; vllm; Missing routes in ; vLLM returns none for pre-empted requests",
        "broken-vllm-partly.jsonl; vllm; Invalid expert id -1 in ; token 2, layer 1, rank 0",
        "broken-json.jsonl; vllm; Invalid JSON in ; line 3",
        "broken-empty.json; vllm; Cannot read routes from ; it holds no request",
        "broken-number.json; vllm; Invalid JSON in ; line 1: 17 where an object was expected",
      })
  void brokenAnswersAreRefused(String file, String format, String start, String rest) {
    assertThatThrownBy(() -> read(source(file).withFormat(format)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(start + " " + path(file))
        .hasMessageContaining(rest);
  }

  @Test
  void factsThatAreMissingAreAskedFor() {
    TraceSource sglang = source("sglang-chat.jsonl").withOptions(FormatOptions.NONE);
    assertThatThrownBy(() -> read(sglang)).hasMessageContaining("--format-option layers=...");
    assertThatThrownBy(() -> read(TraceSource.of(path("vllm-encoded.jsonl"))))
        .hasMessageContaining("Maybe add --experts E");
    TraceSource wrong =
        source("sglang-chat.jsonl")
            .withOptions(FormatOptions.parse(List.of("layers=7", "top-k=2")));
    assertThatThrownBy(() -> read(wrong))
        .hasMessageContaining("240 bytes are no multiple of the 56 of a token");
  }

  @ParameterizedTest
  @CsvSource({
    "'', ''",
    "VPX, ab",
    "VPaz, abc",
    "VPa!s, abcd",
    "~~~~~, error",
    "0, error",
    "VP.a, error"
  })
  void base85IsThatOfPython(String text, String expected) {
    if (expected.equals("error")) {
      assertThatThrownBy(() -> Base85.decode(text)).isInstanceOf(IllegalArgumentException.class);
    } else {
      assertThat(new String(Base85.decode(text), StandardCharsets.ISO_8859_1)).isEqualTo(expected);
    }
  }
}
