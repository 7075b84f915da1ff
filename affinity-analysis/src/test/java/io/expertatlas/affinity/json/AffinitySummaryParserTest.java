package io.expertatlas.affinity.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class AffinitySummaryParserTest {
  private static final TokenSelection HALF =
      new TokenSelection(TokenRange.parse("5:"), Sequences.parse("%2=0,7"));

  private static AffinitySummary summary(RoutingTrace trace) {
    return AffinitySummary.of(AffinityCases.count(trace), "a \"trace\".npy", HALF, 42);
  }

  private static String json() {
    return AffinitySummaryParser.toJson(
        summary(RoutingTrace.ofExperts(new ModelShape(2, 2, 1), new short[] {0, 1, 1, 0, 1, 1})));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void whatIsWrittenIsRead(long seed) {
    AffinitySummary summary = summary(AffinityCases.trace(seed));

    assertThat(AffinitySummaryParser.fromJson(AffinitySummaryParser.toJson(summary)))
        .isEqualTo(summary);
  }

  @Test
  void keysAreKebabCase() {
    assertThat(json())
        .contains("\"format-version\" : 1")
        .contains("\"top-k\" : 1")
        .contains("\"max-over-mean\" :")
        .contains("\"mutual-information-bits-shuffled\" :")
        .contains("\"seed\" : 42")
        .doesNotContain("NaN");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "\"format-version\" : 1; \"format-version\" : 2; format-version 2, expected 1",
        "\"format-version\" : 1; \"format\" : 1; field format-version is missing",
        "\"seed\" : 42; \"seed\" : \"x\"; field seed is \"x\", expected an integer",
        "\"gini\" :; \"ginny\" :; field gini is missing",
        "\"trace\" :; \"trace\" : 3, \"more\" :; field trace is 3, expected text",
        "\"top-k\" : 1; \"top-k\" : 3; Invalid top-k: 3, 1 to the number of experts 2",
        "\"layers\" : 2; \"layers\" : 3; Invalid summary: metrics of 2 layers and 1 gaps",
        "\"layer\" : 1; \"layer\" : 0; layer 0 stands in place of layer 1",
        "\"5:\"; \"5\"; Invalid token range: 5, expected FROM:TO"
      })
  void brokenSummariesAreRefused(String from, String to, String message) {
    assertThat(json()).contains(from);
    assertThatThrownBy(() -> AffinitySummaryParser.fromJson(json().replace(from, to)))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessageContaining("Cannot parse summary")
        .hasMessageContaining(message);
  }

  @Test
  void textThatIsNotJsonIsRefused() {
    assertThatThrownBy(() -> AffinitySummaryParser.fromJson("{\n \"a\": }"))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessage("Cannot parse summary: not JSON at line 2, column 7");
    assertThatThrownBy(() -> AffinitySummaryParser.fromJson(""))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessageContaining("field format-version is missing");
  }
}
