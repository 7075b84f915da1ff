package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;

/**
 * Writes sets of top-k experts as a few {@code long}s: one bit an expert if there are at most 64
 * experts, in one word; else the ascending ids side by side. Immutable.
 */
final class SetCode {
  private static final int WORD = Long.SIZE;
  private static final int INSERTION_SORT_LIMIT = 24;

  private final int experts;
  private final int topK;
  private final boolean bitmap;
  private final int idBits;
  private final int idsPerWord;
  private final int words;

  SetCode(ModelShape shape) {
    experts = shape.experts();
    topK = shape.topK();
    bitmap = experts <= WORD;
    idBits = Math.max(1, Integer.SIZE - Integer.numberOfLeadingZeros(experts - 1));
    idsPerWord = WORD / idBits;
    words = bitmap ? 1 : (topK + idsPerWord - 1) / idsPerWord;
  }

  /** Words of a code. */
  int words() {
    return words;
  }

  /** Whether a code is one word with a bit for each expert. */
  boolean isBitmap() {
    return bitmap;
  }

  /**
   * Writes the code of a set of ids that are in range.
   *
   * @param ids in any order, {@code topK} of them from {@code from} on
   * @param sorted scratch of {@code topK} ids
   * @param code where its words go
   * @return whether the ids are distinct
   */
  boolean encode(char[] ids, int from, char[] sorted, long[] code) {
    if (bitmap) {
      long bits = 0;
      for (int i = from; i < from + topK; i++) {
        bits |= 1L << ids[i];
      }

      code[0] = bits;
      return Long.bitCount(bits) == topK;
    }

    System.arraycopy(ids, from, sorted, 0, topK);
    sort(sorted);
    boolean distinct = true;
    for (int i = 1; i < topK; i++) {
      distinct &= sorted[i - 1] != sorted[i];
    }

    int rank = 0;
    for (int word = 0; word < words; word++) {
      long packed = 0;
      for (int i = 0; i < idsPerWord && rank < topK; i++) {
        packed |= (long) sorted[rank++] << (i * idBits);
      }

      code[word] = packed;
    }

    return distinct;
  }

  /** The error of a layer whose choices, {@code topK} from {@code from} on, are not distinct. */
  IllegalArgumentException repeated(int layer, char[] ids, int from) {
    char[] ascending = Arrays.copyOfRange(ids, from, from + topK);
    Arrays.sort(ascending);
    int at = 1;
    while (ascending[at] != ascending[at - 1]) {
      at++;
    }

    return new IllegalArgumentException(
        "Invalid top-%d at layer %d: expert %d stands twice"
            .formatted(topK, layer, (int) ascending[at]));
  }

  private static void sort(char[] ids) {
    if (ids.length > INSERTION_SORT_LIMIT) {
      Arrays.sort(ids);
      return;
    }

    for (int i = 1; i < ids.length; i++) {
      char id = ids[i];
      int at = i;
      while (at > 0 && ids[at - 1] > id) {
        ids[at] = ids[at - 1];
        at--;
      }

      ids[at] = id;
    }
  }

  /** Reads the ascending ids of the code at a place of an array. */
  void decode(long[] codes, int at, char[] ids) {
    int rank = 0;
    if (bitmap) {
      for (long bits = codes[at]; bits != 0; bits &= bits - 1) {
        ids[rank++] = (char) Long.numberOfTrailingZeros(bits);
      }

      return;
    }

    long mask = (1L << idBits) - 1;
    for (int word = at; word < at + words; word++) {
      for (int i = 0; i < idsPerWord && rank < topK; i++) {
        ids[rank++] = (char) (codes[word] >>> (i * idBits) & mask);
      }
    }
  }
}
