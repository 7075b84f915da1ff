package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A group, such as a GPU, for each expert of each layer. Immutable. */
public final class ExpertGrouping {
  private static final Pattern BLOCKS = Pattern.compile("blocks:([1-9]\\d{0,8})");
  private static final Pattern ROW = Pattern.compile("\\s*(\\d{1,9})\\s*,\\s*(\\d{1,9})\\s*");

  private final String label;
  private final ModelShape shape;
  private final int[] groups; // [layer][expert]

  private ExpertGrouping(String label, ModelShape shape, int[] groups) {
    this.label = label;
    this.shape = shape;
    this.groups = groups;
  }

  /**
   * Parses {@code blocks:G}, contiguous blocks of G experts, or the path of a CSV file.
   *
   * @throws IllegalArgumentException if the file is broken or of another model
   * @throws IOException if it cannot be read
   */
  public static ExpertGrouping parse(String text, ModelShape shape) throws IOException {
    Matcher blocks = BLOCKS.matcher(text);
    if (!blocks.matches()) {
      return read(Path.of(text), shape);
    }

    int size = Integer.parseInt(blocks.group(1));
    int[] groups = new int[shape.totalExperts()];
    Arrays.setAll(groups, id -> id % shape.experts() / size);
    return new ExpertGrouping(text, shape, groups);
  }

  /**
   * Reads a CSV file: a header, then rows {@code layer*experts+expert,group} in any order, each
   * expert once. ExFlow's {@code placement.csv} is such a file.
   *
   * @throws IllegalArgumentException if it is broken or of another model; with file and line
   * @throws IOException if it cannot be read
   */
  public static ExpertGrouping read(Path file, ModelShape shape) throws IOException {
    int[] groups = new int[shape.totalExperts()];
    Arrays.fill(groups, -1);
    List<String> lines = Files.readAllLines(file, StandardCharsets.ISO_8859_1);
    for (int line = 1; line < lines.size(); line++) {
      if (lines.get(line).isBlank()) {
        continue;
      }

      Matcher row = ROW.matcher(lines.get(line));
      if (!row.matches()) {
        throw problem(file, line, "expected layer*experts+expert,group");
      }

      int id = Integer.parseInt(row.group(1));
      if (id >= groups.length) {
        throw problem(
            file, line, "expert %d, 0 to %d of %s".formatted(id, groups.length - 1, shape));
      }

      if (groups[id] >= 0) {
        throw problem(file, line, "expert %d stands twice".formatted(id));
      }

      groups[id] = Integer.parseInt(row.group(2));
    }

    for (int id = 0; id < groups.length; id++) {
      if (groups[id] < 0) {
        throw new IllegalArgumentException(
            "Invalid grouping %s: expert %d of %s has no group".formatted(file, id, shape));
      }
    }

    return new ExpertGrouping(file.getFileName().toString(), shape, groups);
  }

  private static IllegalArgumentException problem(Path file, int line, String what) {
    return new IllegalArgumentException(
        "Invalid grouping %s:%d: %s".formatted(file, line + 1, what));
  }

  /** Where it came from: {@code blocks:G} or the name of a file. */
  public String label() {
    return label;
  }

  /** The group of an expert. */
  public int group(int layer, int expert) {
    return groups[shape.globalId(layer, expert)];
  }

  /**
   * Share of the tokens whose first choices in layers start and start + lag are of one group; 0
   * without tokens.
   */
  public double stayShare(LagTransitions transitions, int start) {
    long[][] table = transitions.table(start);
    long stay = 0;
    long all = 0;
    for (int from = 0; from < table.length; from++) {
      for (int to = 0; to < table.length; to++) {
        all += table[from][to];
        stay += group(start, from) == group(start + transitions.lag(), to) ? table[from][to] : 0;
      }
    }

    return all == 0 ? 0 : stay / (double) all;
  }

  /** The same if the two choices were independent: {@code sum over groups P(from) P(to)}. */
  public double independentStayShare(LagTransitions transitions, int start) {
    long[][] table = transitions.table(start);
    double[] from = new double[table.length];
    double[] to = new double[table.length];
    double all = 0;
    for (int e = 0; e < table.length; e++) {
      for (int f = 0; f < table.length; f++) {
        from[e] += table[e][f];
        to[f] += table[e][f];
        all += table[e][f];
      }
    }

    double stay = 0;
    for (int e = 0; e < table.length; e++) {
      for (int f = 0; f < table.length; f++) {
        stay += group(start, e) == group(start + transitions.lag(), f) ? from[e] * to[f] : 0;
      }
    }

    return all == 0 ? 0 : stay / (all * all);
  }
}
