package io.expertatlas.trace.parquet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.json.TraceManifest;
import io.expertatlas.trace.json.TraceManifest.Part;
import io.expertatlas.trace.json.TraceManifestParser;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class DatasetFormatTest {
  private static final RoutingTrace TRACE =
      SyntheticTrace.draw(new ModelShape(3, 8, 2), 100, 10, 0.5, 1);

  @TempDir private Path temp;

  private RoutingTrace read(TokenRange range) {
    TraceSource source = TraceSource.of(temp);
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void whatWasWrittenIsReadInAnySplits(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Traces.random(seed, random.nextBoolean());
    DatasetFolder.write(temp, trace, 1 + random.nextInt(200));

    List<RoutingTrace> parts = new ArrayList<>();
    long from = 0;
    while (from < trace.tokens()) {
      long to = from + 1 + random.nextInt(150);
      parts.add(read(new TokenRange(from, to)));
      from = to;
    }

    assertThat(Traces.describe(read(TokenRange.ALL))).isEqualTo(Traces.describe(trace));
    assertThat(Traces.describe(Traces.concat(trace.shape(), trace.hasWeights(), parts)))
        .isEqualTo(Traces.describe(trace));
    assertThat(read(new TokenRange(5000, 6000)).tokens()).isZero();
  }

  @Test
  void manyExpertsNeedWideIds() throws IOException {
    ModelShape shape = new ModelShape(1, 65_536, 2);
    DatasetFolder.write(
        temp, RoutingTrace.ofExperts(shape, new short[] {-1, 0, (short) 40_000, 7}), 9);

    assertThat(Traces.choices(read(TokenRange.ALL))).containsExactly(65_535, 0, 40_000, 7);
  }

  @Test
  void rangesStartInAnyRowGroup() throws IOException {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(2, 8, 2), 5000, 100, 0.5, 1);
    TraceManifest manifest = DatasetFolder.write(temp, trace, 5000);
    Part part = manifest.parts().get(0);
    Path file = temp.resolve(part.file());
    RowGroups.rewrite(file, trace, 1000);
    String json = TraceManifestParser.toJson(manifest);
    Files.writeString(
        temp.resolve(TraceManifest.FILE),
        json.replace("\"bytes\" : " + part.bytes(), "\"bytes\" : " + Files.size(file)));
    assertThat(RowGroups.count(file)).isGreaterThan(3);

    for (int from : List.of(0, 999, 1000, 1001, 2500, 4999)) {
      assertThat(Traces.describe(read(new TokenRange(from, 5000))))
          .isEqualTo(Traces.describe(trace.slice(from, 5000)));
    }
  }

  @Test
  void aMissingPartIsNamed() throws IOException {
    DatasetFolder.write(temp, TRACE, 40);
    Files.delete(temp.resolve("part-00001.parquet"));

    assertThatThrownBy(() -> read(TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith("Missing part of the dataset: ")
        .hasMessageContaining("part-00001.parquet");
  }

  @Test
  void aPartOfAnotherSizeIsNamed() throws IOException {
    DatasetFolder.write(temp, TRACE, 40);
    Files.write(temp.resolve("part-00001.parquet"), new byte[5]);

    assertThatThrownBy(() -> read(TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("part-00001.parquet has 5 bytes, by the manifest");
  }

  @Test
  void noByteOfAPartCanChangeUnnoticedOrCrash() throws IOException {
    DatasetFolder.write(temp, TRACE, 100);
    Path file = temp.resolve("part-00000.parquet");
    byte[] whole = Files.readAllBytes(file);
    String expected = Traces.describe(TRACE);
    int refused = 0;
    SplittableRandom random = new SplittableRandom(7);
    for (int i = 0; i < 400; i++) {
      byte[] changed = whole.clone();
      changed[random.nextInt(whole.length)] ^= (byte) (1 << random.nextInt(8));
      Files.write(file, changed);
      try {
        // statistics and names of writers may change; values may not
        assertThat(Traces.describe(read(TokenRange.ALL))).as("change %d", i).isEqualTo(expected);
      } catch (TraceFormatException e) {
        assertThat(e).hasMessageContaining("part-00000.parquet");
        refused++;
      }
    }

    assertThat(refused).isGreaterThan(100);
  }

  @Test
  void aPartOfOtherRowsOrColumnsIsRefused() throws IOException {
    TraceManifest manifest = DatasetFolder.write(temp, TRACE, 100);
    Path json = temp.resolve(TraceManifest.FILE);
    String text = TraceManifestParser.toJson(manifest);

    Files.writeString(
        json,
        text.replace("\"rows\" : 100", "\"rows\" : 99")
            .replace("\"tokens\" : 100", "\"tokens\" : 99"));
    assertThatThrownBy(() -> read(TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("has 100 rows, by the manifest 99");

    Files.writeString(json, text.replace("\"weights\" : false", "\"weights\" : true"));
    assertThatThrownBy(() -> read(TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("Invalid columns in");

    Files.writeString(json, text.replace("\"layers\" : 3", "\"layers\" : 2"));
    assertThatThrownBy(() -> read(TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("not a list of 4");

    Files.writeString(json, text.replace("\"experts\" : 8", "\"experts\" : 5"));
    assertThatThrownBy(() -> read(TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("Invalid expert id")
        .hasMessageContaining("0 to 4");
  }

  @Test
  void otherFactsThanTheManifestsAreRefused() throws IOException {
    DatasetFolder.write(temp, TRACE, 100);

    assertThatThrownBy(() -> TraceFormat.openTrace(TraceSource.of(temp).withExperts(9)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("9 by --experts, 8 by the manifest");
  }
}
