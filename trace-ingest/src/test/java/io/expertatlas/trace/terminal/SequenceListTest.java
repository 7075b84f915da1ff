package io.expertatlas.trace.terminal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SequenceListTest {
  @TempDir Path folder;

  @Test
  void idsOfAFileTakeItsPlaceAsRanges() throws IOException {
    Path list = write("9\n4\n\n 5\n6\n9\n0\n");

    assertThat(SequenceList.expand("@" + list)).isEqualTo("0,4:7,9");
    assertThat(SequenceList.expand("%2=0, ^@" + list + ",3")).isEqualTo("%2=0,^0,^4:7,^9,3");
  }

  @Test
  void expressionsWithoutFilesStayAsTheyAre() {
    assertThat(SequenceList.expand("all")).isEqualTo("all");
    assertThat(SequenceList.expand("1,^2:3,%2=0")).isEqualTo("1,^2:3,%2=0");
  }

  @Test
  void filesThatAreNoListsAreRefused() throws IOException {
    Path header = write("seq_id\n3\n");
    assertThatThrownBy(() -> SequenceList.expand("@" + header))
        .hasMessage(
            "Invalid sequence id in %s:1: 'seq_id', expected a whole number of at most 9 digits"
                .formatted(header));
    Path empty = write("\n");
    assertThatThrownBy(() -> SequenceList.expand("@" + empty))
        .hasMessage("Invalid list of sequences: %s is empty".formatted(empty));
    Path missing = folder.resolve("missing");
    assertThatThrownBy(() -> SequenceList.expand("^@" + missing))
        .hasMessage("Cannot use file %s: no such file or folder".formatted(missing));
  }

  private Path write(String text) throws IOException {
    return Files.writeString(folder.resolve("list.txt"), text);
  }
}
