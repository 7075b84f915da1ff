package io.expertatlas.trace.format;

import java.util.Arrays;

/**
 * Counts the tokens of each sequence: gives a token its position when the files do not say it.
 * Grows with the number of sequences, 16 to 32 bytes each.
 */
final class SequenceCounter {
  private static final int EMPTY = -1; // sequence ids are not negative

  private int[] ids = emptyIds(64); // open addressing; power of two
  private int[] counts = new int[64];
  private int used;

  private static int[] emptyIds(int size) {
    int[] ids = new int[size];
    Arrays.fill(ids, EMPTY);
    return ids;
  }

  /** Tokens of the sequence counted so far; counts one more. */
  int next(int sequence) {
    int at = find(sequence);
    if (ids[at] == EMPTY) {
      if (2 * ++used > ids.length) {
        grow();
        at = find(sequence);
      }

      ids[at] = sequence;
    }

    return counts[at]++;
  }

  private int find(int sequence) {
    int at = sequence * 0x9E3779B9 >>> 7 & ids.length - 1;
    while (ids[at] != EMPTY && ids[at] != sequence) {
      at = at + 1 & ids.length - 1;
    }

    return at;
  }

  private void grow() {
    int[] oldIds = ids;
    int[] oldCounts = counts;
    ids = emptyIds(2 * oldIds.length);
    counts = new int[ids.length];
    for (int i = 0; i < oldIds.length; i++) {
      if (oldIds[i] != EMPTY) {
        int at = find(oldIds[i]);
        ids[at] = oldIds[i];
        counts[at] = oldCounts[i];
      }
    }
  }
}
