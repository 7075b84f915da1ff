package io.expertatlas.trace.format;

import static org.assertj.core.api.Assertions.assertThat;

import io.expertatlas.trace.Golden;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.Traces;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NpyFuzzTest {
  private static final int CASES = 2000;
  private static final List<String> PIECES =
      List.of(
          "'descr'",
          "'<i4'",
          "'|u1'",
          "'>u8'",
          "'<f8'",
          "[('a', '<i4')]",
          "fortran_order",
          "True",
          "False",
          "'shape'",
          "(7, 3, 2)",
          "(7, 6)",
          "(42,)",
          "()",
          "(999999999999999999,)",
          "(9999999999, 9999999999)",
          "(0, 3, 2)",
          "(0, 999999999999999999, 9999999999)",
          "{",
          "}",
          ",",
          ":",
          "'",
          "\"",
          "\\",
          "L",
          "\n",
          "\0",
          "9",
          "-",
          "é",
          "(((((((");

  @TempDir private Path temp;

  @Test
  void mutatedFilesAreReadOrRefused() throws IOException {
    List<Path> goods;
    try (var files = Files.list(Golden.path("format/good"))) {
      goods = files.filter(f -> f.toString().endsWith(".npy")).sorted().toList();
    }

    int read = 0;
    for (int seed = 0; seed < CASES; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      byte[] bytes = Files.readAllBytes(goods.get(random.nextInt(goods.size())));
      for (int i = 1 + random.nextInt(3); i > 0; i--) {
        bytes = mutate(bytes, random);
      }

      Path file = temp.resolve("mutated.npy");
      Files.write(file, bytes);
      String name = "seed " + seed;
      read +=
          Assertions.assertTimeout(Duration.ofSeconds(5), () -> readOrRefuse(file) ? 1 : 0, name);
    }

    assertThat(read).isBetween(CASES / 50, CASES - CASES / 50); // both happen
  }

  /** Whether the file was read; then what was read is a valid trace of the announced size. */
  private static boolean readOrRefuse(Path file) {
    try (TraceReader reader =
        new NpyFormat().open(TraceSource.of(file).withExperts(Golden.EXPERTS), TokenRange.ALL)) {
      RoutingTrace trace = Traces.readAll(reader);
      assertThat((long) trace.tokens()).isEqualTo(reader.tokens());
      return true;
    } catch (TraceFormatException e) {
      assertThat(e.getMessage()).contains(file.toString()).doesNotContain("\n");
      return false;
    }
  }

  private static byte[] mutate(byte[] bytes, SplittableRandom random) {
    if (bytes.length < 2) {
      return new byte[] {1, 2, 3};
    }

    int header = Math.min(bytes.length, 128);
    int at = random.nextInt(random.nextInt(4) == 0 ? bytes.length : header);
    switch (random.nextInt(8)) {
      case 0 -> {
        byte[] changed = bytes.clone();
        changed[at] = (byte) random.nextInt(256);
        return changed;
      }
      case 1 -> {
        byte[] changed = bytes.clone();
        changed[at] ^= (byte) (1 << random.nextInt(8));
        return changed;
      }
      case 2 -> {
        return Arrays.copyOf(bytes, at);
      }
      case 3 -> {
        return replace(bytes, at, Math.min(bytes.length, at + random.nextInt(9)), random);
      }
      case 4 -> {
        return replace(bytes, at, at, random);
      }
      case 5, 6 -> {
        byte[] changed = bytes.clone();
        int last = bytes.length - 1 - random.nextInt(Math.max(1, bytes.length - 128));
        changed[last] = (byte) random.nextInt(Golden.EXPERTS);
        return changed;
      }
      default -> {
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        int shape = text.indexOf('(');
        int end = text.indexOf(')');
        return shape < 0 || end < shape ? bytes : replace(bytes, shape, end + 1, random);
      }
    }
  }

  private static byte[] replace(byte[] bytes, int from, int to, SplittableRandom random) {
    byte[] piece = PIECES.get(random.nextInt(PIECES.size())).getBytes(StandardCharsets.ISO_8859_1);
    byte[] changed = new byte[bytes.length - (to - from) + piece.length];
    System.arraycopy(bytes, 0, changed, 0, from);
    System.arraycopy(piece, 0, changed, from, piece.length);
    System.arraycopy(bytes, to, changed, from + piece.length, bytes.length - to);
    return changed;
  }
}
