package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CaptureFormatTest {
  @TempDir private Path temp;

  @BeforeEach
  void copyGolden() throws IOException {
    try (Stream<Path> files = Files.list(Golden.path("format/good/capture"))) {
      for (Path file : files.toList()) {
        Files.copy(file, temp.resolve(file.getFileName().toString()));
      }
    }
  }

  private RoutingTrace read() {
    return read(TokenRange.ALL);
  }

  private RoutingTrace read(TokenRange range) {
    TraceSource source = TraceSource.of(temp);
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  private void change(String from, String to) throws IOException {
    Path file = temp.resolve("capture.json");
    String text = Files.readString(file);
    assertThat(text).contains(from);
    Files.writeString(file, text.replace(from, to));
  }

  @Test
  void theGoldenCaptureIsRead() {
    assertThat(Traces.describe(read())).isEqualTo(Traces.describe(Golden.capture()));
  }

  @Test
  void splitsJoinToTheWhole() {
    RoutingTrace whole = Golden.capture();
    List<RoutingTrace> parts =
        List.of(
            read(new TokenRange(0, 2)), read(new TokenRange(2, 3)), read(new TokenRange(3, 99)));

    assertThat(Traces.describe(Traces.concat(whole.shape(), true, parts)))
        .isEqualTo(Traces.describe(whole));
  }

  @Test
  void weightsAreOptional() throws IOException {
    change("\"weights.npy\"", "\"other.npy\"");

    assertThat(read().hasWeights()).isFalse();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "\"format-version\": 1; \"format-version\": 2; Invalid format-version in; 2, known is 1",
        "\"layers\": 3; \"layers\": 4; Invalid shape of; experts.npy: [7, 3, 2] in the file",
        "\"layers\": 3; \"layers\": -4; Invalid layers in; -4, expected a whole number",
        "\"layers\": 3; \"layers\": 3.5; Invalid layers in; 3.5",
        "\"layers\": 3,; ''; Invalid layers in; missing",
        "\"experts\": 11; \"experts\": 0; Invalid shape in; experts 0",
        "\"experts\": 11; \"experts\": 10; Invalid expert id 10 in; the model has experts 0 to 9",
        "\"top-k\": 2; \"top-k\": 12; Invalid shape in; top-k 12",
        "\"tokens\": 7; \"tokens\": 8; Invalid shape of; expected [8, 3, 2]",
        "\"uint8\"; \"uint16\"; Invalid dtype of; uint8 in the file, uint16 in",
        "\"experts.npy\"; \"routes.npy\"; Missing array experts.npy; capture.json",
        "\"phase.npy\"; \"other.npy\"; Missing array phase.npy; capture.json",
        "\"files\": {; \"files\": [{; Invalid JSON in; capture.json",
        "\"layers\": 3; \"layers\": 3, \"layers\": 3; Invalid JSON in; layers",
      })
  void brokenDescriptionsAreRefused(String from, String to, String message, String more)
      throws IOException {
    change(from, to);

    assertThatThrownBy(this::read)
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining(message)
        .hasMessageContaining(more);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "7", "[]", "null", "{}", "{} {}"})
  void whatIsNoDescriptionIsRefused(String json) throws IOException {
    Files.writeString(temp.resolve("capture.json"), json);

    assertThatThrownBy(this::read)
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("capture.json");
  }

  @Test
  void notANumberIsNamedWithItsPlace() throws IOException {
    Path weights = temp.resolve("weights.npy");
    byte[] bytes = Files.readAllBytes(weights);
    int at = 128 + 2 * (4 * 6 + 3); // token 4, layer 1, rank 1
    bytes[at] = 0;
    bytes[at + 1] = 0x7e;
    Files.write(weights, bytes);

    assertThatThrownBy(this::read)
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Invalid router weight NaN in %s at token 4, layer 1, rank 1: it must be finite"
                .formatted(weights));
  }

  @Test
  void aPhaseIsPrefillOrDecode() throws IOException {
    Path phase = temp.resolve("phase.npy");
    byte[] bytes = Files.readAllBytes(phase);
    bytes[128 + 5] = 2;
    Files.write(phase, bytes);

    assertThatThrownBy(this::read)
        .hasMessage("Invalid value 2 among the phases in %s at token 5: 0 to 1".formatted(phase));
  }

  @Test
  void aMissingArrayIsNamed() throws IOException {
    Files.delete(temp.resolve("sequence.npy"));

    assertThatThrownBy(this::read)
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot read sequence ids from %s: no such file"
                .formatted(temp.resolve("sequence.npy")));
  }

  @Test
  void factsThatTheCaptureGivesAreNotGivenAgain() {
    assertThatThrownBy(() -> TraceFormat.openTrace(TraceSource.of(temp).withExperts(12)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("12 by --experts, 11 by");
    TraceSource columns =
        new TraceSource(
            temp,
            "capture",
            OptionalInt.empty(),
            Optional.of(temp.resolve("sequence.npy")),
            Optional.empty());
    assertThatThrownBy(() -> TraceFormat.openTrace(columns)).hasMessageContaining("it has its own");
  }
}
