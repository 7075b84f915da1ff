package io.expertatlas.affinity;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Counts the distinct sets of top-k experts of one layer: a hash table with open addressing and
 * linear probing, the tokens of a set beside its {@link SetCode}, so that a look at a set is a look
 * at one place. Mutable, not safe for several threads.
 *
 * <p>The hash decides where a set is kept, never the order in which sets are given out.
 */
final class ExpertSetTable {
  private static final int FIRST_SLOTS = 16; // a power of two
  private static final int SMALL_SLOTS = 1 << 16; // a megabyte: while it is small, it may be fast

  private final SetCode code;
  private final int topK;
  private final int width; // words of an entry
  private long[] entries; // [slot][code, tokens]; a free slot has no tokens
  private int mask; // slots - 1
  private int size;
  private int[] elsewhere = {}; // scratch

  ExpertSetTable(SetCode code, int topK) {
    this.code = code;
    this.topK = topK;
    width = code.words() + 1;
    entries = new long[FIRST_SLOTS * width];
    mask = FIRST_SLOTS - 1;
  }

  /** Number of distinct sets. */
  int size() {
    return size;
  }

  /** Adds tokens, at least one, that chose the set of a code of one word. */
  void add(long set, long tokens) {
    int slot = (int) hash(set) & mask;
    while (true) {
      long counted = entries[2 * slot + 1];
      if (counted == 0) {
        break;
      }

      if (entries[2 * slot] == set) {
        entries[2 * slot + 1] = counted + tokens;
        return;
      }

      slot = (slot + 1) & mask;
    }

    entries[2 * slot] = set;
    entries[2 * slot + 1] = tokens;
    grown();
  }

  /**
   * Adds a token for each of many codes of one word. Sets that stand where they belong are counted
   * first, without a branch that would have to wait for memory; the others are looked for.
   */
  void addAll(long[] sets, int count) {
    if (elsewhere.length < count) {
      elsewhere = new int[count];
    }

    int others = 0;
    for (int i = 0; i < count; i++) {
      long set = sets[i];
      int entry = 2 * ((int) hash(set) & mask);
      long counted = entries[entry + 1];
      int found = entries[entry] == set && counted != 0 ? 1 : 0;
      entries[entry + 1] = counted + found;
      elsewhere[others] = i;
      others += 1 - found;
    }

    for (int i = 0; i < others; i++) {
      add(sets[elsewhere[i]], 1);
    }
  }

  /** Adds tokens, at least one, that chose the set whose code stands at a place of an array. */
  void add(long[] codes, int at, long tokens) {
    if (width == 2) {
      add(codes[at], tokens);
      return;
    }

    int entry = find(codes, at);
    if (entries[entry + width - 1] == 0) {
      System.arraycopy(codes, at, entries, entry, width - 1);
      entries[entry + width - 1] = tokens;
      grown();
    } else {
      entries[entry + width - 1] += tokens;
    }
  }

  /** The entry of a set, or the free one where it belongs. */
  private int find(long[] codes, int at) {
    long hash = 0;
    for (int i = 0; i < width - 1; i++) {
      hash = hash(hash ^ codes[at + i]);
    }

    int slot = (int) hash & mask;
    while (true) {
      int entry = slot * width;
      if (entries[entry + width - 1] == 0
          || Arrays.equals(entries, entry, entry + width - 1, codes, at, at + width - 1)) {
        return entry;
      }

      slot = (slot + 1) & mask;
    }
  }

  private static long hash(long set) {
    long hash = set * 0x9e3779b97f4a7c15L;
    hash = (hash ^ hash >>> 32) * 0xd6e8feb86659fd93L;
    return hash ^ hash >>> 32;
  }

  /** Counts an entry that was filled, and keeps three of four slots free, of many one. */
  private void grown() {
    size++;
    int slots = mask + 1;
    if (size <= (slots <= SMALL_SLOTS ? slots / 4 : slots / 4 * 3)) {
      return;
    }

    long[] old = entries;
    entries = new long[Math.multiplyExact(2, old.length)];
    mask = 2 * mask + 1;
    size = 0;
    addAll(old);
  }

  void merge(ExpertSetTable other) {
    addAll(other.entries);
  }

  private void addAll(long[] others) {
    for (int entry = 0; entry < others.length; entry += width) {
      if (others[entry + width - 1] != 0) {
        add(others, entry, others[entry + width - 1]);
      }
    }
  }

  /** Takes a set. */
  @FunctionalInterface
  interface Visitor {
    /** The ids are ascending, and valid until the next call. */
    void accept(char[] ids, long tokens);
  }

  /** Gives every set, in no order. */
  void forEach(Visitor visitor) {
    char[] ids = new char[topK];
    for (int entry = 0; entry < entries.length; entry += width) {
      if (entries[entry + width - 1] != 0) {
        code.decode(entries, entry, ids);
        visitor.accept(ids, entries[entry + width - 1]);
      }
    }
  }

  /** The sets in lexicographic order of their ids. */
  List<ExpertSet> sorted() {
    char[] ids = new char[size * topK]; // [set][rank]
    long[] tokens = new long[size];
    int[] next = {0};
    forEach(
        (set, count) -> {
          System.arraycopy(set, 0, ids, next[0] * topK, topK);
          tokens[next[0]++] = count;
        });
    Integer[] order = new Integer[size];
    Arrays.setAll(order, i -> i);
    Arrays.sort(
        order,
        (a, b) -> Arrays.compare(ids, a * topK, (a + 1) * topK, ids, b * topK, (b + 1) * topK));
    List<ExpertSet> sets = new ArrayList<>(size);
    for (int set : order) {
      Integer[] of = new Integer[topK];
      for (int rank = 0; rank < topK; rank++) {
        of[rank] = (int) ids[set * topK + rank];
      }

      sets.add(new ExpertSet(List.of(of), tokens[set]));
    }

    return sets;
  }
}
