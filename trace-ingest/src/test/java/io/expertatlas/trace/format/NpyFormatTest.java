package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class NpyFormatTest {
  private static final List<String> TYPES =
      List.of(
          "|i1", "|u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8",
          ">u8");

  @TempDir private Path temp;

  static Stream<Path> goodThreeAxes() throws IOException {
    try (Stream<Path> files = Files.list(Golden.path("format/good"))) {
      return files
          .filter(file -> file.getFileName().toString().matches("(c|fortran|version|plain)-.*"))
          .sorted()
          .toList()
          .stream();
    }
  }

  private static TraceSource source(Path file, int experts) {
    return TraceSource.of(file).withExperts(experts);
  }

  private static RoutingTrace read(TraceSource source, TokenRange range) {
    try (TraceReader reader = TraceFormat.find(source).open(source, range)) {
      return Traces.readAll(reader);
    }
  }

  private static RoutingTrace read(TraceSource source) {
    return read(source, TokenRange.ALL);
  }

  @ParameterizedTest
  @MethodSource("goodThreeAxes")
  void everyIntegerTypeOrderAndVersionThatNumpyWritesIsRead(Path file) {
    assertThat(Traces.describe(read(source(file, Golden.EXPERTS))))
        .isEqualTo(Traces.describe(Golden.routes(2)));
  }

  @ParameterizedTest
  @CsvSource({"top1.npy", "top1-fortran.npy"})
  void twoAxesAreFirstChoices(String name) {
    assertThat(Traces.describe(read(source(Golden.path("format/good/" + name), Golden.EXPERTS))))
        .isEqualTo(Traces.describe(Golden.routes(1)));
  }

  @Test
  void anEmptyTraceHasAShape() {
    try (TraceReader reader =
        TraceFormat.openTrace(source(Golden.path("format/good/empty.npy"), 11))) {
      assertThat(reader.tokens()).isZero();
      assertThat(reader.shape()).isEqualTo(new ModelShape(3, 11, 2));
      assertThat(reader.next()).isEmpty();
    }
  }

  @Test
  void sequencesAndPositionsComeFromTheirFiles() {
    RoutingTrace trace = read(withColumns("good/sequence.npy", "good/position.npy"));

    assertThat(column(trace::sequence)).containsExactly(4, 4, 9, 4, 9, 9, 0);
    assertThat(column(trace::position)).containsExactly(5, 6, 0, 7, 1, 2, 3);
  }

  @Test
  void positionsAreCountedInEachSequence() {
    TraceSource source = withColumns("good/sequence.npy", "");

    assertThat(column(read(source)::position)).containsExactly(0, 1, 0, 2, 1, 2, 0);
    RoutingTrace part = read(source, new TokenRange(3, 6));
    assertThat(Arrays.copyOf(column(part::position, 3), 3)).containsExactly(2, 1, 2);
  }

  private static int[] column(java.util.function.IntUnaryOperator column) {
    return column(column, 7);
  }

  private static int[] column(java.util.function.IntUnaryOperator column, int tokens) {
    int[] values = new int[tokens];
    Arrays.setAll(values, column);
    return values;
  }

  private static TraceSource withColumns(String sequence, String position) {
    return new TraceSource(
        Golden.path("format/good/c-u1.npy"),
        "npy",
        OptionalInt.of(Golden.EXPERTS),
        sequence.isEmpty() ? Optional.empty() : Optional.of(Golden.path("format/" + sequence)),
        position.isEmpty() ? Optional.empty() : Optional.of(Golden.path("format/" + position)));
  }

  @Test
  void aRangeBehindTheEndIsCut() {
    TraceSource source = source(Golden.path("format/good/c-u1.npy"), Golden.EXPERTS);

    assertThat(read(source, new TokenRange(5, 100)).tokens()).isEqualTo(2);
    assertThat(read(source, new TokenRange(7, 8)).tokens()).isZero();
    assertThat(read(source, new TokenRange(1L << 40, 1L << 41)).tokens()).isZero();
    try (TraceReader reader = TraceFormat.find(source).open(source, new TokenRange(5, 6))) {
      assertThat(reader.tokens()).isEqualTo(7);
    }
  }

  @Test
  void aSelectionKeepsRangeAndSequences() {
    TraceSource source = withColumns("good/sequence.npy", "");
    TokenSelection selection = new TokenSelection(new TokenRange(1, 6), Sequences.parse("4"));

    try (TraceReader reader = TraceFormat.openTrace(source, selection)) {
      RoutingTrace trace = Traces.readAll(reader);
      assertThat(Arrays.copyOf(column(trace::position, 2), 2)).containsExactly(1, 2);
      assertThat(trace.tokens()).isEqualTo(2);
      assertThat(trace.expert(1, 0, 0)).isEqualTo(9); // token 3
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void anySplitsOfAnyFileGiveTheSameTokens(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    RoutingTrace trace = Traces.random(seed, false);
    ModelShape shape = trace.shape();
    String type = TYPES.get(random.nextInt(TYPES.size()));
    int bits = 8 * (type.charAt(2) - '0') - (type.charAt(1) == 'i' ? 1 : 0);
    if (bits < 9) {
      type = ">u2"; // up to 300 experts
    }

    long[] values = Arrays.stream(Traces.choices(trace)).asLongStream().toArray();
    long[] axes = {trace.tokens(), shape.layers(), shape.topK()};
    if (shape.topK() == 1 && random.nextBoolean()) {
      axes = new long[] {trace.tokens(), shape.layers()};
    }

    Path file = temp.resolve("trace.npy");
    Files.write(
        file, NpyWriter.bytes(1 + random.nextInt(3), type, random.nextBoolean(), values, axes));
    Path sequences = temp.resolve("sequence.npy");
    long[] ids = Arrays.stream(column(trace::sequence, trace.tokens())).asLongStream().toArray();
    Files.write(sequences, NpyWriter.bytes(1, "<i4", false, ids, trace.tokens()));
    TraceSource source =
        new TraceSource(
            file, "", OptionalInt.of(shape.experts()), Optional.of(sequences), Optional.empty());

    List<RoutingTrace> parts = new ArrayList<>();
    long from = 0;
    while (from < trace.tokens()) {
      long to = from + 1 + random.nextInt(100);
      parts.add(read(source, new TokenRange(from, to)));
      from = to;
    }

    assertThat(prefill(Traces.concat(shape, false, parts))).isEqualTo(prefill(trace));
    assertThat(prefill(read(source))).isEqualTo(prefill(trace));
  }

  private static String prefill(RoutingTrace trace) {
    return Traces.describe(trace).replace("DECODE", "PREFILL");
  }

  @Test
  void manyBatchesOfALongFortranFileAreOneTrace() throws IOException {
    long[] values = new long[200_000 * 2 * 2];
    for (int i = 0; i < values.length; i++) {
      values[i] = i % 4 / 2 == 0 ? i * 31L % 500 * 2 + i % 2 : 999 - i % 2;
    }

    Path file = temp.resolve("long.npy");
    Files.write(file, NpyWriter.bytes(2, ">i4", true, values, 200_000, 2, 2));

    RoutingTrace trace = read(source(file, 1000));

    assertThat(trace.tokens()).isEqualTo(200_000);
    assertThat(Arrays.stream(Traces.choices(trace)).asLongStream().toArray()).isEqualTo(values);
  }

  @Test
  void filesBeyondTwoGibibytesAreReadByPlace() throws IOException {
    long tokens = 3L << 30;
    Path file = sparse("large.npy", "(%d, 1)".formatted(tokens), tokens);
    Path positions = sparse("positions.npy", "(%d,)".formatted(tokens), tokens);
    TokenRange range = new TokenRange(tokens - 3, tokens + 9);
    TraceSource source =
        new TraceSource(file, "", OptionalInt.of(7), Optional.empty(), Optional.of(positions));

    RoutingTrace end = read(source, range);

    assertThat(Traces.choices(end)).containsExactly(0, 5, 0);
    assertThat(column(end::position, 3)).containsExactly(0, 5, 0);
    assertThatThrownBy(() -> read(source(file, 7), range))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("past token 2147483647, all in one sequence")
        .hasMessageContaining("--sequence-file");
  }

  /** Zeros, but a 5 before the last, in a file that takes no room. */
  private Path sparse(String name, String shape, long elements) throws IOException {
    Path file = temp.resolve(name);
    byte[] header =
        NpyWriter.bytes(
            1,
            "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }".formatted(shape),
            new byte[0]);
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      out.write(header);
      out.setLength(header.length + elements);
      out.seek(header.length + elements - 2);
      out.write(5);
    }

    return file;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "floats.npy; its dtype is '<f4' (floating-point numbers), expected integers. Maybe convert it",
        "bool.npy; its dtype is '|b1' (truth values), expected plain numbers",
        "objects.npy; its dtype is '|O' (Python objects), expected plain numbers",
        "structured.npy; its dtype is structured ([('a', '<i4'), ('b', '<i2')]",
        "complex.npy; its dtype is '<c8' (complex numbers)",
        "text.npy; its dtype is '<U2' (text)",
        "dates.npy; its dtype is '<M8[s]' (dates)",
        "one-axis.npy; Invalid shape (42,) in",
        "four-axes.npy; Invalid shape (1, 7, 3, 2) in",
        "scalar.npy; its shape is (), a single number",
        "no-layers.npy; Invalid shape (7, 0, 2) in",
        "top-12.npy; top-k from 1 to the number of experts 11",
        "id-too-high.npy; Invalid expert id 11 in; token 5, layer 1, rank 1: the model has experts 0 to 10. Maybe --experts is wrong",
        "id-negative.npy; Invalid expert id -1 in; token 2, layer 2, rank 0",
        "id-huge.npy; Invalid expert id 18446744073709551615 in; token 6, layer 0, rank 1",
        "twice.npy; Invalid top-2 in; token 4, layer 2, rank 1: expert 6 stands at rank 0 too",
        "truncated.npy; Truncated .npy file; has 287 bytes, its header announces 296 (shape (7, 3, 2), dtype '<i4')",
        "trailing.npy; 3 trailing bytes; has 299 bytes, its header announces 296",
        "truncated-header.npy; has 60 bytes, its header needs 128",
        "nothing.npy; does not start with \\x93NUMPY",
        "magic.npy; does not start with \\x93NUMPY",
        "version-9.npy; Invalid .npy version; 9.0, known are 1.0, 2.0 and 3.0",
        "header-key.npy; unknown key 'dexcr'",
        "header-shape.npy; an axis is no number of 1 to 18 digits",
        "header-order.npy; fortran_order is neither True nor False",
      })
  void brokenFilesSayWhatAndWhere(String nameAndMessages) {
    String[] parts = nameAndMessages.split("; ");
    TraceSource source = source(Golden.path("format/broken/" + parts[0]), Golden.EXPERTS);

    assertThatThrownBy(() -> read(source))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContainingAll(parts);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "sequence-short.npy; Invalid number of sequence ids: 6 in",
        "sequence-floats.npy; its dtype is '<f8' (floating-point numbers), expected integers",
        "sequence-negative.npy; Invalid value -3 among the sequence ids in",
        "sequence-large.npy; Invalid value 2147483648 among the sequence ids in",
        "sequence-two-axes.npy; Invalid shape (7, 1) of sequence ids in",
      })
  void brokenColumnsSayWhatAndWhere(String nameAndMessage) {
    String[] parts = nameAndMessage.split("; ");

    assertThatThrownBy(() -> read(withColumns("broken/" + parts[0], "")))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContainingAll(parts);
  }

  @Test
  void theNumberOfExpertsMustBeGiven() {
    Path file = Golden.path("format/good/c-u1.npy");

    assertThatThrownBy(() -> read(TraceSource.of(file)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageStartingWith("Missing number of experts: ")
        .hasMessageEndingWith("Maybe add --experts E");
    assertThatThrownBy(() -> read(source(file, 70_000)))
        .hasMessageContaining("Invalid number of experts for")
        .hasMessageContaining("70000, 1 to 65536");
  }

  @Test
  void missingFilesAreNamed() {
    TraceSource source =
        new TraceSource(
            temp.resolve("no.npy"), "npy", OptionalInt.of(3), Optional.empty(), Optional.empty());

    assertThatThrownBy(() -> read(source))
        .isInstanceOf(TraceFormatException.class)
        .hasMessage("Cannot read expert ids from %s: no such file".formatted(source.path()));
  }
}
