package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.ZstdOutputStream;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
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
