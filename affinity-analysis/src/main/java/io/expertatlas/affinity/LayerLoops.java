package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;

/**
 * Counts tokens without router weights, a block of them at a time, layer after layer: so the tables
 * of a layer stay in the cache for a whole block. Not safe for several threads.
 */
final class LayerLoops {
  /** Tokens of a block. */
  static final int BLOCK_TOKENS = 512;

  private final int layers;
  private final int experts;
  private final int topK;
  private final SetCode code;
  private char[] from; // [token][rank], of the layer before
  private char[] to; // [token][rank], of the layer
  private final long[] sets = new long[BLOCK_TOKENS]; // [token], codes of one word
  private final long[] set; // scratch
  private final char[] sorted; // scratch of the code

  LayerLoops(ModelShape shape, SetCode code) {
    layers = shape.layers();
    experts = shape.experts();
    topK = shape.topK();
    this.code = code;
    from = new char[BLOCK_TOKENS * topK];
    to = new char[from.length];
    set = new long[code.words()];
    sorted = new char[topK];
  }

  /**
   * Counts a block of tokens whose ids are known to be in range.
   *
   * @param choices {@code [token][layer][rank]}
   * @param tokens number of tokens, at most {@link #BLOCK_TOKENS}
   * @throws IllegalArgumentException if a token names an expert twice in a layer
   */
  void add(short[] choices, int tokens, RouteTables tables) {
    int[] firstChoices = tables.firstChoices();
    int[] firstPairs = tables.firstPairs();
    int[] pairs = tables.evenPairs();
    for (int layer = 0; layer < layers; layer++) {
      gather(choices, layer, tokens);
      countSets(layer, tokens, tables.sets().get(layer));
      int row = layer * experts;
      for (int i = 0; i < tokens * topK; i += topK) {
        firstChoices[row + to[i]]++;
      }

      if (layer > 0) {
        int gap = (layer - 1) * experts * experts;
        addFirst(firstPairs, gap, tokens);
        if (topK % 2 == 0) {
          addTiles(pairs, gap, tokens);
        } else {
          addPairs(pairs, gap, tokens);
        }
      }

      char[] swapped = from;
      from = to;
      to = swapped;
    }
  }

  /** Puts the ids of a layer side by side. */
  private void gather(short[] choices, int layer, int tokens) {
    char[] ids = to;
    int k = topK;
    int skip = (layers - 1) * k;
    int at = layer * k;
    for (int i = 0; i < tokens * k; at += skip) {
      for (int end = i + k; i < end; i++) {
        ids[i] = (char) choices[at++];
      }
    }
  }

  private void countSets(int layer, int tokens, ExpertSetTable table) {
    if (code.isBitmap()) {
      encodeBitmaps(layer, tokens);
      table.addAll(sets, tokens);
      return;
    }

    int words = code.words();
    for (int token = 0; token < tokens; token++) {
      if (!code.encode(to, token * topK, sorted, set)) {
        throw code.repeated(layer, to, token * topK);
      }

      if (words == 1) {
        sets[token] = set[0];
      } else {
        table.add(set, 0, 1);
      }
    }

    if (words == 1) {
      table.addAll(sets, tokens);
    }
  }

  private void encodeBitmaps(int layer, int tokens) {
    char[] ids = to;
    int k = topK;
    int missing = 0;
    int i = 0;
    for (int token = 0; token < tokens; token++) {
      long bits = 0;
      for (int end = i + k; i < end; i++) {
        bits |= 1L << ids[i];
      }

      sets[token] = bits;
      missing |= k - Long.bitCount(bits);
    }

    if (missing != 0) {
      int token = 0;
      while (Long.bitCount(sets[token]) == k) {
        token++;
      }

      throw code.repeated(layer, ids, token * k);
    }
  }

  private void addFirst(int[] firstPairs, int gap, int tokens) {
    char[] a = from;
    char[] b = to;
    for (int i = 0; i < tokens * topK; i += topK) {
      firstPairs[gap + a[i] * experts + b[i]]++;
    }
  }

  /** Pairs of an even number of choices: two or four of the next layer at a time. */
  private void addTiles(int[] pairs, int gap, int tokens) {
    char[] a = from;
    char[] b = to;
    int k = topK;
    int fours = k & ~3;
    int width = experts;
    for (int token = 0; token < tokens * k; token += k) {
      for (int j = token; j < token + fours; j += 4) {
        int b0 = gap + b[j];
        int b1 = gap + b[j + 1];
        int b2 = gap + b[j + 2];
        int b3 = gap + b[j + 3];
        for (int i = token; i < token + k; i += 2) {
          int row = a[i] * width;
          int next = a[i + 1] * width;
          pairs[row + b0]++;
          pairs[row + b1]++;
          pairs[row + b2]++;
          pairs[row + b3]++;
          pairs[next + b0]++;
          pairs[next + b1]++;
          pairs[next + b2]++;
          pairs[next + b3]++;
        }
      }

      if (fours < k) {
        int b0 = gap + b[token + fours];
        int b1 = gap + b[token + fours + 1];
        for (int i = token; i < token + k; i += 2) {
          int row = a[i] * width;
          int next = a[i + 1] * width;
          pairs[row + b0]++;
          pairs[row + b1]++;
          pairs[next + b0]++;
          pairs[next + b1]++;
        }
      }
    }
  }

  private void addPairs(int[] pairs, int gap, int tokens) {
    char[] a = from;
    char[] b = to;
    int k = topK;
    for (int token = 0; token < tokens * k; token += k) {
      for (int i = token; i < token + k; i++) {
        int row = gap + a[i] * experts;
        for (int j = token; j < token + k; j++) {
          pairs[row + b[j]]++;
        }
      }
    }
  }
}
