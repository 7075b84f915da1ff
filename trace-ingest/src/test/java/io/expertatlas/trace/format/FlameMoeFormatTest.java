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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FlameMoeFormatTest {
  private static TraceSource source(String name, String... options) {
    return TraceSource.of(Golden.path("format/flame-moe/" + name))
        .withExperts(13)
        .withOptions(FormatOptions.parse(List.of(options)));
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      assertThat(reader.hasWeights()).isTrue();
      return Traces.readAll(reader);
    }
  }

  private static RoutingTrace read(TraceSource source) {
    return read(source, TokenRange.ALL);
  }

  /** Compares with the rule of make_flame_moe.py. */
  private static void check(RoutingTrace trace, int firstToken, int... layers) {
    assertThat(trace.shape()).isEqualTo(new ModelShape(layers.length, 13, 3));
    for (int i = 0; i < trace.tokens(); i++) {
      int token = firstToken + i;
      assertThat(trace.phase(i)).isEqualTo(Phase.PREFILL);
      for (int layer = 0; layer < layers.length; layer++) {
        for (int rank = 0; rank < 3; rank++) {
          assertThat(trace.expert(i, layer, rank))
              .isEqualTo((5 * token + 3 * layers[layer] + 4 * rank) % 13);
          assertThat(trace.weight(i, layer, rank)).isEqualTo((3 - rank) / 8f + token / 256f);
        }
      }
    }
  }

  @Test
  void layersOfEveryEncodingAreReadSideBySide() {
    RoutingTrace trace = read(source("iter_0540"));

    assertThat(trace.tokens()).isEqualTo(40);
    check(trace, 0, 2, 3, 4);
    assertThat(trace.sequence(39)).isZero();
    assertThat(trace.position(39)).isEqualTo(39);
  }

  @Test
  void everyRangeIsAPartOfTheWhole() {
    RoutingTrace whole = read(source("iter_0540"));
    for (int from = 0; from < 41; from += 3) {
      for (int to : List.of(from + 1, from + 11, 40, 99)) {
        RoutingTrace part = read(source("iter_0540"), new TokenRange(from, to));
        assertThat(Traces.describe(part))
            .isEqualTo(Traces.describe(whole.slice(Math.min(from, 40), Math.min(to, 40))));
      }
    }
  }

  @Test
  void oneLayerOrSomeAreReadWhenAsked() {
    check(read(source("iter_0540/layer_03.parquet")), 0, 3);
    check(read(source("iter_0540", "layers=2,4")), 0, 2, 4);
    check(read(source("gap", "layers=2,4")), 0, 2, 4);
    assertThatThrownBy(() -> read(source("gap")))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Missing layers in %s: it has [2, 4], of 2 to 4. Maybe say with --format-option layers=... that these are to be read as neighbours"
                .formatted(source("gap").path()));
    assertThatThrownBy(() -> read(source("gap", "layers=3")))
        .hasMessage("Invalid layers for %s: 3, it has [2, 4]".formatted(source("gap").path()));
    assertThatThrownBy(() -> read(source("gap", "layers=none"))).hasMessageContaining("none");
  }

  @Test
  void sequencesHaveALengthOrComeFromAFile(@TempDir Path temp) throws IOException {
    RoutingTrace eight = read(source("iter_0540", "sequence-length=8"), new TokenRange(15, 18));
    assertThat(List.of(eight.sequence(0), eight.position(0))).containsExactly(1, 7);
    assertThat(List.of(eight.sequence(1), eight.position(1))).containsExactly(2, 0);
    long[] ids = new long[40];
    for (int token = 0; token < 40; token++) {
      ids[token] = token % 3;
    }

    Path file = temp.resolve("sequence.npy");
    Files.write(file, NpyWriter.bytes(1, "<i4", false, ids, 40));
    TraceSource columns =
        new TraceSource(
            source("iter_0540").path(),
            "",
            OptionalInt.of(13),
            Optional.of(file),
            Optional.empty());
    RoutingTrace trace = read(columns, new TokenRange(31, 40));
    assertThat(trace.sequence(0)).isEqualTo(1);
    assertThat(trace.position(0)).isEqualTo(10);
    assertThatThrownBy(() -> read(source("iter_0540", "sequence-length=7")))
        .hasMessageContaining("40 tokens are no multiple of it");
  }

  @Test
  void aTraceWithoutTokensNeedsItsTopK() {
    assertThat(read(source("empty", "top-k=3")).tokens()).isZero();
    assertThatThrownBy(() -> read(source("empty")))
        .hasMessageContaining("it has no token. Maybe say it with --format-option top-k=K");
  }

  @Test
  void whatTheUserSaysIsChecked() {
    assertThatThrownBy(() -> read(source("iter_0540", "top-k=2")))
        .hasMessageContaining("2, but the first row of")
        .hasMessageContaining("layer_02.parquet has 3 experts");
    assertThatThrownBy(() -> read(source("iter_0540").withExperts(12)))
        .hasMessageContaining("Invalid expert id 12 in")
        .hasMessageContaining("the model has experts 0 to 11");
    assertThatThrownBy(() -> read(TraceSource.of(source("iter_0540").path())))
        .hasMessageContaining("Maybe add --experts E");
    assertThatThrownBy(
            () -> read(TraceSource.of(Golden.path("format/flame-moe")).withFormat("flame-moe")))
        .hasMessageContaining("it holds no layer_<n>.parquet. Maybe name the folder of one");
  }

  @Test
  void itIsFoundByItsNames() {
    for (String name : List.of("iter_0540", "iter_0540/layer_02.parquet", "broken-nothing")) {
      assertThat(TraceFormat.find(source(name)).name()).isEqualTo("flame-moe");
      assertThat(TraceFormat.find(source(name)).isSplittable(source(name))).isTrue();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "id; Invalid expert id 13 in; at row 23 of the files from layer_02.parquet on, layer 1, rank 1: the model has experts 0 to 12",
        "negative; Invalid expert id -1 in; row 23",
        "twice; Invalid top-3 in; row 23 of the files from layer_02.parquet on, layer 1, rank 2: expert 12 stands at rank 0 too",
        "nan; Invalid router weight NaN in; row 23",
        "null-list; Invalid indices in; layer_03.parquet at row 23: null, empty, or longer in the row before",
        "null-element; Invalid indices in; layer_03.parquet at row 23: element 1 is null or missing",
        "empty-list; Invalid indices in; layer_03.parquet at row 23: null, empty",
        "short; Invalid indices in; layer_03.parquet at row 23: element 2 is null or missing",
        "long; Invalid indices in; layer_03.parquet at row 24: null, empty, or longer in the row before",
        "last-short; Invalid indices in; layer_03.parquet at row 39: element 2 is null or missing",
        "last-long; Invalid scores in; layer_03.parquet at row 39: longer than in the rows before",
        "first; Invalid indices in; layer_03.parquet at row 0: element 2",
        "floats; Invalid column indices in; layer_03.parquet: optional group indices (LIST)",
        "rows; Invalid number of rows in; layer_04.parquet: 39, but",
        "no-indices; Missing column indices in; layer_03.parquet: it has [scores]",
        "flat; Invalid column indices in; layer_03.parquet: optional int64 indices, expected a list of numbers",
        "texts; Invalid column indices in; expected a list of numbers",
        "nested; Invalid column indices in; expected a list of numbers",
        "structs; Invalid column indices in; expected a list of numbers",
        "truncated; Cannot read; layer_03.parquet as Parquet: ",
        "magic; Cannot read; layer_03.parquet as Parquet: ",
        "flipped; Cannot read; layer_03.parquet as Parquet: ",
        "footer; Cannot read; layer_03.parquet as Parquet: ",
        "nothing; Cannot read; layer_03.parquet as Parquet: ",
      })
  void brokenFilesAreRefused(String name, String start, String rest) {
    TraceSource source = source("broken-" + name);

    assertThatThrownBy(() -> read(source))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(start + " " + source.path())
        .hasMessageContaining(rest)
        .hasMessageNotContaining("\n");
  }
}
