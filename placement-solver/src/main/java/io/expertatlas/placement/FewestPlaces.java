package io.expertatlas.placement;

import java.util.Arrays;

/**
 * The fewest places (GPUs, or nodes) on which all experts of a set have a copy: a smallest hitting
 * set, found exactly. Experts with one copy decide for themselves; what they leave is searched by
 * branch and bound, where of two places the one that serves fewer experts more is left out. Keeps
 * scratch space: not safe for several threads.
 */
public final class FewestPlaces {
  /** Largest set with copies: an expert is a bit of a long. */
  static final int MOST_EXPERTS = 64;

  private final int[] stamp; // [place], the last set that had to go there
  private final long[] serves; // [place], experts left open
  private final int[] open; // places that serve any, the first `opened`
  private int opened;
  private int round;
  private int best;

  /**
   * Scratch space for sets on a number of places.
   *
   * @param places number of places
   */
  public FewestPlaces(int places) {
    this.stamp = new int[places];
    this.serves = new long[places];
    this.open = new int[places];
  }

  /**
   * The fewest places for a set.
   *
   * @param placesOf {@code [i][copy]} places of the i-th expert, without repetition
   * @param size how many of the rows are in the set
   */
  public int of(int[][] placesOf, int size) {
    round++;
    int used = 0;
    int several = 0;
    for (int i = 0; i < size; i++) {
      if (placesOf[i].length > 1) {
        several++;
      } else if (stamp[placesOf[i][0]] != round) {
        stamp[placesOf[i][0]] = round;
        used++;
      }
    }

    return several == 0 ? used : used + rest(placesOf, size);
  }

  private int rest(int[][] placesOf, int size) {
    opened = 0;
    int left = 0;
    for (int i = 0; i < size; i++) {
      if (placesOf[i].length > 1 && !isServed(placesOf[i])) {
        for (int place : placesOf[i]) {
          if (serves[place] == 0) {
            open[opened++] = place;
          }

          serves[place] |= 1L << left;
        }

        left++;
      }
    }

    best = left;
    if (left > 1) {
      search(left == MOST_EXPERTS ? -1L : (1L << left) - 1, 0);
    }

    for (int i = 0; i < opened; i++) {
      serves[open[i]] = 0;
    }

    return best;
  }

  private boolean isServed(int[] places) {
    for (int place : places) {
      if (stamp[place] == round) {
        return true;
      }
    }

    return false;
  }

  private void search(long left, int used) {
    if (left == 0) {
      best = Math.min(best, used);
      return;
    }

    int most = 0;
    for (int i = 0; i < opened; i++) {
      most = Math.max(most, Long.bitCount(serves[open[i]] & left));
    }

    if (used + (Long.bitCount(left) + most - 1) / most >= best) {
      return;
    }

    long expert = Long.lowestOneBit(left);
    for (int i = 0; i < opened; i++) {
      long served = serves[open[i]] & left;
      if ((served & expert) != 0 && !isDominated(i, served, left)) {
        search(left & ~served, used + 1);
      }
    }
  }

  /** Whether another place serves all of these, and more or the same under a lower number. */
  private boolean isDominated(int at, long served, long left) {
    for (int i = 0; i < opened; i++) {
      long other = serves[open[i]] & left;
      if (i != at && (served & ~other) == 0 && (other != served || i < at)) {
        return true;
      }
    }

    return false;
  }

  /** Places without repetition, {@code [layer][expert][i]}, of copies' GPUs or their nodes. */
  static int[][][] distinct(Placement placement, boolean nodes) {
    int[][][] places = placement.toCopies();
    for (int[][] layer : places) {
      for (int expert = 0; expert < layer.length; expert++) {
        layer[expert] =
            Arrays.stream(layer[expert])
                .map(gpu -> nodes ? placement.topology().node(gpu) : gpu)
                .distinct()
                .toArray();
      }
    }

    return places;
  }
}
