package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Counts choices by window of the trace. {@code 16 L E} bytes for each window that holds a token.
 * Mutable.
 */
final class WindowCounter {
  private static final long MAX_CELLS = 1L << 26;

  private final ModelShape shape;
  private final long length;
  private final long first;
  private final TreeMap<Long, Cells> windows = new TreeMap<>();
  private long currentIndex = -1;
  private Cells current;

  /** Choices and first choices of a window, {@code [layer][expert]}. */
  private static final class Cells {
    private long tokens;
    private long[] choices;
    private long[] firstChoices;

    void add(Cells other) {
      tokens += other.tokens;
      for (int i = 0; i < choices.length; i++) {
        choices[i] += other.choices[i];
        firstChoices[i] += other.firstChoices[i];
      }
    }
  }

  /**
   * Creates a counter.
   *
   * @param length tokens of a window
   * @param first index of the token that the first window begins with
   */
  WindowCounter(ModelShape shape, long length, long first) {
    this.shape = shape;
    this.length = length;
    this.first = first;
  }

  void add(long token, int[] experts) {
    long index = (token - first) / length;
    if (index != currentIndex) {
      currentIndex = index;
      current = windows.get(index);
      if (current == null) {
        current = new Cells();
        current.choices = new long[shape.totalExperts()];
        current.firstChoices = new long[shape.totalExperts()];
        put(index, current);
      }
    }

    current.tokens++;
    int k = shape.topK();
    int at = 0;
    for (int layer = 0; layer < shape.layers(); layer++) {
      int row = layer * shape.experts();
      current.firstChoices[row + experts[at]]++;
      for (int rank = 0; rank < k; rank++) {
        current.choices[row + experts[at++]]++;
      }
    }
  }

  private void put(long index, Cells cells) {
    if ((windows.size() + 1L) * shape.totalExperts() * 2 > MAX_CELLS) {
      throw new IllegalArgumentException(
          "Cannot keep %d windows of %s: at most %d. Maybe take a longer --window than %d"
              .formatted(windows.size() + 1, shape, MAX_CELLS / 2 / shape.totalExperts(), length));
    }

    windows.put(index, cells);
  }

  void merge(WindowCounter other) {
    for (Map.Entry<Long, Cells> entry : other.windows.entrySet()) {
      Cells own = windows.get(entry.getKey());
      if (own == null) {
        put(entry.getKey(), entry.getValue());
      } else {
        own.add(entry.getValue());
      }
    }
  }

  WindowCounts counts() {
    List<WindowCounts.Window> list = new ArrayList<>();
    windows.forEach(
        (index, cells) ->
            list.add(
                new WindowCounts.Window(
                    index,
                    cells.tokens,
                    new Popularity(shape, cells.choices, cells.firstChoices))));
    return new WindowCounts(shape, length, list);
  }

  void write(CompactBytes.Writer out) {
    out.integer(windows.size());
    windows.forEach(
        (index, cells) -> {
          out.integer(index);
          out.integer(cells.tokens);
          out.array(cells.choices);
          out.array(cells.firstChoices);
        });
  }

  void read(CompactBytes.Reader in) {
    long size = in.integer();
    for (long i = 0; i < size; i++) {
      long index = in.integer();
      Cells cells = new Cells();
      cells.tokens = in.integer();
      cells.choices = in.array(shape.totalExperts());
      cells.firstChoices = in.array(shape.totalExperts());
      windows.put(index, cells);
    }
  }
}
