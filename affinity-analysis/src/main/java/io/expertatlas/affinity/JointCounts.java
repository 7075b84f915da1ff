package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;

/**
 * Counts tokens without router weights by the ranked choices of two adjacent layers at once: one
 * increment a token and gap, from which all other counts follow. For small models only, where the
 * cells stay in the cache. Mutable, not safe for several threads.
 *
 * <p>A code is the ranked choices of a layer as a number to the base of the experts, first choice
 * last.
 */
final class JointCounts {
  /** Most cells of a gap: 64 KiB. */
  private static final int MAX_CELLS = 1 << 14;

  private final int layers;
  private final int experts;
  private final int topK;
  private final int codes;
  private final int[] cells; // [gap][code of a layer][code of the next]
  private int tokens;

  private JointCounts(ModelShape shape, int codes) {
    layers = shape.layers();
    experts = shape.experts();
    topK = shape.topK();
    this.codes = codes;
    cells = new int[(layers - 1) * codes * codes];
  }

  /** Cells of a gap, or 0 if a model is too large or has no gap. */
  static int cells(ModelShape shape) {
    double codes = Math.pow(shape.experts(), shape.topK());
    return shape.layers() > 1 && codes * codes <= MAX_CELLS ? (int) (codes * codes) : 0;
  }

  static JointCounts of(ModelShape shape) {
    return new JointCounts(shape, (int) Math.round(Math.sqrt(cells(shape))));
  }

  /** Tokens counted since the last {@link #clear}. */
  int tokens() {
    return tokens;
  }

  /**
   * Counts tokens whose ids are known to be in range and distinct in a layer.
   *
   * @param choices {@code [token][layer][rank]}
   */
  void add(short[] choices, int count) {
    if (topK == 2) {
      addPairs(choices, count);
    } else {
      addAny(choices, count);
    }

    tokens += count;
  }

  private void addPairs(short[] choices, int count) {
    int[] counts = cells;
    int codes = this.codes;
    int experts = this.experts;
    int gapCells = codes * codes;
    int width = 2 * layers;
    for (int token = 0; token < count * width; token += width) {
      int before = choices[token] + experts * choices[token + 1];
      int gap = 0;
      for (int at = token + 2; at < token + width; at += 2) {
        int code = choices[at] + experts * choices[at + 1];
        counts[gap + before * codes + code]++;
        gap += gapCells;
        before = code;
      }
    }
  }

  private void addAny(short[] choices, int count) {
    int gapCells = codes * codes;
    int at = 0;
    for (int token = 0; token < count; token++) {
      int before = code(choices, at);
      at += topK;
      int gap = 0;
      for (int layer = 1; layer < layers; layer++) {
        int code = code(choices, at);
        at += topK;
        cells[gap + before * codes + code]++;
        gap += gapCells;
        before = code;
      }
    }
  }

  private int code(short[] choices, int at) {
    int code = 0;
    for (int i = at + topK - 1; i >= at; i--) {
      code = code * experts + choices[i];
    }

    return code;
  }

  void clear() {
    java.util.Arrays.fill(cells, 0);
    tokens = 0;
  }

  /** Takes the tokens of a pair of codes. */
  interface Pairs {
    void accept(int gap, int[] from, int[] to, int tokens);
  }

  /** Takes the tokens of a code. */
  interface Choices {
    void accept(int layer, int[] choices, int tokens);
  }

  /** Gives every pair of ranked choices of adjacent layers that occurs, and those of each layer. */
  void forEach(Pairs pairs, Choices choices) {
    int[][] ids = new int[codes][topK];
    for (int code = 0; code < codes; code++) {
      int rest = code;
      for (int rank = 0; rank < topK; rank++) {
        ids[code][rank] = rest % experts;
        rest /= experts;
      }
    }

    for (int gap = 0; gap < layers - 1; gap++) {
      int[] here = new int[codes];
      int[] next = new int[codes];
      for (int from = 0; from < codes; from++) {
        for (int to = 0; to < codes; to++) {
          int count = cells[(gap * codes + from) * codes + to];
          if (count > 0) {
            here[from] += count;
            next[to] += count;
            pairs.accept(gap, ids[from], ids[to], count);
          }
        }
      }

      give(gap, here, ids, choices);
      if (gap == layers - 2) {
        give(gap + 1, next, ids, choices);
      }
    }
  }

  private static void give(int layer, int[] counts, int[][] ids, Choices choices) {
    for (int code = 0; code < counts.length; code++) {
      if (counts[code] > 0) {
        choices.accept(layer, ids[code], counts[code]);
      }
    }
  }
}
