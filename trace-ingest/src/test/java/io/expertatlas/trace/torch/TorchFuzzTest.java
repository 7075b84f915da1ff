package io.expertatlas.trace.torch;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.expertatlas.trace.Golden;
import io.expertatlas.trace.TraceFormatException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * 10,000 mutated files: an error that names the file or the right answer, within seconds and
 * bounded memory. Bytes changed anywhere in a file must not change the answer; a pickle that was
 * changed and packed again, with a right checksum, has no right answer, but may do no harm.
 */
class TorchFuzzTest {
  private static final int CASES = 10_000;
  private static final long MOST_BYTES = 64L << 20; // a good file takes a few
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private static final List<String> PIECES =
      List.of(
          "\u0080\u0002",
          "(",
          "(((((((((",
          ")",
          "]",
          "}",
          "t",
          "\u0085",
          "\u0086",
          "\u0087",
          "R",
          "Q",
          "b",
          "s",
          "u",
          "a",
          "e",
          "q\u0001",
          "h\u0001",
          "h\u0005",
          "\u0094",
          "N",
          "\u0088",
          "K\u0000",
          "K\u0001",
          "K\u00ff",
          "J\u00ff\u00ff\u00ff\u00ff",
          "J\u00ff\u00ff\u00ff\u007f",
          "M\u00ff\u00ff",
          "\u008a\u0008\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f",
          "\u008a\u0007\u0000\u0000\u0000\u0000\u0000\u0000\u0040",
          "\u008a\u0001\u00ff",
          "X\u00ff\u00ff\u00ff\u007f",
          "X\u0001\u0000\u0000\u00000",
          "\u008c\u0003abc",
          "C\u0004abcd",
          "\u008e\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f",
          "B\u00ff\u00ff\u00ff\u007f",
          "r\u00ff\u00ff\u00ff\u00ff",
          "G\u007f\u00f0\u0000\u0000\u0000\u0000\u0000\u0000",
          "ctorch\nIntStorage\n",
          "ctorch\nBFloat16Storage\n",
          "ctorch._utils\n_rebuild_tensor_v2\n",
          "cos\nsystem\n",
          "cjava.lang\nRuntime\n",
          "ccollections\nOrderedDict\n",
          "cnumpy\ndtype\n",
          "cnumpy.core.multiarray\n_reconstruct\n",
          "ctorch\nSize\n",
          "\u0093",
          "0",
          ".");

  @TempDir private Path temp;

  @Test
  void mutatedFilesAreRefusedOrReadRight() throws IOException {
    List<Path> goods;
    try (var files = Files.list(Golden.path("torch/good"))) {
      goods = files.sorted().toList();
    }

    List<byte[]> contents = new ArrayList<>();
    List<String> answers = new ArrayList<>();
    for (Path good : goods) {
      contents.add(Files.readAllBytes(good));
      answers.add(read(good));
    }

    Path file = temp.resolve("mutated.pt");
    int right = 0;
    int harmless = 0;
    for (int seed = 0; seed < CASES; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      int which = random.nextInt(goods.size());
      boolean packedAgain = random.nextBoolean();
      Files.write(
          file,
          packedAgain
              ? repacked(goods.get(which), random)
              : mutated(contents.get(which), random, false));
      String name = "seed %d of %s".formatted(seed, goods.get(which).getFileName());
      long allocated = THREADS.getCurrentThreadAllocatedBytes();
      String answer =
          Assertions.assertTimeout(Duration.ofSeconds(10), () -> readOrRefuse(file, name), name);
      assertThat(THREADS.getCurrentThreadAllocatedBytes() - allocated)
          .as(name)
          .isLessThan(MOST_BYTES);
      if (!answer.isEmpty()) {
        if (!packedAgain) {
          assertThat(answer).as(name).isEqualTo(answers.get(which));
          right++;
        } else {
          harmless++;
        }
      }
    }

    assertThat(right).isBetween(CASES / 50, CASES / 2); // both happen
    assertThat(harmless).isBetween(CASES / 50, CASES / 2);
  }

