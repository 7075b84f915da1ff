package io.expertatlas.runtime.finetune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.expertatlas.runtime.train.AdamW;
import io.expertatlas.runtime.train.TokenBatch;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenRowsTest {
  /** Documents 0 to 9 of 7 tokens, all tokens different. */
  private static List<int[]> documents() {
    return IntStream.range(0, 10)
        .mapToObj(i -> IntStream.range(7 * i, 7 * i + 7).toArray())
        .toList();
  }

  private static List<Integer> trained(TokenRows rows, int firstStep, int steps, int batch) {
    List<Integer> tokens = new ArrayList<>();
    for (int step = firstStep; step < firstStep + steps; step++) {
      rows.batch(step, batch).forEach(row -> Arrays.stream(row).forEach(tokens::add));
    }

    return tokens;
  }

  @Test
  void everyTokenIsTrainedOnOncePerPassOrHeldOut() {
    TokenRows rows = TokenRows.pack(documents(), 5, 0.3, 1);
    assertThat(rows.trainRows()).isEqualTo(10);
    assertThat(rows.heldOutRows()).isEqualTo(4);
    List<Integer> held = new ArrayList<>();
    for (TokenBatch batch : rows.heldOut(3)) {
      batch.sequences().forEach(row -> Arrays.stream(row).forEach(held::add));
    }

    List<Integer> first = trained(rows, 0, 5, 2);
    List<Integer> second = trained(rows, 5, 5, 2);
    assertThat(first).doesNotHaveDuplicates().doesNotContainAnyElementsOf(held);
    assertThat(second).containsExactlyInAnyOrderElementsOf(first).isNotEqualTo(first);
    held.addAll(first);
    assertThat(held).containsExactlyInAnyOrderElementsOf(IntStream.range(0, 70).boxed().toList());
  }

  @Test
  void batchesThatDoNotDivideAPassGoOnInTheNext() {
    TokenRows rows = TokenRows.pack(documents(), 5, 0.3, 1);
    List<Integer> inThrees = trained(rows, 0, 10, 3);
    assertThat(inThrees).isEqualTo(trained(rows, 0, 30, 1));
  }

  @Test
  void seedsGiveOrders() {
    TokenRows one = TokenRows.pack(documents(), 5, 0.3, 1);
    assertThat(TokenRows.pack(documents(), 5, 0.3, 1).digest()).isEqualTo(one.digest());
    assertThat(TokenRows.pack(documents(), 5, 0.3, 2).digest()).isNotEqualTo(one.digest());
  }

  @Test
  void tooLittleTextIsRefused() {
    assertThatThrownBy(() -> TokenRows.pack(documents(), 36, 0.3, 1))
        .hasMessage(
            "Not enough text: 70 tokens in 10 documents are 1 rows of 36, needed is one to train"
                + " on and one to hold out. Maybe lower --sequence-length");
    assertThatThrownBy(() -> TokenRows.pack(List.of(), 36, 0.3, 1))
        .hasMessageStartingWith("Not enough text: 0 tokens in 0 documents");
  }

  @Test
  void theBatchFileHoldsTheRowsOfAllSteps() throws IOException {
    TokenRows rows = TokenRows.pack(documents(), 5, 0.3, 1);
    TrainingSettings settings =
        new TrainingSettings(
            3, 2, 1, 5, 1, RateSchedule.CONSTANT, 0, new AdamW(0, 0, 1, 0), 0, 0.3, 1);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    BatchFile.write(rows, settings, out);
    ByteBuffer bytes = ByteBuffer.wrap(out.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
    int header = bytes.getShort(8);
    assertThat((10 + header) % 64).isZero();
    assertThat(new String(out.toByteArray(), 10, header, StandardCharsets.US_ASCII).strip())
        .isEqualTo("{'descr': '<i4', 'fortran_order': False, 'shape': (6, 5), }");
    bytes.position(10 + header);
    List<Integer> found = new ArrayList<>();
    while (bytes.hasRemaining()) {
      found.add(bytes.getInt());
    }

    assertThat(found).isEqualTo(trained(rows, 0, 3, 2));
  }

  @Test
  void documentsAreFilesAndThoseOfFoldersInOrderOfTheirPath(@TempDir Path folder)
      throws IOException {
    Path inside = Files.createDirectories(folder.resolve("b/c"));
    Files.writeString(inside.resolve("2.txt"), "22");
    Files.writeString(folder.resolve("b/1.txt"), "1");
    Files.writeString(folder.resolve("a.txt"), "333");
    List<int[]> found =
        TextFiles.read(
            List.of(folder.resolve("b"), folder.resolve("a.txt")),
            text -> new int[] {0, text.length()},
            9);
    assertThat(found)
        .containsExactly(new int[] {0, 1, 9}, new int[] {0, 2, 9}, new int[] {0, 3, 9});
    Path binary = Files.write(folder.resolve("binary"), new byte[] {(byte) 0xff, 0});
    assertThatThrownBy(() -> TextFiles.read(List.of(binary), text -> new int[0], -1))
        .isInstanceOf(IOException.class)
        .hasMessage("Cannot read text %s: it is not UTF-8".formatted(binary));
  }

  @Test
  void ratesRiseAndFallAsTheirScheduleSays() {
    for (RateSchedule schedule : RateSchedule.values()) {
      assertThat(schedule.rate(2, 0, 10, 4)).isEqualTo(0.5);
      assertThat(schedule.rate(2, 3, 10, 4)).isEqualTo(2);
      assertThat(schedule.rate(2, 4, 10, 4)).isEqualTo(2);
    }

    assertThat(RateSchedule.CONSTANT.rate(2, 9, 10, 4)).isEqualTo(2);
    assertThat(RateSchedule.LINEAR.rate(2, 7, 10, 4)).isEqualTo(1);
    assertThat(RateSchedule.LINEAR.rate(2, 10, 10, 0)).isZero();
    assertThat(RateSchedule.COSINE.rate(2, 7, 10, 4)).isCloseTo(1, within(1e-12));
    assertThat(RateSchedule.COSINE.rate(2, 8, 12, 0)).isCloseTo(0.5, within(1e-12));
  }
}
