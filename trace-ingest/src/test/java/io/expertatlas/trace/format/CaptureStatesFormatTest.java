package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStates.Scores;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CaptureStatesFormatTest {
  @TempDir private Path temp;

  @BeforeEach
  void copyGolden() throws IOException {
    try (Stream<Path> files = Files.list(Golden.path("format/good/capture-states"))) {
      for (Path file : files.toList()) {
        Files.copy(file, temp.resolve(file.getFileName().toString()));
      }
    }
  }

  private RouterStatesReader open(TokenRange range) {
    TraceSource source = TraceSource.of(temp);
    return RouterStatesFormat.find(source).open(source, range);
  }

  private void change(String from, String to) throws IOException {
    Path file = temp.resolve("capture.json");
    Files.writeString(file, Files.readString(file).replace(from, to));
  }

  @Test
  void theGoldenStatesAreRead() {
    try (RouterStatesReader reader = open(TokenRange.ALL);
        TraceReader routes = TraceFormat.openTrace(TraceSource.of(temp))) {
      assertThat(reader.hiddenSize()).isEqualTo(4);
      assertThat(reader.scores()).isEqualTo(Scores.LOGITS);
      assertThat(reader.tokens()).isEqualTo(5);
      RouterStates states = reader.next().orElseThrow();
      assertThat(reader.next()).isEmpty();
      assertThat(Traces.describe(states.routes()))
          .isEqualTo(Traces.describe(Traces.readAll(routes)));
      check(states, 0);
    }
  }

  private static void check(RouterStates states, int first) {
    for (int token = 0; token < states.tokens(); token++) {
      int t = token + first;
      for (int layer = 0; layer < 2; layer++) {
        for (int i = 0; i < 4; i++) {
          assertThat(states.hidden(token, layer, i)).isEqualTo((16 * t + 4 * layer + i) / 8f - 3);
        }

        for (int e = 0; e < 11; e++) {
          assertThat(states.score(token, layer, e))
              .isEqualTo((5 * t + 3 * layer + 7 * e) % 11 / 4f);
        }
      }
    }
  }

  @Test
  void aRangeIsReadAlone() {
    try (RouterStatesReader reader = open(new TokenRange(2, 4))) {
      RouterStates states = reader.next().orElseThrow();
      assertThat(states.tokens()).isEqualTo(2);
      assertThat(reader.next()).isEmpty();
      check(states, 2);
    }

    try (RouterStatesReader reader = open(new TokenRange(9, 12))) {
      assertThat(reader.next()).isEmpty();
    }
  }

  @Test
  void eitherArrayMayBeAbsent() throws IOException {
    change("\"logits.npy\"", "\"other.npy\"");
    try (RouterStatesReader reader = open(TokenRange.ALL)) {
      assertThat(reader.scores()).isEqualTo(Scores.NONE);
      assertThat(reader.next().orElseThrow().hiddenSize()).isEqualTo(4);
    }
  }

  @Test
  void aCaptureWithoutStatesSaysSo() throws IOException {
    change("\"logits.npy\"", "\"other.npy\"");
    change("\"hidden.npy\"", "\"another.npy\"");
    assertThatThrownBy(() -> open(TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read router states from capture %s: it names neither hidden.npy nor logits.npy"
                .formatted(temp));
    Files.delete(temp.resolve("hidden.npy"));
    Files.delete(temp.resolve("logits.npy"));
    assertThatThrownBy(() -> open(TokenRange.ALL))
        .hasMessageStartingWith(
            "Cannot read router states from %s: format capture holds routes, but no router states"
                .formatted(temp));
  }

  @Test
  void aStateThatIsNoNumberIsNamedWithItsPlace() throws IOException {
    Path hidden = temp.resolve("hidden.npy");
    byte[] bytes = Files.readAllBytes(hidden);
    int at = 128 + 2 * ((3 * 2 + 1) * 4 + 2);
    bytes[at] = 0;
    bytes[at + 1] = 0x7c;
    Files.write(hidden, bytes);

    try (RouterStatesReader reader = open(TokenRange.ALL)) {
      assertThatThrownBy(reader::next)
          .isInstanceOf(TraceFormatException.class)
          .hasMessage(
              "Invalid hidden state Infinity in %s at token 3, layer 1, value 2: it must be finite"
                  .formatted(hidden));
    }
  }

  @Test
  void arraysOfAnotherShapeAreRefused() throws IOException {
    Files.copy(
        temp.resolve("experts.npy"),
        temp.resolve("hidden.npy"),
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(() -> open(TokenRange.ALL))
        .hasMessage(
            "Cannot read hidden states from %s: its dtype is '|u1' (unsigned integers), expected floating-point numbers"
                .formatted(temp.resolve("hidden.npy")));
    copyAgain("hidden.npy");
    change("        11\n", "        12\n");
    assertThatThrownBy(() -> open(TokenRange.ALL))
        .hasMessageContaining("Invalid shape of %s".formatted(temp.resolve("logits.npy")));
  }

  private void copyAgain(String name) throws IOException {
    Files.copy(
        Golden.path("format/good/capture-states/" + name),
        temp.resolve(name),
        java.nio.file.StandardCopyOption.REPLACE_EXISTING);
  }
}
