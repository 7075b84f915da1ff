package io.expertatlas.trace.terminal;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/**
 * Files of sequence ids in an expression of {@code --sequences}: {@code @FILE} stands for the ids
 * in the file, {@code ^@FILE} leaves them out. The expression that results names the ids, so that
 * what an output says of its source does not depend on the file.
 */
final class SequenceList {
  private static final int MOST_DIGITS = 9;

  private SequenceList() {}

  /**
   * Puts ids in the place of files.
   *
   * @throws IllegalArgumentException if a file cannot be read, holds no id, or something else than
   *     ids, one a line
   */
  static String expand(String expression) {
    List<String> terms = new ArrayList<>();
    for (String part : expression.split(",", -1)) {
      String term = part.strip();
      String sign = term.startsWith("^") ? "^" : "";
      String rest = term.substring(sign.length()).strip();
      if (rest.startsWith("@")) {
        ranges(read(Path.of(rest.substring(1)))).forEach(range -> terms.add(sign + range));
      } else {
        terms.add(term);
      }
    }

    return String.join(",", terms);
  }

  private static TreeSet<Integer> read(Path file) {
    List<String> lines;
    try {
      lines = Files.readAllLines(file);
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException("Cannot read %s: it is not UTF-8".formatted(file), e);
    } catch (IOException e) {
      throw new IllegalArgumentException(Terminal.message(e), e);
    }

    TreeSet<Integer> ids = new TreeSet<>();
    for (int line = 0; line < lines.size(); line++) {
      String id = lines.get(line).strip();
      if (id.isEmpty()) {
        continue;
      }

      if (!id.matches("\\d{1," + MOST_DIGITS + "}")) {
        throw new IllegalArgumentException(
            "Invalid sequence id in %s:%d: '%s', expected a whole number of at most %d digits"
                .formatted(file, line + 1, id, MOST_DIGITS));
      }

      ids.add(Integer.parseInt(id));
    }

    if (ids.isEmpty()) {
      throw new IllegalArgumentException("Invalid list of sequences: %s is empty".formatted(file));
    }

    return ids;
  }

  /** Ascending ids as terms: {@code 4}, or {@code 4:7} for 4, 5 and 6. */
  private static List<String> ranges(TreeSet<Integer> ids) {
    List<String> ranges = new ArrayList<>();
    int from = ids.first();
    int to = from;
    for (int id : ids) {
      if (id > to) {
        ranges.add(range(from, to));
        from = id;
      }

      to = id + 1;
    }

    ranges.add(range(from, to));
    return ranges;
  }

  private static String range(int from, int to) {
    return to - from == 1 ? Integer.toString(from) : from + ":" + to;
  }
}
