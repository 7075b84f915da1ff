package io.expertatlas.trace.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WrittenAsideTest {
  @TempDir private Path home;

  private static void fail(Path path) throws IOException {
    Files.writeString(Files.isDirectory(path) ? path.resolve("half") : path, "half");
    throw new IOException("disk full");
  }

  private List<String> names() throws IOException {
    try (Stream<Path> names = Files.list(home)) {
      return names.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void nothingRemainsOfAFailure() throws IOException {
    Path target = home.resolve("a");

    assertThatThrownBy(() -> WrittenAside.file(target, WrittenAsideTest::fail))
        .hasMessage("disk full");
    assertThatThrownBy(() -> WrittenAside.folder(target, WrittenAsideTest::fail))
        .hasMessage("disk full");
    assertThat(names()).isEmpty();
  }

  @Test
  void whatWasThereStaysOnFailureAndGoesOnSuccess() throws IOException {
    Path target = home.resolve("a");
    WrittenAside.folder(target, folder -> Files.writeString(folder.resolve("one"), "1"));

    assertThatThrownBy(() -> WrittenAside.replaceFolder(target, WrittenAsideTest::fail))
        .hasMessage("disk full");
    assertThat(target.resolve("one")).hasContent("1");
    assertThatThrownBy(() -> WrittenAside.folder(target, folder -> {}))
        .isInstanceOf(FileAlreadyExistsException.class);

    WrittenAside.replaceFolder(target, folder -> Files.writeString(folder.resolve("two"), "2"));
    assertThat(target.resolve("two")).hasContent("2");
    assertThat(target.resolve("one")).doesNotExist();
    assertThat(names()).containsExactly("a");
  }

  @Test
  void theParentMustExist() {
    assertThatThrownBy(() -> WrittenAside.file(home.resolve("no/file"), path -> {}))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageEndingWith("no");
  }
}
