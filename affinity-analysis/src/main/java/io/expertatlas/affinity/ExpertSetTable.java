package io.expertatlas.affinity;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Counts the distinct sets of top-k experts of one layer: a hash table with open addressing and
 * linear probing, keys side by side in one array. Mutable, not safe for several threads.
 *
 * <p>The hash decides where a set is kept, never the order in which sets are given out.
 */
final class ExpertSetTable {
  private static final int FIRST_CAPACITY = 16; // a power of two

  private final int topK;
  private char[] keys; // [set][rank], ascending ids
  private long[] tokens; // [set]
  private int[] slots; // set + 1, or 0 for a free slot; a power of two, at most half full
  private int size;

  ExpertSetTable(int topK) {
    this.topK = topK;
    keys = new char[FIRST_CAPACITY * topK];
    tokens = new long[FIRST_CAPACITY];
    slots = new int[2 * FIRST_CAPACITY];
  }

  /** Number of distinct sets. */
  int size() {
    return size;
  }

  /**
   * Adds tokens that chose a set.
   *
   * @param ids ascending ids, {@code topK} of them from {@code from} on
   */
  void add(char[] ids, int from, long count) {
    int mask = slots.length - 1;
    int slot = hash(ids, from) & mask;
    while (slots[slot] != 0) {
      int set = slots[slot] - 1;
      int key = set * topK;
      if (Arrays.equals(keys, key, key + topK, ids, from, from + topK)) {
        tokens[set] += count;
        return;
      }

      slot = (slot + 1) & mask;
    }

    if (size == tokens.length) {
      grow();
      add(ids, from, count);
      return;
    }

    System.arraycopy(ids, from, keys, size * topK, topK);
    tokens[size] = count;
    slots[slot] = ++size;
  }

  void merge(ExpertSetTable other) {
    for (int set = 0; set < other.size; set++) {
      add(other.keys, set * topK, other.tokens[set]);
    }
  }

  private int hash(char[] ids, int from) {
    long hash = 0;
    for (int i = from; i < from + topK; i++) {
      hash = (hash ^ ids[i]) * 0x9e3779b97f4a7c15L;
      hash ^= hash >>> 29;
    }

    return (int) (hash ^ hash >>> 32);
  }

  private void grow() {
    int capacity = Math.multiplyExact(2, tokens.length);
    keys = Arrays.copyOf(keys, Math.multiplyExact(capacity, topK));
    tokens = Arrays.copyOf(tokens, capacity);
    slots = new int[Math.multiplyExact(2, capacity)];
    int mask = slots.length - 1;
    for (int set = 0; set < size; set++) {
      int slot = hash(keys, set * topK) & mask;
      while (slots[slot] != 0) {
        slot = (slot + 1) & mask;
      }

      slots[slot] = set + 1;
    }
  }

  char id(int set, int rank) {
    return keys[set * topK + rank];
  }

  long tokens(int set) {
    return tokens[set];
  }

  /** The sets in lexicographic order of their ids. */
  List<ExpertSet> sorted() {
    Integer[] order = new Integer[size];
    Arrays.setAll(order, i -> i);
    Arrays.sort(
        order,
        (a, b) -> Arrays.compare(keys, a * topK, (a + 1) * topK, keys, b * topK, (b + 1) * topK));
    List<ExpertSet> sets = new ArrayList<>(size);
    for (int set : order) {
      Integer[] ids = new Integer[topK];
      for (int rank = 0; rank < topK; rank++) {
        ids[rank] = (int) id(set, rank);
      }

      sets.add(new ExpertSet(List.of(ids), tokens[set]));
    }

    return sets;
  }
}
