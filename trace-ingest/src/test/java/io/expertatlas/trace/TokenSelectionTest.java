package io.expertatlas.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TokenSelectionTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "all; 0 1 2 3 4 5 6 7 8 9",
        "%2=0; 0 2 4 6 8",
        "%3=1; 1 4 7",
        "7; 7",
        ":3; 0 1 2",
        "8:; 8 9",
        "2:4, 9, %5=0; 0 2 3 5 9",
        "3:6, 4:8, 1; 1 3 4 5 6 7",
        "%1=0; 0 1 2 3 4 5 6 7 8 9",
        "^3; 0 1 2 4 5 6 7 8 9",
        "^:4, ^%2=1; 4 6 8",
        "2:8, ^4:6; 2 3 6 7",
        "^ 7, %2=1, ^9, 0; 0 1 3 5"
      })
  void sequencesAreChosenByTerms(String expression, String kept) {
    Sequences sequences = Sequences.parse(expression);

    assertThat(IntStream.range(0, 10).filter(sequences).boxed().toList())
        .hasToString("[" + kept.replace(" ", ", ") + "]");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "x",
        "3:3",
        "4:2",
        "%0=0",
        "%2=2",
        "1,,2",
        "-1",
        "99999999999",
        "^",
        "^^2",
        "^3:3"
      })
  void termsThatMatchNothingAreRefused(String expression) {
    assertThatThrownBy(() -> Sequences.parse(expression))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("Invalid sequence term")
        .hasMessageContaining("%M=R");
  }

  @Test
  void theExpressionIsKeptAsText() {
    assertThat(Sequences.parse("2:8, ^ 4:6")).hasToString("2:8,^4:6");
    assertThat(Sequences.parse("2:8,^4:6")).isEqualTo(Sequences.parse("2:8, ^4:6"));
    assertThat(Sequences.parse("^4")).isNotEqualTo(Sequences.parse("4"));
  }

  @Test
  void tokenRangesMayBeOpen() {
    assertThat(TokenRange.parse("5:9")).isEqualTo(new TokenRange(5, 9)).hasToString("5:9");
    assertThat(TokenRange.parse(":")).isEqualTo(TokenRange.ALL);
    assertThat(TokenRange.parse("7:")).hasToString("7:");
    assertThatThrownBy(() -> TokenRange.parse("9:5"))
        .hasMessage("Invalid token range: 9:5, FROM at least 0 and below TO");
    assertThatThrownBy(() -> TokenRange.parse("5")).hasMessageContaining("expected FROM:TO");
  }
}
