package io.expertatlas.trace.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputFolderTest {
  @TempDir private Path home;

  private OutputFolder folder(String name, boolean overwrite) {
    return new OutputFolder(home.resolve(name), overwrite, "plan", Pattern.compile("plan\\.json"));
  }

  @Test
  void aNewFolderIsWrittenAndAnOldOneReplacedOnRequest() throws IOException {
    folder("a", false).write(aside -> Files.writeString(aside.resolve("plan.json"), "1"));

    assertThatThrownBy(() -> folder("a", false).check())
        .hasMessage("Cannot write %s: it exists already. Maybe add --overwrite", home.resolve("a"));
    folder("a", true).write(aside -> Files.writeString(aside.resolve("plan.json"), "2"));
    assertThat(home.resolve("a/plan.json")).hasContent("2");
  }

  @Test
  void foldersOfAnotherKindAreNeverReplaced() throws IOException {
    Files.createDirectory(home.resolve("a"));
    Files.writeString(home.resolve("a/thesis.tex"), "precious");
    Files.writeString(home.resolve("file"), "precious");

    assertThatThrownBy(() -> folder("a", true).check())
        .hasMessage(
            "Cannot overwrite %s: it holds thesis.tex, which no plan has", home.resolve("a"));
    assertThatThrownBy(() -> folder("file", true).check())
        .hasMessage("Cannot overwrite %s: it is not a folder", home.resolve("file"));
    assertThat(home.resolve("a/thesis.tex")).hasContent("precious");
  }

  @Test
  void theParentMustExist() {
    assertThatThrownBy(() -> folder("no/a", false).check())
        .hasMessage(
            "Cannot write %s: the folder %s does not exist",
            home.resolve("no/a"), home.resolve("no"));
  }
}
