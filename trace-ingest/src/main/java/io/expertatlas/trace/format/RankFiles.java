package io.expertatlas.trace.format;

import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.input.InputFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Files of a folder whose names, once they are decompressed, hold a number: that of a rank. */
final class RankFiles {
  private RankFiles() {}

  /** The number in a file's name, if the name is of the pattern, whose first group it is. */
  static Optional<Integer> number(Path file, Pattern pattern) {
    Matcher name = pattern.matcher(InputFiles.plainName(file));
    return name.matches() ? Optional.of(Integer.parseInt(name.group(1))) : Optional.empty();
  }

  /**
   * The files by number.
   *
   * @throws TraceFormatException if one number stands in the names of two
   */
  static SortedMap<Integer, Path> of(Path folder, Pattern pattern) {
    SortedMap<Integer, Path> files = new TreeMap<>();
    try (Stream<Path> children = Files.list(folder)) {
      for (Path child : children.sorted().toList()) {
        Optional<Integer> number = number(child, pattern);
        if (number.isPresent()) {
          Path other = files.put(number.get(), child);
          if (other != null) {
            throw new TraceFormatException(
                "Cannot tell which to read in %s: %s and %s have the same number"
                    .formatted(folder, other.getFileName(), child.getFileName()));
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(folder, e.getMessage()), e);
    }

    return files;
  }

  /** Whether a folder has a file of the pattern. */
  static boolean has(Path folder, Pattern pattern) {
    return any(folder, child -> number(child, pattern).isPresent());
  }

  /** Whether a file of the pattern in a folder is compressed. */
  static boolean hasCompressed(Path folder, Pattern pattern) {
    return any(
        folder, child -> number(child, pattern).isPresent() && InputFiles.isCompressed(child));
  }

  private static boolean any(Path folder, Predicate<Path> wanted) {
    try (Stream<Path> children = Files.list(folder)) {
      return children.anyMatch(wanted);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read %s: %s".formatted(folder, e.getMessage()), e);
    }
  }
}
