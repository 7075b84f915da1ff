package io.expertatlas.affinity.arrow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.affinity.AffinityCases;
import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class AffinityFilesTest {
  private static final ModelShape SHAPE = new ModelShape(3, 6, 2);
  @TempDir private Path home;

  private Path written(String name, RoutingTrace trace) {
    Path folder = home.resolve(name);
    AffinityFiles.write(AffinityCases.count(trace), folder);
    return folder;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("io.expertatlas.trace.Cases#seededHundred")
  void whatIsWrittenIsRead(long seed) throws IOException {
    RouteCounts counts = AffinityCases.count(AffinityCases.trace(seed));
    Path folder = home.resolve("a");

    AffinityFiles.write(counts, folder);

    assertThat(AffinityFiles.read(folder)).isEqualTo(counts);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "popularity.arrow", "transitions.arrow", "coactivation.arrow", "expert-sets.arrow");
    }
  }

  @Test
  void tablesOfManyBatchesAreReadWhole() {
    RoutingTrace trace = SyntheticTrace.draw(new ModelShape(5, 160, 8), 4000, 50, 0.1, 2);

    assertThat(AffinityFiles.read(written("a", trace))).isEqualTo(AffinityCases.count(trace));
  }

  @Test
  void aFolderThatExistsIsNotTouched() {
    Path folder = written("a", SyntheticTrace.draw(SHAPE, 50, 7, 0.5, 1));
    RouteCounts before = AffinityFiles.read(folder);

    assertThatThrownBy(() -> written("a", SyntheticTrace.draw(SHAPE, 60, 7, 0.5, 1)))
        .isInstanceOf(UncheckedIOException.class)
        .hasCauseInstanceOf(FileAlreadyExistsException.class);
    assertThat(AffinityFiles.read(folder)).isEqualTo(before);
  }

  @Test
  void theFolderMustExist() throws IOException {
    assertThatThrownBy(() -> AffinityFiles.read(home.resolve("no")))
        .hasCauseInstanceOf(NoSuchFileException.class);
    Path file = Files.createFile(home.resolve("file"));
    assertThatThrownBy(() -> AffinityFiles.read(file))
        .hasCauseInstanceOf(NotDirectoryException.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "popularity.arrow",
        "transitions.arrow",
        "coactivation.arrow",
        "expert-sets.arrow"
      })
  void missingCutAndForeignFilesAreNamed(String name) throws IOException {
    Path folder = written("a", SyntheticTrace.draw(SHAPE, 50, 7, 0.5, 1));
    Path file = folder.resolve(name);
    byte[] bytes = Files.readAllBytes(file);

    for (int length : new int[] {0, 5, bytes.length / 3, bytes.length - 1}) {
      Files.write(file, Arrays.copyOf(bytes, length));
      assertThatThrownBy(() -> AffinityFiles.read(folder))
          .isInstanceOf(AffinityFormatException.class)
          .hasMessageContaining("Cannot read %s: not a complete Arrow file".formatted(file));
    }

    Files.delete(file);
    assertThatThrownBy(() -> AffinityFiles.read(folder))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessage("Cannot read %s: no such file".formatted(file));

    String other = name.startsWith("pop") ? "transitions.arrow" : "popularity.arrow";
    Files.copy(folder.resolve(other), file, StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(() -> AffinityFiles.read(folder))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessageContaining("Cannot read %s: its columns are".formatted(file));
  }

  @Test
  void filesOfTwoTracesDoNotGoTogether() throws IOException {
    Path folder = written("a", SyntheticTrace.draw(SHAPE, 50, 7, 0.5, 1));
    Path longer = written("b", SyntheticTrace.draw(SHAPE, 60, 7, 0.5, 1));
    Path other = written("c", SyntheticTrace.draw(SHAPE, 50, 7, 0.5, 9));

    copy("coactivation.arrow", longer, folder);
    assertThatThrownBy(() -> AffinityFiles.read(folder))
        .hasMessageContaining("coactivation.arrow: it is of {experts=6")
        .hasMessageContaining("tokens=60");
    copy("coactivation.arrow", other, folder);
    assertThatThrownBy(() -> AffinityFiles.read(folder))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessageMatching(
            "Cannot read .*a: the co-activations of expert \\d in layer \\d sum to \\d+, expected \\d+");
    copy("coactivation.arrow", written("d", SyntheticTrace.draw(SHAPE, 50, 7, 0.5, 1)), folder);
    copy("transitions.arrow", other, folder);
    assertThatThrownBy(() -> AffinityFiles.read(folder))
        .hasMessageContaining("first-choices leaving of expert");
  }

  private static void copy(String name, Path from, Path to) throws IOException {
    Files.copy(from.resolve(name), to.resolve(name), StandardCopyOption.REPLACE_EXISTING);
  }

  @ParameterizedTest
  @ValueSource(strings = {"format-version", "top-k", "tokens"})
  void metadataIsChecked(String key) throws IOException {
    Path folder = written("a", SyntheticTrace.draw(SHAPE, 50, 7, 0.5, 1));
    Path file = folder.resolve("popularity.arrow");
    byte[] bytes = Files.readAllBytes(file);
    String text = new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1);
    // keys keep their length: the key is renamed, so it is missing
    String broken = text.replace(key, "x".repeat(key.length()));
    Files.write(file, broken.getBytes(java.nio.charset.StandardCharsets.ISO_8859_1));

    assertThatThrownBy(() -> AffinityFiles.read(folder))
        .isInstanceOf(AffinityFormatException.class)
        .hasMessageContaining(key)
        .hasMessageContaining("expected");
  }
}
