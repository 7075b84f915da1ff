package io.expertatlas.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The committed PTX is what {@code mvn -Pcuda} made of the committed sources. */
class KernelsTest {
  private static final Path SOURCES = Path.of("src/main/cuda");
  private static final Path COMPILED = Path.of("src/main/resources/io/expertatlas/runtime/cuda");

  @Test
  void ptxBelongsToItsSource() throws Exception {
    StringBuilder sums = new StringBuilder();
    for (Path file : files(SOURCES, ".cu", ".cuh")) {
      sums.append(sum(file));
    }

    for (Path file : files(COMPILED, ".ptx")) {
      sums.append(sum(file));
    }

    assertThat(COMPILED.resolve("kernels.sha256"))
        .as("compile the kernels anew: mvn -Pcuda -DskipTests package, or src/main/cuda/compile")
        .hasContent(sums.toString());
  }

  @Test
  void everySourceIsLoaded() throws IOException {
    List<String> loaded =
        Stream.concat(Kernels.MODEL.stream(), Kernels.TRAINING.stream()).distinct().toList();
    assertThat(files(SOURCES, ".cu").stream().map(KernelsTest::stem))
        .containsExactlyInAnyOrderElementsOf(loaded);
    assertThat(files(COMPILED, ".ptx").stream().map(KernelsTest::stem))
        .containsExactlyInAnyOrderElementsOf(loaded);
  }

  @Test
  void argumentsAreOfFourOrEightBytesAndFit() throws IOException {
    Pattern kernel = Pattern.compile("\\.entry\\s+(\\w+)\\s*\\((.*?)\\)", Pattern.DOTALL);
    Pattern argument = Pattern.compile("\\.param\\s+([^,]+?)\\s+\\w+\\s*(?:,|$)");
    for (Path file : files(COMPILED, ".ptx")) {
      Matcher kernels = kernel.matcher(Files.readString(file));
      while (kernels.find()) {
        List<String> types =
            argument.matcher(kernels.group(2)).results().map(found -> found.group(1)).toList();
        assertThat(types)
            .as(kernels.group(1))
            .hasSizeBetween(1, Arguments.MOST)
            .allMatch(type -> type.matches("\\.[a-z](32|64)( .*)?"));
      }
    }
  }

  private static String stem(Path file) {
    return file.getFileName().toString().replaceFirst("\\..*", "");
  }

  /** Files that end in one of these, one ending after the other, by name. */
  private static List<Path> files(Path folder, String... endings) throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      List<Path> sorted = all.sorted().toList();
      return Stream.of(endings)
          .flatMap(ending -> sorted.stream().filter(file -> file.toString().endsWith(ending)))
          .toList();
    }
  }

  private static String sum(Path file) throws IOException, NoSuchAlgorithmException {
    byte[] hash = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
    return "%s  %s%n".formatted(HexFormat.of().formatHex(hash), file.getFileName());
  }
}
