package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.SetCounts;
import java.util.Arrays;

/**
 * How many groups of parts the expert sets of one layer touch, kept up to date move by move, so
 * that the effect of a swap is a handful of look-ups. Three tables over the sets' tokens suffice:
 * {@code sole[e]} where expert e is the only one in its group, {@code absent[g][e]} with e where
 * group g is not touched, and {@code both[e][f]} with e and f where e is the only one in its group.
 * Not safe for several threads.
 */
final class FanoutTables {
  private final int experts;
  private final int groups;
  private final int[] start; // [set], and the end of the last
  private final int[] member; // [start + i]
  private final int[] tokens; // [set]
  private final int[] firstOf; // [expert], into setOf, and the end of the last
  private final int[] setOf; // sets of each expert
  private final byte[] inGroup; // [set * groups + group]
  private final int[] group; // [expert]
  private final int[] sole; // [expert]
  private final int[] absent; // [group * experts + expert]
  private final int[] both; // [expert * experts + expert]

  /**
   * Tables of a layer.
   *
   * @param shift tokens are counted in units of {@code 2^shift}
   */
  FanoutTables(SetCounts sets, int experts, int groups, int shift) {
    this.experts = experts;
    this.groups = groups;
    int count = sets.count();
    this.start = new int[count + 1];
    this.tokens = new int[count];
    for (int set = 0; set < count; set++) {
      start[set + 1] = start[set] + sets.size(set);
      tokens[set] = (int) (sets.tokens(set) >> shift);
    }

    this.member = new int[start[count]];
    this.firstOf = new int[experts + 1];
    for (int set = 0; set < count; set++) {
      for (int i = 0; i < sets.size(set); i++) {
        member[start[set] + i] = sets.member(set, i);
        firstOf[sets.member(set, i) + 1]++;
      }
    }

    Arrays.parallelPrefix(firstOf, Integer::sum);
    this.setOf = new int[member.length];
    int[] next = firstOf.clone();
    for (int set = 0; set < count; set++) {
      for (int i = start[set]; i < start[set + 1]; i++) {
        setOf[next[member[i]]++] = set;
      }
    }

    this.inGroup = new byte[count * groups];
    this.group = new int[experts];
    this.sole = new int[experts];
    this.absent = new int[groups * experts];
    this.both = new int[experts * experts];
  }

  /**
   * Starts from a map.
   *
   * @param groupOf {@code [expert]}
   */
  void reset(int[] groupOf) {
    System.arraycopy(groupOf, 0, group, 0, experts);
    Arrays.fill(inGroup, (byte) 0);
    Arrays.fill(sole, 0);
    Arrays.fill(absent, 0);
    Arrays.fill(both, 0);
    for (int set = 0; set < tokens.length; set++) {
      for (int i = start[set]; i < start[set + 1]; i++) {
        inGroup[set * groups + group[member[i]]]++;
      }

      for (int g = 0; g < groups; g++) {
        if (inGroup[set * groups + g] == 0) {
          add(absent, g * experts, set, tokens[set]);
        }
      }

      for (int i = start[set]; i < start[set + 1]; i++) {
        if (inGroup[set * groups + group[member[i]]] == 1) {
          addSole(member[i], set, tokens[set]);
        }
      }
    }
  }

  /** Distinct groups touched, over all tokens, set by set. */
  long touches() {
    long touches = 0;
    for (int set = 0; set < tokens.length; set++) {
      for (int g = 0; g < groups; g++) {
        touches += inGroup[set * groups + g] > 0 ? tokens[set] : 0;
      }
    }

    return touches;
  }

  /** By how much the touches would rise if an expert went to another group. */
  int moveRise(int expert, int to) {
    return group[expert] == to ? 0 : absent[to * experts + expert] - sole[expert];
  }

  /** By how much the touches would rise if two experts changed groups. */
  int swapRise(int one, int other) {
    int from = group[one];
    int to = group[other];
    if (from == to) {
      return 0;
    }

    return absent[to * experts + one]
        - sole[one]
        + absent[from * experts + other]
        - sole[other]
        + both[one * experts + other]
        + both[other * experts + one];
  }

  /** Lets two experts change groups. */
  void swap(int one, int other) {
    int from = group[one];
    int to = group[other];
    move(one, to);
    move(other, from);
  }

  /** Lets an expert go to a group. */
  void move(int expert, int to) {
    int from = group[expert];
    if (from == to) {
      return;
    }

    for (int at = firstOf[expert]; at < firstOf[expert + 1]; at++) {
      int set = setOf[at];
      int count = tokens[set];
      int left = --inGroup[set * groups + from];
      int joined = inGroup[set * groups + to]++;
      if (left == 0) {
        add(absent, from * experts, set, count);
      }

      if (joined == 0) {
        add(absent, to * experts, set, -count);
      }

      if (left == 0 && joined != 0) {
        addSole(expert, set, -count);
      } else if (left != 0 && joined == 0) {
        addSole(expert, set, count);
      }

      if (left == 1) {
        addSole(memberIn(from, set, expert), set, count);
      }

      if (joined == 1) {
        addSole(memberIn(to, set, expert), set, -count);
      }
    }

    group[expert] = to;
  }

  /** The only member of a set in a group, but for one expert. */
  private int memberIn(int wanted, int set, int except) {
    int i = start[set];
    while (group[member[i]] != wanted || member[i] == except) {
      i++;
    }

    return member[i];
  }

  private void addSole(int expert, int set, int count) {
    sole[expert] += count;
    add(both, expert * experts, set, count);
  }

  private void add(int[] table, int row, int set, int count) {
    int end = start[set + 1];
    for (int i = start[set]; i < end; i++) {
      table[row + member[i]] += count;
    }
  }
}
