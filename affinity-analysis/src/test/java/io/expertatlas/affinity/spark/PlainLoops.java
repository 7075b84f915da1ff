package io.expertatlas.affinity.spark;

import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;

/**
 * Counting a mapped {@code .npy} file of bytes with nothing around it: in C, whose loops the
 * compiler knows the lengths of, and in Java on one thread.
 */
final class PlainLoops {
  private PlainLoops() {}

  /** How long the C loop ran, and what it counted; no sets if it was not to count them. */
  record Run(double wallNanos, double cpuNanos, SharedCounts counts, long distinctSets) {}

  /**
   * Compiles the C loop for a shape; empty if there is no {@code cc}.
   *
   * @param sets whether it counts the distinct sets of experts, too
   */
  static Optional<Path> compile(ModelShape shape, boolean sets, Path folder)
      throws IOException, InterruptedException {
    Path source = folder.resolve("count_routes.c");
    try (InputStream in = PlainLoops.class.getResourceAsStream("count_routes.c")) {
      Files.write(source, in.readAllBytes());
    }

    Path binary =
        folder.resolve(
            "count_routes_%d_%d%s".formatted(shape.layers(), shape.experts(), sets ? "s" : ""));
    ProcessBuilder compiler =
        new ProcessBuilder(
                "cc",
                "-O3",
                "-march=native",
                "-DLAYERS=" + shape.layers(),
                "-DEXPERTS=" + shape.experts(),
                "-DTOP_K=" + shape.topK(),
                sets ? "-DSETS" : "-USETS",
                "-o",
                binary.toString(),
                source.toString())
            .redirectErrorStream(true);
    Process process;
    try {
      process = compiler.start();
    } catch (IOException e) {
      return Optional.empty(); // no cc
    }

    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException("Cannot compile %s: %s".formatted(source, said));
    }

    return Optional.of(binary);
  }

  /** Runs the C loop over the first tokens of a file. */
  static Run c(Path binary, ModelShape shape, Path file, long tokens)
      throws IOException, InterruptedException {
    Path out = binary.resolveSibling("counts.bin");
    Process process =
        new ProcessBuilder(
                List.of(
                    binary.toString(),
                    file.toString(),
                    String.valueOf(dataOffset(file)),
                    String.valueOf(tokens),
                    out.toString()))
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException("Cannot count %s: %s".formatted(file, said));
    }

    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(out)).order(ByteOrder.nativeOrder());
    SharedCounts counts = new SharedCounts(shape);
    for (long[] array : counts.arrays()) {
      for (int i = 0; i < array.length; i++) {
        array[i] = bytes.getLong();
      }
    }

    String[] nanos = said.trim().split(" ");
    return new Run(
        Double.parseDouble(nanos[0]),
        Double.parseDouble(nanos[1]),
        counts,
        Long.parseLong(nanos[2]));
  }

  /** Counts the first tokens of a file in Java. */
  static SharedCounts java(ModelShape shape, Path file, long tokens) throws IOException {
    int width = shape.choicesPerToken();
    int window = (1 << 24) / width * width;
    byte[] block = new byte[window];
    SharedCounts counts = new SharedCounts(shape);
    long end = tokens * width;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      for (long at = 0; at < end; at += window) {
        int bytes = (int) Math.min(window, end - at);
        MappedByteBuffer map =
            channel.map(FileChannel.MapMode.READ_ONLY, dataOffset(file) + at, bytes);
        map.get(block, 0, bytes);
        count(counts, block, bytes);
      }
    }

    return counts;
  }

  private static void count(SharedCounts counts, byte[] trace, int bytes) {
    int layers = counts.shape.layers();
    int experts = counts.shape.experts();
    int k = counts.shape.topK();
    long units = SharedCounts.units(counts.shape);
    for (int token = 0; token < bytes; token += layers * k) {
      for (int layer = 0; layer < layers; layer++) {
        int here = token + layer * k;
        int row = layer * experts;
        counts.firstChoices[row + (trace[here] & 0xff)]++;
        for (int i = 0; i < k; i++) {
          int a = trace[here + i] & 0xff;
          counts.choices[row + a]++;
          for (int j = 0; j < i; j++) {
            int b = trace[here + j] & 0xff;
            counts.together[(row + Math.min(a, b)) * experts + Math.max(a, b)]++;
          }
        }

        if (layer + 1 < layers) {
          int next = here + k;
          counts.firstPairs[(row + (trace[here] & 0xff)) * experts + (trace[next] & 0xff)]++;
          for (int i = 0; i < k; i++) {
            int from = (row + (trace[here + i] & 0xff)) * experts;
            for (int j = 0; j < k; j++) {
              counts.pairUnits[from + (trace[next + j] & 0xff)] += units;
            }
          }
        }
      }
    }
  }

  /** Where the data of an {@code .npy} file of version 1 begin. */
  static long dataOffset(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      ByteBuffer start = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN);
      channel.read(start, 0);
      return 10 + start.getShort(8);
    }
  }

  /** Writes a block of tokens so many times over as an {@code .npy} file of bytes. */
  static void write(Path file, ModelShape shape, byte[] block, int times) throws IOException {
    long tokens = (long) block.length / shape.choicesPerToken() * times;
    String header =
        "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, %d, %d), }"
            .formatted(tokens, shape.layers(), shape.topK());
    header = header + " ".repeat(127 - 10 - header.length()) + "\n";
    ByteBuffer start = ByteBuffer.allocate(128).order(ByteOrder.LITTLE_ENDIAN);
    start.put((byte) 0x93).put("NUMPY\1\0".getBytes(StandardCharsets.ISO_8859_1));
    start.putShort((short) header.length()).put(header.getBytes(StandardCharsets.ISO_8859_1));
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      channel.write(start.flip());
      for (int i = 0; i < times; i++) {
        ByteBuffer data = ByteBuffer.wrap(block);
        while (data.hasRemaining()) {
          channel.write(data);
        }
      }
    }
  }
}
