package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputFiles;
import io.expertatlas.trace.input.ZipArchive;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The CSV files of SGLang's first recorder: {@code layer_id,expert_id,count}, one file of each
 * rank. A folder of them is one window, in which the ranks are added.
 */
final class SglangCsv implements SglangWindows {
  private static final String HEADER = "layer_id,expert_id,count";
  private static final Pattern LINE = Pattern.compile("(\\d{1,6}),(\\d{1,6}),(\\d{1,18})");
  private static final int MAX_LAYERS = 1 << 12;

  private final Path path;
  private final int layers;
  private final int experts;
  private final long[] counts; // [layer][expert]

  private SglangCsv(Path path, int layers, int experts, long[] counts) {
    this.path = path;
    this.layers = layers;
    this.experts = experts;
    this.counts = counts;
  }

  /** Whether this is such a file, or a folder with nothing but such CSV files. */
  static boolean recognizes(Path path) {
    try {
      List<Path> files = files(path);
      return !files.isEmpty() && files.stream().allMatch(SglangCsv::hasHeader);
    } catch (TraceFormatException | UncheckedIOException e) {
      return false; // not readable: whoever opens it says why
    }
  }

  private static boolean hasHeader(Path file) {
    String head = new String(InputFiles.head(file, 64), StandardCharsets.ISO_8859_1);
    return head.lines().findFirst().orElse("").equals(HEADER);
  }

  private static List<Path> files(Path path) {
    if (!Files.isDirectory(path)) {
      return List.of(path);
    }

    try (Stream<Path> children = Files.list(path)) {
      return children.filter(file -> InputFiles.plainName(file).endsWith(".csv")).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot list %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  /** Reads and adds the files. */
  static SglangCsv read(Path path) {
    int layers = 0;
    int experts = 0;
    long[] sums = {};
    Path first = null;
    for (Path file : files(path)) {
      Map<Long, Long> counts = readFile(file); // layer << 32 | expert
      int fileLayers = 0;
      int fileExperts = 0;
      for (long key : counts.keySet()) {
        fileLayers = Math.max(fileLayers, (int) (key >> 32) + 1);
        fileExperts = Math.max(fileExperts, (int) key + 1);
      }

      if (counts.isEmpty() || counts.size() != (long) fileLayers * fileExperts) {
        throw new TraceFormatException(
            "Invalid counts in %s: %d lines, expected one for each of %d layers x %d experts"
                .formatted(file, counts.size(), fileLayers, fileExperts));
      }

      if (first == null) {
        first = file;
        layers = fileLayers;
        experts = fileExperts;
        sums = new long[layers * experts];
      } else if (layers != fileLayers || experts != fileExperts) {
        throw new TraceFormatException(
            "Cannot add the counts of ranks: %s has %d layers x %d experts, %s has %d x %d"
                .formatted(first, layers, experts, file, fileLayers, fileExperts));
      }

      int at = 0;
      for (long count : counts.values()) { // in the order of the keys
        sums[at] += count;
        if (sums[at++] < 0) {
          throw new TraceFormatException(
              "Invalid counts in %s: their sum over ranks exceeds %d"
                  .formatted(file, Long.MAX_VALUE));
        }
      }
    }

    return new SglangCsv(path, layers, experts, sums);
  }

  private static Map<Long, Long> readFile(Path file) {
    Map<Long, Long> counts = new TreeMap<>();
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(InputFiles.stream(file), StandardCharsets.ISO_8859_1))) {
      int number = 1;
      String header = line(lines, file, number);
      if (!HEADER.equals(header)) {
        throw new TraceFormatException(
            "Invalid header of %s: '%s', expected %s"
                .formatted(file, ZipArchive.printable(String.valueOf(header)), HEADER));
      }

      for (String line = line(lines, file, ++number);
          line != null;
          line = line(lines, file, ++number)) {
        Matcher matcher = LINE.matcher(line);
        if (!matcher.matches()) {
          throw new TraceFormatException(
              "Invalid line %d of %s: '%s', expected %s"
                  .formatted(number, file, ZipArchive.printable(line), HEADER));
        }

        long layer = Long.parseLong(matcher.group(1));
        long expert = Long.parseLong(matcher.group(2));
        if (layer >= MAX_LAYERS || expert >= ModelShape.MAX_EXPERTS) {
          throw new TraceFormatException(
              "Invalid line %d of %s: '%s', layers below %d and experts below %d"
                  .formatted(number, file, line, MAX_LAYERS, ModelShape.MAX_EXPERTS));
        }

        if (counts.put(layer << 32 | expert, Long.parseLong(matcher.group(3))) != null) {
          throw new TraceFormatException(
              "Invalid line %d of %s: layer %d, expert %d stands twice"
                  .formatted(number, file, layer, expert));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(file, e.getMessage()), e);
    }

    return counts;
  }

  /** The next line, or null at the end; never more of a line than a count needs. */
  private static String line(BufferedReader lines, Path file, int number) throws IOException {
    StringBuilder line = new StringBuilder();
    int next = lines.read();
    if (next < 0) {
      return null;
    }

    for (; next >= 0 && next != '\n'; next = lines.read()) {
      line.append((char) next);
      if (line.length() > 100) {
        throw new TraceFormatException(
            "Invalid line %d of %s: longer than 100 characters, expected %s"
                .formatted(number, file, HEADER));
      }
    }

    int length = line.length();
    return line.substring(0, length > 0 && line.charAt(length - 1) == '\r' ? length - 1 : length);
  }

  @Override
  public int layers() {
    return layers;
  }

  @Override
  public int experts() {
    return experts;
  }

  @Override
  public int windows() {
    return 1;
  }

  @Override
  public long step(int window) {
    return 0;
  }

  @Override
  public long[] counts(int window) {
    return counts.clone();
  }

  @Override
  public String place(int window) {
    return path.toString();
  }

  @Override
  public void close() {}
}
