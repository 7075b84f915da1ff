package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RouterStates;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.RouterStatesReader;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import io.expertatlas.trace.parquet.DatasetFolder;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Thousands of mutated text and JSON files of every format: each is refused in one line that names
 * the file, or read as a valid trace, any part of which is a part of the whole; never a hang,
 * another exception or a huge allocation.
 */
@Timeout(value = 10, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class TextFuzzTest {
  private static final int CASES = Integer.getInteger("fuzz.cases", 400);
  private static final long MOST_BYTES = 64L << 20; // a good file takes a few
  private static final int LONGEST_MESSAGE = 1000;
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private static final List<String> PIECES =
      List.of(
          "{",
          "}",
          "[",
          "]",
          ",",
          ":",
          ";",
          "\"",
          "'",
          "\\",
          "\n",
          "\r",
          "\r\n",
          "\t",
          " ",
          "\0",
          "{}",
          "[]",
          "[[]]",
          "[[[]]]",
          "{\"a\":1}",
          "[{\"a\":1}]",
          "[[{\"a\":1,\"b\":[1,2]}]]",
          "null",
          "true",
          "false",
          "NaN",
          "Infinity",
          "-Infinity",
          "\"x\"",
          "\"\"",
          "\"\\u0000\"",
          "\"\\n\"",
          "\"../../x\"",
          "\"\\ud800\"",
          "0",
          "1",
          "2",
          "3",
          "7",
          "-1",
          "-0",
          "1.5",
          "1e2",
          "1e999",
          "1e-999",
          "1E1000000000",
          "255",
          "65535",
          "65536",
          "2147483647",
          "2147483648",
          "-2147483648",
          "4294967296",
          "9223372036854775807",
          "9223372036854775808",
          "00",
          "0x1f",
          "123456789012345678901234567890",
          "\ufeff",
          "\u00e9",
          "\u2028",
          "\ud83d\ude00",
          "((((",
          "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
          "{\"a\":{\"a\":{\"a\":",
          "AAAA",
          "====",
          "/");

  @TempDir private Path temp;

  /** A way of reading a source that gives the number of tokens or windows in it. */
  private interface Reading {
    long read(TraceSource source);
  }

  private static long routes(TraceSource source) {
    TraceFormat format = TraceFormat.find(source);
    RoutingTrace whole;
    try (TraceReader reader = format.open(source)) {
      whole = Traces.readAll(reader);
      assertThat((long) whole.tokens()).isEqualTo(reader.tokens());
    }

    TokenRange middle = new TokenRange(whole.tokens() / 3, whole.tokens());
    try (TraceReader reader = format.open(source, middle)) {
      assertThat(Traces.describe(Traces.readAll(reader)))
          .isEqualTo(Traces.describe(whole.slice((int) middle.from(), (int) middle.to())));
    }

    return whole.tokens();
  }

  private static long counts(TraceSource source) {
    long windows = 0;
    try (CountsReader reader = CountsFormat.openCounts(source)) {
      for (Optional<ExpertCounts> next = reader.next(); next.isPresent(); next = reader.next()) {
        assertThat(next.get().layers()).isEqualTo(reader.layers());
        assertThat(next.get().experts()).isEqualTo(reader.experts());
        windows++;
      }
    }

    return windows;
  }

  private static long states(TraceSource source) {
    long tokens = 0;
    try (RouterStatesReader reader = RouterStatesFormat.openStates(source)) {
      for (Optional<RouterStates> next = reader.next(); next.isPresent(); next = reader.next()) {
        tokens += next.get().routes().tokens();
      }

      assertThat(tokens).isEqualTo(reader.tokens());
    }

    return tokens;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "sglang-requests; requests/sglang-chat.jsonl, requests/sglang-generate.json; layers=5, top-k=2",
        "sglang-requests; requests/sglang-start.json; layers=5, top-k=2, start=2",
        "vllm; requests/vllm-all-layers.jsonl, requests/vllm-encoded.jsonl, requests/vllm-moe-layers.jsonl; ''",
        "vllm; requests/vllm-cached.json, requests/vllm-moe-layers.jsonl; missing=drop",
        "csv; tables/cells.csv; sequence-column=id, position-column=position, phase-column=phase, weights-column=weights",
        "csv; tables/long.tsv; separator=tab, layer-column=layer, sequence-column=seq, weights-column=weights",
        "csv; tables/wide.csv; experts-column=e{layer}_{rank}, weights-column=w{layer}_{rank}, sequence-column=sequence",
        "jsonl; tables/tokens.jsonl; weights-column=weights, sequence-column=sequence, phase-column=phase",
        "jsonl; tables/layers.jsonl; experts-column=ids, layer-column=layer, sequence-column=doc, weights-column=gates",
      })
  void mutatedTextsAreReadOrRefused(String format, String files, String options)
      throws IOException {
    List<Path> goods =
        Stream.of(files.split(", ")).map(name -> Golden.path("format/" + name)).toList();
    FormatOptions given =
        FormatOptions.parse(options.isEmpty() ? List.of() : List.of(options.split(", ")));
    fuzz(
        goods,
        good -> {
          Path file = temp.resolve("mutated" + end(good));
          return new Case(
              file,
              TraceSource.of(file).withFormat(format).withExperts(11).withOptions(given),
              TextFuzzTest::routes);
        });
  }

  private static String end(Path file) {
    String name = file.toString();
    return name.substring(name.lastIndexOf('.'));
  }

  @Test
  void mutatedBalancerLogsAreReadOrRefused() throws IOException {
    Path file = temp.resolve("mutated.jsonl");
    TraceSource source = TraceSource.of(file).withFormat("vllm-eplb");
    fuzz(
        List.of(Golden.path("format/counts/vllm-eplb.jsonl")),
        good -> new Case(file, source, TextFuzzTest::counts));
  }

  @Test
  void mutatedLogsOfSmartMoeAreReadOrRefused() throws IOException {
    Path folder = copy(Golden.path("format/counts/smartmoe"));
    Path file = folder.resolve("table_iter11_rank0.log");
    fuzz(List.of(file), good -> new Case(file, TraceSource.of(folder), TextFuzzTest::counts));
  }

  @Test
  void mutatedCountsOfSglangAreReadOrRefused() throws IOException {
    Path folder = copy(Golden.path("format/dumps/sglang-csv"));
    Path file = folder.resolve("rank-1.csv");
    TraceSource source = TraceSource.of(folder).withFormat("sglang");
    fuzz(List.of(file), good -> new Case(file, source, TextFuzzTest::counts));
  }

  @Test
  void mutatedLinesOfMegatronAreReadOrRefused() throws IOException {
    Path routes = copy(Golden.path("format/megatron/routes"));
    Path file = routes.resolve("router_trace_rank1.jsonl");
    TraceSource source = TraceSource.of(routes).withExperts(64);
    fuzz(List.of(file), good -> new Case(file, source, TextFuzzTest::routes));
    Path good = copy(Golden.path("format/megatron/good"));
    Path line = good.resolve("router_trace_rank0.jsonl");
    fuzz(List.of(line), any -> new Case(line, TraceSource.of(good), TextFuzzTest::states));
  }

  @Test
  void mutatedDescriptionsOfTensorsAreReadOrRefused() throws IOException {
    Path folder = copy(Golden.path("format/trtllm/good"));
    Path file = folder.resolve("meta_info.json");
    fuzz(List.of(file), good -> new Case(file, TraceSource.of(folder), TextFuzzTest::routes));
    Path tensors = temp.resolve("mutated.safetensors");
    TraceSource source =
        TraceSource.of(tensors).withOptions(FormatOptions.parse(List.of("top-k=3")));
    fuzz(
        List.of(Golden.path("format/router-logits/layers.safetensors")),
        good -> new Case(tensors, source, TextFuzzTest::routes));
  }

  @Test
  void mutatedDescriptionsOfCapturesAreReadOrRefused() throws IOException {
    Path folder = copy(Golden.path("format/good/capture-states"));
    Path file = folder.resolve("capture.json");
    List<Path> goods = List.of(Golden.path("format/good/capture-states/capture.json"));
    fuzz(goods, good -> new Case(file, TraceSource.of(folder), TextFuzzTest::routes));
    fuzz(goods, good -> new Case(file, TraceSource.of(folder), TextFuzzTest::states));
  }

  @Test
  void mutatedManifestsAreReadOrRefused() throws IOException {
    Path folder = temp.resolve("dataset");
    DatasetFolder.write(folder, Golden.capture(), 3);
    Path file = folder.resolve("manifest.json");
    fuzz(List.of(file), good -> new Case(file, TraceSource.of(folder), TextFuzzTest::routes));
  }

  private Path copy(Path folder) throws IOException {
    Path copy = Files.createDirectory(temp.resolve("copy-" + folder.getFileName()));
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.sorted().toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }

    return copy;
  }

  /** A file to write, a source that it is or is in, and a way of reading it. */
  private record Case(Path file, TraceSource source, Reading reading) {}

  private interface Cases {
    Case of(Path good);
  }

  private static void fuzz(List<Path> goods, Cases cases) throws IOException {
    List<byte[]> contents = new ArrayList<>();
    for (Path good : goods) {
      contents.add(Files.readAllBytes(good));
    }

    for (int i = 0; i < goods.size(); i++) {
      Case good = cases.of(goods.get(i));
      Files.write(good.file(), contents.get(i));
      assertThat(good.reading().read(good.source())).as("%s", goods.get(i)).isPositive();
    }

    int read = 0;
    for (int seed = 0; seed < CASES; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      int which = random.nextInt(goods.size());
      byte[] bytes = contents.get(which);
      for (int i = 1 + random.nextInt(3); i > 0; i--) {
        bytes = mutate(bytes, random);
      }

      Case one = cases.of(goods.get(which));
      Files.write(one.file(), bytes);
      String name = "seed %d of %s".formatted(seed, goods.get(which));
      long before = THREADS.getCurrentThreadAllocatedBytes();
      read += readOrRefuse(one, name) ? 1 : 0;
      assertThat(THREADS.getCurrentThreadAllocatedBytes() - before)
          .as("bytes allocated, %s", name)
          .isLessThan(MOST_BYTES);
    }

    assertThat(read).isBetween(CASES / 100, CASES - CASES / 100); // both happen
  }

  private static boolean readOrRefuse(Case one, String name) {
    try {
      one.reading().read(one.source());
      return true;
    } catch (TraceFormatException e) {
      assertThat(e.getMessage())
          .as(name)
          .contains(one.source().path().toString())
          .doesNotContainPattern("\\p{Cntrl}")
          .hasSizeLessThan(LONGEST_MESSAGE);
      return false;
    } catch (RuntimeException | StackOverflowError e) {
      throw new AssertionError(name + " gave " + e, e);
    }
  }

  private static byte[] mutate(byte[] bytes, SplittableRandom random) {
    if (bytes.length < 2) {
      return new byte[] {'1', '2'};
    }

    int at = random.nextInt(bytes.length);
    int some = Math.min(bytes.length, at + 1 + random.nextInt(random.nextBoolean() ? 6 : 60));
    return switch (random.nextInt(9)) {
      case 0 -> {
        byte[] changed = bytes.clone();
        changed[at] = (byte) random.nextInt(256);
        yield changed;
      }
      case 1 -> {
        byte[] changed = bytes.clone();
        changed[at] ^= (byte) (1 << random.nextInt(8));
        yield changed;
      }
      case 2 -> random.nextInt(4) == 0 ? Arrays.copyOf(bytes, at) : splice(bytes, at, some, "");
      case 3 -> splice(bytes, at, some, text(bytes, random.nextInt(at + 1), at)); // repeats
      case 4 -> splice(bytes, at, at, piece(random));
      case 5, 6 -> { // a number, or what follows it
        int from = at;
        while (from < bytes.length && !isDigit(bytes[from])) {
          from++;
        }

        int to = from;
        while (to < bytes.length && isDigit(bytes[to])) {
          to++;
        }

        yield splice(bytes, from, to, piece(random));
      }
      case 7 -> { // a digit of a number
        byte[] changed = bytes.clone();
        for (int i = at; i < bytes.length; i++) {
          if (isDigit(bytes[i])) {
            changed[i] = (byte) ('0' + random.nextInt(10));
            break;
          }
        }

        yield changed;
      }
      default -> splice(bytes, at, some, piece(random));
    };
  }

  private static boolean isDigit(byte value) {
    return value >= '0' && value <= '9';
  }

  private static String piece(SplittableRandom random) {
    return PIECES.get(random.nextInt(PIECES.size()));
  }

  private static String text(byte[] bytes, int from, int to) {
    return new String(bytes, from, Math.min(to - from, 400), StandardCharsets.ISO_8859_1);
  }

  private static byte[] splice(byte[] bytes, int from, int to, String text) {
    byte[] piece = text.getBytes(StandardCharsets.UTF_8);
    byte[] changed = new byte[bytes.length - (to - from) + piece.length];
    System.arraycopy(bytes, 0, changed, 0, from);
    System.arraycopy(piece, 0, changed, from, piece.length);
    System.arraycopy(bytes, to, changed, from + piece.length, bytes.length - to);
    return changed;
  }
}
