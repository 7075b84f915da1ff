package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.FileFormat;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RouterStatesFormat;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.ServiceLoader;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SniffingTest {
  @TempDir private Path temp;

  /** Names of the formats of a kind that recognize a path. */
  private static <F extends FileFormat> List<String> recognized(Class<F> kind, Path path) {
    return ServiceLoader.load(kind).stream()
        .map(ServiceLoader.Provider::get)
        .filter(format -> format.recognizes(TraceSource.of(path)))
        .map(FileFormat::name)
        .toList();
  }

  private static TreeSet<String> names(Path path) {
    TreeSet<String> names = new TreeSet<>();
    for (Class<? extends FileFormat> kind :
        List.of(TraceFormat.class, CountsFormat.class, RouterStatesFormat.class)) {
      List<String> found = recognized(kind, path);
      assertThat(found).as("%s as %s", path, kind.getSimpleName()).hasSizeLessThan(2);
      names.addAll(found);
    }

    return names;
  }

  @ParameterizedTest
  @CsvSource({
    "good, npy",
    "good/capture, capture",
    "good/capture-states, capture",
    "compressed/capture, capture",
    "compressed/routes.npy.gz, npy",
    "compressed/routes.npy.zst, npy",
    "compressed/no-name, npy",
    "compressed/one.npz, npz",
    "compressed/deflated.npz, npz",
    "compressed/one.npz.gz, npz",
    "dumps/sglang-per-token, sglang",
    "dumps/sglang-per-token.pt, sglang",
    "dumps/sglang-per-pass, sglang",
    "dumps/sglang-stat.pt, sglang",
    "dumps/sglang-stat.pt.gz, sglang",
    "dumps/sglang-csv, sglang",
    "dumps/sglang-csv/rank-0.csv, sglang",
    "dumps/aptmoe-mixtral, aptmoe",
    "dumps/aptmoe-nllb, aptmoe",
    "dumps/aptmoe-nllb/gate_results.0.pth, aptmoe",
    "requests/sglang-chat.jsonl, sglang-requests",
    "requests/sglang-generate.json, sglang-requests",
    "requests/sglang-start.json, sglang-requests",
    "requests/vllm-all-layers.jsonl, vllm",
    "requests/vllm-cached.json, vllm",
    "requests/vllm-encoded.jsonl, vllm",
    "requests/vllm-moe-layers.jsonl, vllm",
    "router-logits/layers.safetensors, router-logits",
    "router-logits/two-stacks.safetensors, router-logits",
    "trtllm/good, trtllm",
    "trtllm/counts, trtllm",
    "megatron/good, megatron",
    "megatron/routes, megatron",
    "flame-moe/iter_0540, flame-moe",
    "flame-moe/iter_0540/layer_02.parquet, flame-moe",
    "router-logits/layers.npz, npz",
    "tables/cells.csv, csv",
    "tables/tokens.jsonl, jsonl",
    "counts/smartmoe, smartmoe",
    "counts/vllm-eplb.jsonl, vllm-eplb",
  })
  void everyGoldenFileIsOfOneFormat(String path, String name) throws IOException {
    Path golden = Golden.path("format/" + path);
    if (path.equals("good")) {
      try (Stream<Path> files = Files.list(golden)) {
        assertThat(files.filter(file -> file.toString().endsWith(".npy")).toList())
            .hasSizeGreaterThan(30)
            .allSatisfy(file -> assertThat(names(file)).containsExactly(name));
      }
    } else {
      assertThat(names(golden)).containsExactly(name);
    }
  }

  @Test
  void anArrayOfFloatsIsCountsToWhoAsksForCounts() {
    Path path = Golden.path("format/counts/moe-infinity.npy");

    assertThat(recognized(CountsFormat.class, path)).containsExactly("moe-infinity");
    assertThatThrownBy(() -> TraceFormat.openTrace(TraceSource.of(path).withExperts(3)))
        .isInstanceOf(TraceFormatException.class)
        .hasMessageContaining("floating-point numbers");
  }

  @Test
  void brokenFilesAreNotOfTwoFormats() throws IOException {
    for (String folder : List.of("broken", "compressed/broken", "dumps/broken")) {
      try (Stream<Path> files = Files.list(Golden.path("format/" + folder))) {
        for (Path file : files.sorted().toList()) {
          names(file);
        }
      }
    }

    try (Stream<Path> files = Files.list(Golden.path("torch/broken"))) {
      assertThat(files.toList()).allSatisfy(file -> assertThat(names(file)).isEmpty());
    }
  }

  private static String failure(Path path) {
    try {
      TraceFormat.find(TraceSource.of(path));
      return "";
    } catch (TraceFormatException e) {
      return e.getMessage();
    }
  }

  @Test
  void whatNoFormatKnowsIsDescribed() throws IOException {
    Path text = Files.writeString(temp.resolve("a.bin"), "hello\nworld, this is long");
    Path empty = Files.writeString(temp.resolve("empty"), "");
    Path folder = Files.createDirectory(temp.resolve("folder"));
    for (int i = 0; i < 7; i++) {
      Files.writeString(folder.resolve("part-%d.bin".formatted(i)), "x");
    }

    Path archive = temp.resolve("archive.zip");
    Files.copy(Golden.path("format/compressed/broken/text.npz"), archive);

    assertThat(failure(text))
        .startsWith("Cannot tell the format of " + text + ": none of [aptmoe, capture, ")
        .contains("it is a file of 25 bytes that starts with 'hello\\x0aworld, thi'")
        .endsWith("Maybe name it with --format");
    assertThat(failure(empty)).contains("it is an empty file");
    assertThat(failure(folder))
        .contains(
            "it is a folder with part-0.bin, part-1.bin, part-2.bin, part-3.bin, part-4.bin and 2 more");
    assertThat(failure(archive)).contains("it is a zip archive with routes.txt");
    assertThat(failure(Golden.path("format/dumps/broken/sglang-keys.pt")))
        .contains("it is a torch file of a dict with keys [state, epoch]");
    assertThat(failure(Golden.path("torch/broken/evil.pt")))
        .contains("it is a torch file that is not read")
        .contains("it names posix.system");
    assertThat(failure(temp.resolve("nothing"))).contains("no such file or folder");
  }

  @Test
  void twoThatFitAreBothNamed() throws IOException {
    Path both = Files.createDirectory(temp.resolve("both"));
    for (Path from :
        Arrays.asList(
            Golden.path("format/good/capture/capture.json"),
            Golden.path("format/dumps/aptmoe-mixtral/gate_results.0.pth"))) {
      Files.copy(from, both.resolve(from.getFileName().toString()));
    }

    assertThat(failure(both))
        .isEqualTo(
            "Cannot tell the format of %s: [aptmoe, capture] all recognize it. Maybe name it with --format"
                .formatted(both));
  }

  @Test
  void aWrongGuessSaysWhatIsThere() {
    TraceSource zip = TraceSource.of(Golden.path("format/compressed/one.npz")).withExperts(11);

    assertThatThrownBy(() -> TraceFormat.openTrace(zip.withFormat("npy")))
        .hasMessageContaining("does not start with \\x93NUMPY, but with 504b0304");
    assertThatThrownBy(() -> TraceFormat.openTrace(zip.withFormat("sglang")))
        .hasMessageContaining("has 0 members ROOT/data.pkl, expected 1, among [arr_0.npy]");
  }
}