  private static String readOrRefuse(Path file, String name) {
    try {
      return read(file);
    } catch (TraceFormatException e) {
      assertThat(e.getMessage()).as(name).contains(file.toString()).doesNotContain("\n");
      return "";
    }
  }

  /** Everything in a file that can be asked for, as text. */
  private static String read(Path path) {
    try (TorchFile file = TorchFile.open(path)) {
      StringBuilder text = new StringBuilder();
      describe(file.root(), 6, text);
      return text.toString();
    }
  }

  private static void describe(TorchValue value, int depth, StringBuilder text) {
    text.append(value.describe()).append('\n');
    if (depth == 0 || text.length() > 1 << 20) {
      return;
    }

    if (value.isTensor()) {
      TorchTensor tensor = value.tensor();
      float[] numbers = new float[(int) Math.min(1000, tensor.count())];
      tensor.readFloats(0, numbers.length, numbers);
      text.append(Arrays.toString(numbers)).append('\n');
    } else if (value.isList()) {
      for (int i = 0; i < Math.min(100, value.size()); i++) {
        describe(value.at(i), depth - 1, text);
      }
    } else {
      value.keys().forEach(key -> describe(value.key(key), depth - 1, text.append(key)));
    }
  }

  private static byte[] repacked(Path archive, SplittableRandom random) throws IOException {
    Map<String, byte[]> members = new LinkedHashMap<>();
    try (ZipFile zip = new ZipFile(archive.toFile())) {
      for (ZipEntry entry : Collections.list(zip.entries())) {
        members.put(entry.getName(), zip.getInputStream(entry).readAllBytes());
      }
    }

    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(out)) {
      zip.setMethod(ZipOutputStream.STORED);
      for (Map.Entry<String, byte[]> member : members.entrySet()) {
        byte[] bytes = member.getValue();
        if (member.getKey().endsWith("data.pkl")) {
          for (int i = 1 + random.nextInt(3); i > 0; i--) {
            bytes = mutated(bytes, random, true);
          }
        }

        CRC32 crc = new CRC32();
        crc.update(bytes);
        ZipEntry entry = new ZipEntry(member.getKey());
        entry.setSize(bytes.length);
        entry.setCrc(crc.getValue());
        zip.putNextEntry(entry);
        zip.write(bytes);
      }
    }

    return out.toByteArray();
  }

  private static byte[] mutated(byte[] bytes, SplittableRandom random, boolean pickle) {
    int at = random.nextInt(random.nextInt(3) == 0 ? bytes.length : Math.min(bytes.length, 2000));
    byte[] changed = bytes.clone();
    switch (random.nextInt(pickle ? 6 : 5)) {
      case 0 -> changed[at] = (byte) random.nextInt(256);
      case 1 -> changed[at] ^= (byte) (1 << random.nextInt(8));
      case 2 -> {
        return pickle ? replaced(bytes, at, at, random) : Arrays.copyOf(bytes, at);
      }
      case 3 -> {
        int last = bytes.length - 1 - random.nextInt(Math.min(bytes.length, 1500)); // directory
        changed[last] = (byte) random.nextInt(256);
      }
      case 4 -> {
        return replaced(bytes, at, Math.min(bytes.length, at + random.nextInt(6)), random);
      }
      default -> {
        int to = Math.min(bytes.length, at + random.nextInt(300));
        byte[] repeated = new byte[bytes.length + to - at];
        System.arraycopy(bytes, 0, repeated, 0, to);
        System.arraycopy(bytes, at, repeated, to, bytes.length - at);
        return repeated;
      }
    }

    return changed;
  }

  private static byte[] replaced(byte[] bytes, int from, int to, SplittableRandom random) {
    byte[] piece = PIECES.get(random.nextInt(PIECES.size())).getBytes(StandardCharsets.ISO_8859_1);
    byte[] changed = new byte[bytes.length - (to - from) + piece.length];
    System.arraycopy(bytes, 0, changed, 0, from);
    System.arraycopy(piece, 0, changed, from, piece.length);
    System.arraycopy(bytes, to, changed, from + piece.length, bytes.length - to);
    return changed;
  }
}
