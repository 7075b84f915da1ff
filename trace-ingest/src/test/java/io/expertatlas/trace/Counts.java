package io.expertatlas.trace;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Counts for tests. */
public final class Counts {
  private Counts() {}

  /** All windows that a reader gives. */
  public static List<ExpertCounts> readAll(CountsReader reader) {
    List<ExpertCounts> all = new ArrayList<>();
    for (Optional<ExpertCounts> next = reader.next(); next.isPresent(); next = reader.next()) {
      all.add(next.get());
    }

    return all;
  }

  /** All windows of a source, in its own format. */
  public static List<ExpertCounts> readAll(TraceSource source) {
    try (CountsReader reader = CountsFormat.openCounts(source)) {
      return readAll(reader);
    }
  }

  /** Counts of a window's layer. */
  public static long[] row(ExpertCounts counts, int layer) {
    long[] row = new long[counts.experts()];
    for (int expert = 0; expert < row.length; expert++) {
      row[expert] = counts.count(layer, expert);
    }

    return row;
  }
}
