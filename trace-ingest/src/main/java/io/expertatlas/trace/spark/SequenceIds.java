package io.expertatlas.trace.spark;

import java.io.Serializable;
import java.util.Arrays;

/** A set of sequence ids, sorted; small because tokens of a sequence mostly stand together. */
final class SequenceIds implements Serializable {
  private static final long serialVersionUID = 1;

  private int[] ids = new int[64]; // sorted and distinct up to sorted, then as they came
  private int used;
  private int sorted;

  void add(int id) {
    if (used > 0 && ids[used - 1] == id) {
      return;
    }

    if (used == ids.length) {
      compact();
      if (used > ids.length / 2) {
        ids = Arrays.copyOf(ids, 2 * ids.length);
      }
    }

    ids[used++] = id;
  }

  void addAll(SequenceIds others) {
    for (int i = 0; i < others.used; i++) {
      add(others.ids[i]);
    }
  }

  private void compact() {
    if (sorted == used) {
      return;
    }

    Arrays.sort(ids, 0, used);
    int kept = 0;
    for (int i = 0; i < used; i++) {
      if (i == 0 || ids[i] != ids[kept - 1]) {
        ids[kept++] = ids[i];
      }
    }

    used = kept;
    sorted = kept;
  }

  int size() {
    compact();
    return used;
  }

  /** The largest id, or -1 if there is none. */
  int max() {
    compact();
    return used == 0 ? -1 : ids[used - 1];
  }
}
