package io.expertatlas.placement.solver;

import io.expertatlas.affinity.ExpertSet;
import java.util.Arrays;
import java.util.List;

/**
 * The distinct expert sets of a layer and how many tokens chose each, in flat arrays. Immutable.
 */
public final class SetCounts {
  /** Of a layer whose sets do not matter. */
  static final SetCounts NONE = new SetCounts(List.of());

  private final int[] start; // [set], and the end of the last
  private final int[] members; // [start + i]
  private final long[] tokens; // [set]

  SetCounts(List<ExpertSet> sets) {
    start = new int[sets.size() + 1];
    for (int set = 0; set < sets.size(); set++) {
      start[set + 1] = Math.addExact(start[set], sets.get(set).experts().size());
    }

    members = new int[start[sets.size()]];
    tokens = new long[sets.size()];
    for (int set = 0; set < tokens.length; set++) {
      tokens[set] = sets.get(set).tokens();
      for (int i = 0; i < size(set); i++) {
        members[start[set] + i] = sets.get(set).experts().get(i);
      }
    }
  }

  /** Number of sets. */
  public int count() {
    return tokens.length;
  }

  /** Tokens of all sets. */
  public long tokens() {
    return Arrays.stream(tokens).sum();
  }

  /** Tokens that chose a set. */
  public long tokens(int set) {
    return tokens[set];
  }

  /** Experts in a set. */
  public int size(int set) {
    return start[set + 1] - start[set];
  }

  /** The i-th expert of a set, in ascending order. */
  public int member(int set, int i) {
    return members[start[set] + i];
  }

  /**
   * Distinct groups of parts that the sets touch, over all tokens.
   *
   * @param part {@code [expert]}
   * @param width parts of a group; part {@code p} is in group {@code p / width}
   */
  public long touches(int[] part, int width) {
    long touches = 0;
    for (int set = 0; set < tokens.length; set++) {
      int distinct = 0;
      for (int i = start[set]; i < start[set + 1]; i++) {
        int group = part[members[i]] / width;
        boolean isNew = true;
        for (int before = start[set]; isNew && before < i; before++) {
          isNew = part[members[before]] / width != group;
        }

        distinct += isNew ? 1 : 0;
      }

      touches += distinct * tokens[set];
    }

    return touches;
  }
}
