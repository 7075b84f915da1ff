package io.expertatlas.trace.json;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.json.TraceManifest.InputFile;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifest.Source;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TraceManifestParserTest {
  private static final TraceManifest MANIFEST =
      new TraceManifest(
          new ModelShape(12, 8, 2),
          300,
          7,
          true,
          "test",
          List.of(
              new Source(
                  "a.npy", "npy", 200, 0, List.of(new InputFile("a.npy", 4928, "ab".repeat(32)))),
              new Source("b", "capture", 100, 5, List.of())),
          List.of(
              new Part("part-00000.parquet", 200, 1234, "cd".repeat(32)),
              new Part("part-00001.parquet", 100, 987, "ef".repeat(32))));

  private static String golden() throws IOException {
    return Files.readString(Golden.path("json/manifest.json"));
  }

  @Test
  void theGoldenFileIsReadAndWritten() throws IOException {
    assertThat(TraceManifestParser.fromJson(golden(), "golden")).isEqualTo(MANIFEST);
    assertThat(TraceManifestParser.toJson(MANIFEST)).isEqualTo(golden());
  }

  @Test
  void nothingIsNoManifest() {
    assertThatThrownBy(() -> TraceManifestParser.fromJson(null, "here"))
        .isInstanceOf(NullPointerException.class)
        .hasMessage("json is null");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "3", "[]", "{", "{} {}", "null"})
  void otherJsonIsNoManifest(String json) {
    assertThatThrownBy(() -> TraceManifestParser.fromJson(json, "here"))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("here");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "format-version",
        "layers",
        "experts",
        "top-k",
        "tokens",
        "sequences",
        "weights",
        "created-by",
        "sources",
        "parts",
        "name",
        "format",
        "sequence-offset",
        "files",
        "file",
        "rows",
        "bytes",
        "sha256"
      })
  void everyKeyIsNeededAndNoOtherKnown(String key) throws IOException {
    String json = golden().replaceFirst("\"" + key + "\" :", "\"x-" + key + "\" :");

    assertThatThrownBy(() -> TraceManifestParser.fromJson(json, "here"))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("in here: key '" + key + "' is missing");

    String more = golden().replaceFirst("\"" + key + "\" :", "\"more\" : 1, \"" + key + "\" :");
    assertThatThrownBy(() -> TraceManifestParser.fromJson(more, "here"))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("unknown keys [more]");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "\"format-version\" : 1; \"format-version\" : 3; Invalid format-version in here: 3, known is 1",
        "\"layers\" : 12; \"layers\" : 0; Invalid number of MoE layers: 0",
        "\"layers\" : 12; \"layers\" : 99999999999; in here",
        "\"tokens\" : 300; \"tokens\" : 301; they have 300 rows, the dataset 301 tokens",
        "\"tokens\" : 200; \"tokens\" : 201; they have 301 tokens, the dataset 300",
        "\"tokens\" : 300; \"tokens\" : true; key 'tokens' is true, expected a whole number",
        "part-00000.parquet; ../../secret; Invalid part: '../../secret'",
        "\"rows\" : 200; \"rows\" : -200; Invalid part: 'part-00000.parquet' with -200 rows",
        "\"sequences\" : 7; \"sequences\" : 301; Invalid counts: 300 tokens in 301 sequences",
      })
  void numbersMustFit(String from, String to, String message) throws IOException {
    assertThatThrownBy(() -> TraceManifestParser.fromJson(golden().replace(from, to), "here"))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining(message)
        .hasMessageContaining("here");
  }

  @Test
  void aFolderWithoutManifestIsNoDataset(@TempDir Path folder) {
    assertThatThrownBy(() -> TraceManifestParser.read(folder))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage("Cannot read dataset %s: it has no manifest.json".formatted(folder));
  }
}
