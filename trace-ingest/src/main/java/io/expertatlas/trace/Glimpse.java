package io.expertatlas.trace;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** What one sees of a path without knowing its format, in words. */
final class Glimpse {
  private static final int NAMES = 5;
  private static final int BYTES = 16;

  private Glimpse() {}

  static String of(Path path) {
    try {
      if (Files.isDirectory(path)) {
        return folder(path);
      }

      byte[] head;
      try (InputStream in = Files.newInputStream(path)) {
        head = in.readNBytes(BYTES);
      }

      if (head.length >= 4 && head[0] == 'P' && head[1] == 'K' && head[2] == 3 && head[3] == 4) {
        return archive(path);
      }

      return head.length == 0
          ? "an empty file"
          : "a file of %d bytes that starts with %s".formatted(Files.size(path), text(head));
    } catch (IOException | IllegalArgumentException e) {
      return "something unreadable: " + e.getMessage();
    }
  }

  private static String folder(Path path) throws IOException {
    try (Stream<Path> children = Files.list(path)) {
      List<String> names = children.map(child -> child.getFileName().toString()).sorted().toList();
      return "a folder with " + shown(names);
    }
  }

  private static String archive(Path path) throws IOException {
    try (ZipFile zip = new ZipFile(path.toFile())) {
      return "a zip archive with " + shown(zip.stream().map(ZipEntry::getName).sorted().toList());
    } catch (IOException e) {
      return "a broken zip archive (%s)".formatted(e.getMessage());
    }
  }

  private static String shown(List<String> names) {
    List<String> some =
        names.stream()
            .limit(NAMES)
            .map(name -> name.replaceAll("[^\\x20-\\x7e]", "?"))
            .map(name -> name.length() > 60 ? name.substring(0, 60) + "..." : name)
            .toList();
    return names.isEmpty()
        ? "nothing in it"
        : String.join(", ", some)
            + (names.size() > NAMES ? " and %d more".formatted(names.size() - NAMES) : "");
  }

  /** Bytes as Python would show them. */
  private static String text(byte[] bytes) {
    StringBuilder text = new StringBuilder("'");
    for (byte one : bytes) {
      text.append(one >= 32 && one < 127 ? "" + (char) one : "\\x%02x".formatted(one & 0xff));
    }

    return text.append("'").toString();
  }
}
