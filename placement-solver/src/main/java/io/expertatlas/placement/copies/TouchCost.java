package io.expertatlas.placement.copies;

import io.expertatlas.affinity.ExpertSet;
import io.expertatlas.placement.Topology;
import java.util.List;

/**
 * GPUs that the sets of one layer touch, plus nodes where there are several: the fewest that hold
 * all experts of a set. GPUs and nodes are bits of a long. Keeps scratch space: not safe for
 * several threads.
 */
final class TouchCost implements LayerCost {
  /** Most GPUs. */
  static final int MOST_GPUS = 64;

  private final Topology topology;
  private final int[][] sets; // [set], experts
  private final long[] tokens; // [set]
  private final int[][] setsOf; // [expert], sets with it
  private final long[][] open; // scratch: [depth], places of experts that are not served yet

  TouchCost(Topology topology, int experts, List<ExpertSet> expertSets) {
    this.topology = topology;
    this.sets = new int[expertSets.size()][];
    this.tokens = new long[expertSets.size()];
    int[] count = new int[experts];
    int largest = 0;
    for (int set = 0; set < sets.length; set++) {
      sets[set] = expertSets.get(set).experts().stream().mapToInt(Integer::intValue).toArray();
      tokens[set] = expertSets.get(set).tokens();
      largest = Math.max(largest, sets[set].length);
      for (int expert : sets[set]) {
        count[expert]++;
      }
    }

    this.open = new long[largest + 1][largest];
    this.setsOf = new int[experts][];
    for (int expert = 0; expert < experts; expert++) {
      setsOf[expert] = new int[count[expert]];
    }

    for (int set = sets.length - 1; set >= 0; set--) {
      for (int expert : sets[set]) {
        setsOf[expert][--count[expert]] = set;
      }
    }
  }

  @Override
  public double touching(Packing packing, int one, int other) {
    long[] gpus = places(packing, false);
    long[] nodes = places(packing, true);
    long cost = 0;
    for (int set : setsOf[one]) {
      cost += of(set, gpus, nodes);
    }

    int at = 0; // in the sets of the first, which ascend as those of the other do
    for (int i = 0; one != other && i < setsOf[other].length; i++) {
      int set = setsOf[other][i];
      while (at < setsOf[one].length && setsOf[one][at] < set) {
        at++;
      }

      if (at == setsOf[one].length || setsOf[one][at] != set) {
        cost += of(set, gpus, nodes);
      }
    }

    return cost;
  }

  /** Touches of all sets. */
  long total(Packing packing) {
    long[] gpus = places(packing, false);
    long[] nodes = places(packing, true);
    long total = 0;
    for (int set = 0; set < sets.length; set++) {
      total += of(set, gpus, nodes);
    }

    return total;
  }

  private long[] places(Packing packing, boolean nodes) {
    long[] places = new long[packing.experts()];
    for (int expert = 0; expert < places.length; expert++) {
      for (int gpu = 0; gpu < packing.gpus(); gpu++) {
        if (packing.held(expert, gpu) > 0) {
          places[expert] |= 1L << (nodes ? topology.node(gpu) : gpu);
        }
      }
    }

    return places;
  }

  private long of(int set, long[] gpus, long[] nodes) {
    int touches = fewest(sets[set], gpus);
    return tokens[set] * (topology.nodes() > 1 ? touches + fewest(sets[set], nodes) : touches);
  }

  /** Fewest bits that meet the places of every expert of a set. */
  private int fewest(int[] set, long[] placesOf) {
    long used = 0;
    for (int expert : set) {
      long places = placesOf[expert];
      used |= (places & (places - 1)) == 0 ? places : 0;
    }

    int left = 0;
    for (int expert : set) {
      if ((placesOf[expert] & used) == 0) {
        open[0][left++] = placesOf[expert];
      }
    }

    return Long.bitCount(used) + rest(0, left, left);
  }

  /** Fewest bits that meet the first {@code left} open places of a depth; at most {@code most}. */
  private int rest(int depth, int left, int most) {
    if (left < 2 || most < 2) {
      return Math.min(left, 1);
    }

    long others = 0;
    for (int i = 1; i < left; i++) {
      others |= open[depth][i];
    }

    long shared = open[depth][0] & others; // a place that serves no other is as good as any
    long bits = shared == 0 ? Long.lowestOneBit(open[depth][0]) : shared;
    int best = most;
    for (; bits != 0 && best > 1; bits &= bits - 1) {
      long bit = Long.lowestOneBit(bits);
      int still = 0;
      for (int i = 1; i < left; i++) {
        if ((open[depth][i] & bit) == 0) {
          open[depth + 1][still++] = open[depth][i];
        }
      }

      best = Math.min(best, 1 + rest(depth + 1, still, best - 1));
    }

    return best;
  }
}
