package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.SetCounts;
import java.util.Arrays;

/**
 * How many groups a set of experts touches at least, as a function of how many of its pairs are
 * kept together: a convex piecewise linear function of the set's size. Any mean of its pieces is a
 * lower bound that is linear in the pairs; each set of a layer has one, moved by and by to the
 * piece that is active.
 */
final class FanoutLines {
  private final SetCounts sets;
  private final double[][] corners; // [size of a set], pairs and groups in turn
  private final double[] slope; // [set], groups saved by a pair
  private final double[] base; // [set], groups without pairs

  /**
   * Starts on the mean of the pieces.
   *
   * @param room experts of the layer that a group holds at most
   */
  FanoutLines(SetCounts sets, int room) {
    this.sets = sets;
    this.slope = new double[sets.count()];
    this.base = new double[sets.count()];
    int largest = 0;
    for (int set = 0; set < sets.count(); set++) {
      largest = Math.max(largest, sets.size(set));
    }

    this.corners = new double[largest + 1][];
    for (int set = 0; set < sets.count(); set++) {
      int size = sets.size(set);
      if (corners[size] == null) {
        corners[size] = corners(size, room);
      }

      base[set] = size;
      for (int at = 0; at + 2 < corners[size].length; at += 2) {
        move(set, at, 1.0 / (at / 2 + 1)); // to the mean of all pieces
      }
    }
  }

  /** Moves a set's line by a share towards the piece that begins at a corner. */
  private void move(int set, int at, double share) {
    double[] corner = corners[sets.size(set)];
    double active = (corner[at + 1] - corner[at + 3]) / (corner[at + 2] - corner[at]);
    slope[set] += share * (active - slope[set]);
    base[set] += share * (corner[at + 1] + active * corner[at] - base[set]);
  }

  /** The lower hull of pairs kept and groups touched, over all ways to split a set. */
  static double[] corners(int size, int room) {
    int most = size * (size - 1) / 2;
    int[] fewest = new int[most + 1]; // [pairs]
    Arrays.fill(fewest, Integer.MAX_VALUE);
    split(size, Math.min(size, room), 0, 0, fewest);
    double[] hull = new double[2 * (most + 1)];
    int length = 0;
    for (int pairs = 0; pairs <= most; pairs++) {
      if (fewest[pairs] == Integer.MAX_VALUE) {
        continue;
      }

      while (length >= 4
          && (hull[length - 1] - hull[length - 3]) * (pairs - hull[length - 4])
              >= (fewest[pairs] - hull[length - 3]) * (hull[length - 2] - hull[length - 4])) {
        length -= 2;
      }

      hull[length++] = pairs;
      hull[length++] = fewest[pairs];
    }

    return Arrays.copyOf(hull, length);
  }

  private static void split(int left, int largest, int pairs, int groups, int[] fewest) {
    if (left == 0) {
      fewest[pairs] = Math.min(fewest[pairs], groups);
      return;
    }

    for (int part = Math.min(left, largest); part >= 1; part--) {
      split(left - part, part, pairs + part * (part - 1) / 2, groups + 1, fewest);
    }
  }

  /** Touches of all tokens if every set were kept together as far as groups have room. */
  double least() {
    double sum = 0;
    for (int set = 0; set < base.length; set++) {
      double[] corner = corners[sets.size(set)];
      sum += sets.tokens(set) * corner[corner.length - 1];
    }

    return sum;
  }

  /** Touches of all tokens if no pair were kept together. */
  double base() {
    double sum = 0;
    for (int set = 0; set < base.length; set++) {
      sum += sets.tokens(set) * base[set];
    }

    return sum;
  }

  /** Adds to a relaxation what pairs of a layer save, times a factor. */
  void addTo(GramBound relaxation, int layer, double factor) {
    for (int set = 0; set < slope.length; set++) {
      double weight = factor * sets.tokens(set) * slope[set];
      for (int i = 0; i < sets.size(set); i++) {
        for (int j = 0; j < i; j++) {
          relaxation.addInside(layer, sets.member(set, i), sets.member(set, j), weight);
        }
      }
    }
  }

  /** Moves each set's line by a share towards the piece that is active in a relaxation. */
  void follow(GramBound relaxation, int layer, double share) {
    for (int set = 0; set < slope.length; set++) {
      double pairs = 0;
      for (int i = 0; i < sets.size(set); i++) {
        for (int j = 0; j < i; j++) {
          pairs += relaxation.together(layer, sets.member(set, i), sets.member(set, j));
        }
      }

      double[] corner = corners[sets.size(set)];
      int at = 0;
      while (at + 4 < corner.length && corner[at + 2] <= pairs) {
        at += 2;
      }

      if (at + 2 < corner.length) {
        move(set, at, share);
      }
    }
  }
}
