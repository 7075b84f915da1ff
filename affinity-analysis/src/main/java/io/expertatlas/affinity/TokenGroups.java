package io.expertatlas.affinity;

import io.expertatlas.trace.Phase;
import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Which group a token belongs to: its sequence, its phase, or what a CSV file says of its sequence
 * (a task, a domain, a request class). Immutable.
 */
public final class TokenGroups implements Serializable {
  /** Most groups that an analysis is split by. */
  public static final int MAX_GROUPS = 256;

  /** Every token in one group. */
  public static final TokenGroups NONE = new TokenGroups(Kind.NONE, "none", new int[0], new int[0]);

  /** Each sequence is a group. */
  public static final TokenGroups SEQUENCE =
      new TokenGroups(Kind.SEQUENCE, "sequence", new int[0], new int[0]);

  /** Prompt and generated tokens. */
  public static final TokenGroups PHASE =
      new TokenGroups(Kind.PHASE, "phase", new int[0], new int[0]);

  private static final long serialVersionUID = 1;

  private enum Kind {
    NONE,
    SEQUENCE,
    PHASE,
    FILE
  }

  private final Kind kind;
  private final String label;
  private final int[] sequences; // ascending
  private final int[] groups; // [index in sequences]
  private final ArrayList<String> names; // [group]

  private TokenGroups(Kind kind, String label, int[] sequences, int[] groups, String... names) {
    this.kind = kind;
    this.label = label;
    this.sequences = sequences;
    this.groups = groups;
    this.names = new ArrayList<>(Arrays.asList(names));
  }

  /**
   * Parses {@code sequence}, {@code phase} or the path of a CSV file.
   *
   * @throws IllegalArgumentException if the file is broken or has too many groups
   * @throws IOException if it cannot be read
   */
  public static TokenGroups parse(String text) throws IOException {
    return switch (text) {
      case "sequence" -> SEQUENCE;
      case "phase" -> PHASE;
      default -> read(Path.of(text));
    };
  }

  /**
   * Reads a CSV file whose header names the columns {@code sequence} and {@code group}, in any
   * place; other columns are left aside. Quotes are not taken. Groups are numbered in the order of
   * their names.
   *
   * @throws IllegalArgumentException if a line is of another form or a sequence stands twice; with
   *     file and line
   * @throws IOException if it cannot be read
   */
  public static TokenGroups read(Path file) throws IOException {
    List<String> lines;
    try {
      lines = Files.readAllLines(file);
    } catch (MalformedInputException e) {
      throw new IllegalArgumentException("Cannot read %s: it is not UTF-8".formatted(file), e);
    }

    List<String> header = lines.isEmpty() ? List.of() : cells(lines.get(0));
    int sequenceColumn = header.indexOf("sequence");
    int groupColumn = header.indexOf("group");
    if (sequenceColumn < 0 || groupColumn < 0) {
      throw problem(file, 1, "the header has no columns sequence and group");
    }

    TreeMap<Integer, String> groupOf = new TreeMap<>();
    for (int line = 1; line < lines.size(); line++) {
      if (lines.get(line).isBlank()) {
        continue;
      }

      List<String> cells = cells(lines.get(line));
      if (lines.get(line).indexOf('"') >= 0 || cells.size() != header.size()) {
        throw problem(
            file,
            line + 1,
            "%d cells, expected %d without quotes".formatted(cells.size(), header.size()));
      }

      String sequence = cells.get(sequenceColumn);
      String group = cells.get(groupColumn);
      if (!sequence.matches("\\d{1,9}") || group.isEmpty()) {
        throw problem(
            file,
            line + 1,
            "sequence '%s', group '%s', expected a sequence id and a name"
                .formatted(sequence, group));
      }

      if (groupOf.put(Integer.parseInt(sequence), group) != null) {
        throw problem(file, line + 1, "sequence %s stands twice".formatted(sequence));
      }
    }

    List<String> names = groupOf.values().stream().distinct().sorted().toList();
    if (names.isEmpty() || names.size() > MAX_GROUPS) {
      throw new IllegalArgumentException(
          "Invalid groups in %s: %d, 1 to %d".formatted(file, names.size(), MAX_GROUPS));
    }

    TreeMap<String, Integer> ids = new TreeMap<>();
    names.forEach(name -> ids.put(name, ids.size()));
    int[] sequences = new int[groupOf.size()];
    int[] groups = new int[sequences.length];
    int at = 0;
    for (Map.Entry<Integer, String> entry : groupOf.entrySet()) {
      sequences[at] = entry.getKey();
      groups[at++] = ids.get(entry.getValue());
    }

    return new TokenGroups(
        Kind.FILE, file.getFileName().toString(), sequences, groups, names.toArray(String[]::new));
  }

  private static List<String> cells(String line) {
    List<String> cells = new ArrayList<>();
    for (String cell : line.replace("\uFEFF", "").split(",", -1)) {
      cells.add(cell.strip());
    }

    return cells;
  }

  private static IllegalArgumentException problem(Path file, int line, String what) {
    return new IllegalArgumentException("Invalid groups in %s:%d: %s".formatted(file, line, what));
  }

  /** Whether there is one group of all tokens. */
  public boolean isNone() {
    return kind == Kind.NONE;
  }

  /** Whether the phase of a token decides. */
  public boolean needsPhase() {
    return kind == Kind.PHASE;
  }

  /** What the tokens are grouped by: {@code sequence}, {@code phase} or the name of the file. */
  public String label() {
    return label;
  }

  /**
   * The group of a token.
   *
   * @throws IllegalArgumentException if the file does not know its sequence
   */
  int of(int sequence, int phase) {
    return switch (kind) {
      case NONE -> 0;
      case SEQUENCE -> sequence;
      case PHASE -> phase;
      case FILE -> {
        int at = Arrays.binarySearch(sequences, sequence);
        if (at < 0) {
          throw new IllegalArgumentException(
              "sequence %d has no group in %s. Maybe leave it out with --sequences"
                  .formatted(sequence, label));
        }

        yield groups[at];
      }
    };
  }

  /** The name of a group. */
  String name(int group) {
    return switch (kind) {
      case NONE -> "all";
      case SEQUENCE -> Integer.toString(group);
      case PHASE -> Phase.ofCode(group).name().toLowerCase(Locale.ROOT);
      case FILE -> names.get(group);
    };
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TokenGroups that
        && kind == that.kind
        && label.equals(that.label)
        && names.equals(that.names)
        && Arrays.equals(sequences, that.sequences)
        && Arrays.equals(groups, that.groups);
  }

  @Override
  public int hashCode() {
    return 31 * kind.ordinal() + Arrays.hashCode(groups);
  }

  @Override
  public String toString() {
    return label;
  }
}
