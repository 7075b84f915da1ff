package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.github.luben.zstd.ZstdOutputStream;
import io.expertatlas.trace.Counts;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.input.InputFiles;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CompressedInputTest {
  private static final String ROUTES = Traces.describe(Golden.routes(2));

  @TempDir private Path temp;

  private static TraceSource source(String name) {
    return TraceSource.of(Golden.path("format/compressed/" + name)).withExperts(Golden.EXPERTS);
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "routes.npy.gz",
        "routes.npy.zst",
        "fortran.npy.gz",
        "fortran.npy.zst",
        "members.npy.gz",
        "frames.npy.zst",
        "no-name",
        "one.npz",
        "one.npz.gz",
        "deflated.npz",
      })
  void whatIsCompressedReadsAsWhatIsInIt(String name) {
    assertThat(Traces.describe(read(source(name), TokenRange.ALL))).isEqualTo(ROUTES);
  }

  @ParameterizedTest
  @ValueSource(strings = {"routes.npy.gz", "fortran.npy.zst", "one.npz", "deflated.npz"})
  void rangesOfIt(String name) {
    List<RoutingTrace> parts =
        List.of(
            read(source(name), new TokenRange(0, 3)),
            read(source(name), new TokenRange(3, 4)),
            read(source(name), new TokenRange(4, 90)));

    assertThat(Traces.describe(Traces.concat(parts.get(0).shape(), false, parts)).lines().count())
        .isEqualTo(8);
    assertThat(Traces.choices(Traces.concat(parts.get(0).shape(), false, parts)))
        .isEqualTo(Traces.choices(Golden.routes(2)));
  }

  @Test
  void onlyPlainAndStoredFilesAreSplit() {
    for (String name : List.of("routes.npy.gz", "frames.npy.zst", "deflated.npz", "one.npz.gz")) {
      assertThat(TraceFormat.find(source(name)).isSplittable(source(name))).as(name).isFalse();
    }

    TraceSource stored = source("one.npz");
    TraceSource plain = TraceSource.of(Golden.path("format/good/c-u1.npy"));
    TraceSource capture = TraceSource.of(Golden.path("format/compressed/capture"));
    assertThat(TraceFormat.find(stored).isSplittable(stored)).isTrue();
    assertThat(TraceFormat.find(plain).isSplittable(plain)).isTrue();
    assertThat(TraceFormat.find(capture).isSplittable(capture)).isFalse();
  }

  @Test
  void sequencesAndCapturesMayBeCompressedToo() {
    TraceSource columns =
        new TraceSource(
            Golden.path("format/good/c-u1.npy"),
            "",
            OptionalInt.of(Golden.EXPERTS),
            Optional.of(Golden.path("format/compressed/sequence.npy.gz")),
            Optional.empty());

    assertThat(read(columns, TokenRange.ALL).sequence(2)).isEqualTo(9);
    assertThat(
            Traces.describe(
                read(TraceSource.of(Golden.path("format/compressed/capture")), TokenRange.ALL)))
        .isEqualTo(Traces.describe(Golden.capture()));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tables/cells.csv",
        "tables/tokens.jsonl",
        "requests/vllm-moe-layers.jsonl",
        "router-logits/layers.safetensors; top-k=2",
        "dumps/sglang-per-token.pt",
        "dumps/aptmoe-mixtral/gate_results.0.pth; top-k=2",
      })
  void textAndTensorsToo(String nameAndOptions) throws IOException {
    String[] parts = nameAndOptions.split("; ");
    Path plain = Golden.path("format/" + parts[0]);
    TraceSource source =
        TraceSource.of(plain)
            .withOptions(FormatOptions.parse(List.of(parts).subList(1, parts.length)));
    if (parts[0].matches("(tables|requests)/.*")) {
      source = source.withExperts(64);
    }

    String expected = Traces.describe(read(source, TokenRange.ALL));
    Path gzip = temp.resolve(plain.getFileName() + ".gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(gzip))) {
      Files.copy(plain, out);
    }

    Path zstd = temp.resolve(plain.getFileName() + ".zst");
    try (OutputStream out = new ZstdOutputStream(Files.newOutputStream(zstd))) {
      Files.copy(plain, out);
    }

    for (Path packed : List.of(gzip, zstd)) {
      TraceSource same =
          new TraceSource(
              packed, "", source.experts(), Optional.empty(), Optional.empty(), source.options());
      assertThat(Traces.describe(read(same, TokenRange.ALL))).isEqualTo(expected);
    }
  }

  /** Copies a folder with its files packed, each the other way than the one before it. */
  private Path packed(String name) throws IOException {
    Path folder = Files.createDirectory(temp.resolve("packed"));
    boolean gzip = true;
    for (Path file : sorted(Golden.path("format/" + name))) {
      Path target = folder.resolve(file.getFileName() + (gzip ? ".gz" : ".zst"));
      try (OutputStream raw = Files.newOutputStream(target);
          OutputStream out = gzip ? new GZIPOutputStream(raw) : new ZstdOutputStream(raw)) {
        Files.copy(file, out);
      }

      gzip = !gzip;
    }

    return folder;
  }

  private static List<Path> sorted(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"megatron/good", "megatron/routes", "trtllm/good"})
  void filesOfRanksMayBeCompressed(String name) throws IOException {
    TraceSource plain = TraceSource.of(Golden.path("format/" + name));
    TraceSource packed = TraceSource.of(packed(name));
    if (name.equals("megatron/routes")) {
      plain = plain.withExperts(5);
      packed = packed.withExperts(5);
    }

    TraceFormat format = TraceFormat.find(packed);
    assertThat(format.name()).isEqualTo(TraceFormat.find(plain).name());
    assertThat(format.isSplittable(packed)).isFalse();
    assertThat(format.isSplittable(plain)).isTrue();
    RoutingTrace whole = read(plain, TokenRange.ALL);
    assertThat(Traces.describe(read(packed, TokenRange.ALL))).isEqualTo(Traces.describe(whole));
    assertThat(Traces.describe(read(packed, new TokenRange(5, 11))))
        .isEqualTo(Traces.describe(whole.slice(5, 11)));
  }

  @Test
  void oneFileOfARankMayBeCompressedBesideItsSidecars() throws IOException {
    Path packed = packed("megatron/good").resolve("router_trace_rank1.jsonl");
    TraceSource one = TraceSource.of(InputFiles.orCompressed(packed));
    TraceSource plain =
        TraceSource.of(Golden.path("format/megatron/good/router_trace_rank1.jsonl"));
    assertThat(Traces.describe(read(one, TokenRange.ALL)))
        .isEqualTo(Traces.describe(read(plain, TokenRange.ALL)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"counts/smartmoe", "trtllm/counts"})
  void countsMayBeCompressed(String name) throws IOException {
    List<ExpertCounts> plain = Counts.readAll(TraceSource.of(Golden.path("format/" + name)));
    List<ExpertCounts> packed = Counts.readAll(TraceSource.of(packed(name)));

    assertThat(packed).hasSameSizeAs(plain);
    for (int i = 0; i < plain.size(); i++) {
      assertThat(packed.get(i).window()).isEqualTo(plain.get(i).window());
      assertThat(packed.get(i).rank()).isEqualTo(plain.get(i).rank());
      for (int layer = 0; layer < plain.get(i).layers(); layer++) {
        assertThat(Counts.row(packed.get(i), layer)).isEqualTo(Counts.row(plain.get(i), layer));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "megatron/routes; router_trace_rank1.jsonl; have the same number",
        "trtllm/good; rank0_raw.safetensors; have the same number",
        "counts/smartmoe; table_iter1_rank0.log; are of the same iteration and rank",
      })
  void aFileBesideItsCompressedFormIsAmbiguous(String folderFileAndMessage) throws IOException {
    String[] parts = folderFileAndMessage.split("; ");
    Path folder = packed(parts[0]);
    Files.copy(Golden.path("format/" + parts[0]).resolve(parts[1]), folder.resolve(parts[1]));
    TraceSource source = TraceSource.of(folder).withExperts(5);

    assertThatThrownBy(
            () -> {
              if (parts[0].startsWith("counts")) {
                Counts.readAll(source);
              } else {
                read(source, TokenRange.ALL);
              }
            })
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith(
            "Cannot tell which to read in %s: %s and ".formatted(folder, parts[1]))
        .hasMessageEndingWith(parts[2]);
  }

  @Test
  void aCutOffLogIsNamed() throws IOException {
    Path folder = packed("counts/smartmoe");
    Path file = sorted(folder).get(0);
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length - 9));

    assertThatThrownBy(() -> Counts.readAll(TraceSource.of(folder)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith("Invalid compressed data in " + file);
  }

  @Test
  void aCompressedTextIsOpenedOnceForAllThatIsReadAgain() throws IOException {
    Path file = temp.resolve("many.jsonl.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file))) {
      Files.copy(Golden.path("format/tables/many.jsonl"), out);
    }

    List<JsonDocuments.Place> places = new ArrayList<>();
    List<JsonNode> expected = new ArrayList<>();
    try (JsonDocuments documents = new JsonDocuments(file);
        TraceReader table = TraceFormat.openTrace(TraceSource.of(file).withExperts(11))) {
      documents.forEach(
          (place, document) -> {
            places.add(place);
            expected.add(document);
          });
      assertThat(documents.read(places.get(2000))).isEqualTo(expected.get(2000));
      assertThat(table.next().orElseThrow().tokens()).isLessThan(2500);
      Files.delete(file); // what is open stays; what would be opened again is gone

      for (int i = places.size() - 1; i >= 0; i -= 7) {
        assertThat(documents.read(places.get(i))).isEqualTo(expected.get(i));
      }

      assertThat(Traces.readAll(table).tokens()).isPositive();
    }
  }

  @Test
  void anArrayOfSeveralIsNamed() {
    TraceSource source = source("named.npz");

    assertThatThrownBy(() -> read(source, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage(
            "Cannot tell which array of %s holds expert ids: [experts, sequence]. Maybe add --format-option array=experts"
                .formatted(source.path()));
    assertThat(Traces.describe(read(named(source, "experts"), TokenRange.ALL))).isEqualTo(ROUTES);
    assertThatThrownBy(() -> read(named(source, "position"), TokenRange.ALL))
        .hasMessage(
            "Missing array position in %s: it has [experts, sequence]".formatted(source.path()));
    assertThatThrownBy(() -> read(named(source, "sequence"), TokenRange.ALL))
        .hasMessageContaining("Invalid shape (7,) in " + source.path() + "/sequence.npy");
  }

  private static TraceSource named(TraceSource source, String array) {
    return source.withOptions(FormatOptions.parse(List.of("array=" + array)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "truncated.npy.gz; Invalid compressed data in",
        "truncated.npy.zst; Invalid compressed data in",
        "flipped.npy.gz; Invalid compressed data in",
        "flipped.npy.zst; Invalid compressed data in",
        "trailing.npy.gz; Invalid .npy file, trailing bytes; holds more bytes than 296, its header announces 296",
        "trailing.npy.zst; holds more bytes than 296",
        "short.npy.gz; Truncated .npy file",
        "short.npy.zst; Truncated .npy file",
        "header.npy.gz; has 60 bytes, its header needs 128",
        "header.npy.zst; has 60 bytes, its header needs 128",
        "text.npy.gz; does not start with \\x93NUMPY",
        "text.npy.zst; does not start with \\x93NUMPY",
        "nothing.npy.gz; does not start with \\x93NUMPY",
        "nothing.npy.zst; does not start with \\x93NUMPY",
        "empty.npz; it has no array, but members []",
        "two.npz; Cannot tell which array of; [a, b]",
        "floats.npz; arr_0.npy; its dtype is '<f4'",
        "truncated.npz; Invalid zip archive",
        "trailing.npz; trailing bytes; routes.npy",
        "text.npz; it has no array, but members [routes.txt]",
      })
  void brokenFilesSayWhat(String nameAndMessages) {
    String[] parts = nameAndMessages.split("; ");
    TraceSource source = source("broken/" + parts[0]);

    assertThatThrownBy(() -> read(source, TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContainingAll(parts);
  }

  @Test
  void bombsAreRefusedEarly() throws IOException {
    Path zstd = temp.resolve("bomb.npy.zst");
    try (OutputStream out = new ZstdOutputStream(Files.newOutputStream(zstd), 3)) {
      bomb(out);
    }

    assertThat(Files.size(zstd)).isLessThan(50_000);
    assertThatThrownBy(() -> read(TraceSource.of(zstd).withExperts(3), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("hold more than 2000 times as much");
    Path gzip = temp.resolve("small-array.npy.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(gzip))) {
      out.write(NpyWriter.bytes(1, "<i4", false, new long[] {1, 2}, 2, 1));
      out.write(new byte[1 << 26]);
    }

    assertThatThrownBy(() -> read(TraceSource.of(gzip).withExperts(3), TokenRange.ALL))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("holds more bytes than 136");
  }

  /** Zeros that their header announces. */
  private static void bomb(OutputStream out) throws IOException {
    out.write(
        NpyWriter.bytes(
            1,
            "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 1), }".formatted(300 << 20),
            new byte[0]));
    byte[] zeros = new byte[1 << 20];
    for (int i = 0; i < 300; i++) {
      out.write(zeros);
    }
  }
}
