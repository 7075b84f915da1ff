package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import java.util.Arrays;

/**
 * What each expert of one layer saves on each part, where the experts of the layers before and
 * after it are. Experts of one layer never meet, so the effect of a swap is four look-ups. The
 * table follows the other layers only when {@linkplain #follow told to}: an anneal stays in a layer
 * for a while, and what moved there and back in the meantime costs nothing.
 *
 * <p>Where an expert is, the table holds {@link #HERE} and {@code own} what it saves there, so that
 * {@link #firstWithin} passes over experts of the same part without a test of its own. Not safe for
 * several threads.
 */
final class HopTable {
  /** Less than any saving; four of these and the largest savings do not overflow. */
  private static final int HERE = -(1 << 29);

  /** The highest threshold that {@link #firstWithin} takes. */
  static final int MOST_THRESHOLD = -HERE - 1;

  private final int size;
  private final int parts;
  private final Topology topology;
  private final int near; // saved by staying on a part
  private final int far; // saved by staying in a node
  private final int[] kept; // [(part, then nodes) * size + i] weight of pairs that stay there
  private final boolean[] isOld; // [node], whether its rows of saved do not follow from kept yet
  private final int[] saved; // [part * size + i]
  private final int[] own; // [i], saved where it is
  private final int[] row; // [i], part * size where it is
  private final int[][] seen; // [0 before, 1 after][j], part where it was counted, or -1

  /**
   * The table of a layer; nothing is saved until it {@linkplain #follow follows} its neighbours.
   *
   * @param map {@code [i]} the parts of the layer's experts
   */
  HopTable(Chain chain, int layer, int[] map) {
    this.size = chain.size(layer);
    this.topology = chain.parts();
    this.parts = topology.gpus();
    boolean matrix = topology.hasCostMatrix();
    this.near = matrix ? 1 : topology.costInNode();
    this.far = matrix || topology.nodes() == 1 ? 0 : topology.costAcrossNodes() - near;
    this.kept = new int[size * (parts + (far > 0 ? topology.nodes() : 0))];
    this.isOld = new boolean[topology.nodes()];
    this.saved = new int[size * parts];
    this.own = new int[size];
    this.row = new int[size];
    this.seen = new int[2][];
    seen[0] = new int[layer > 0 ? chain.size(layer - 1) : 0];
    seen[1] = new int[layer < chain.layers() - 1 ? chain.size(layer + 1) : 0];
    Arrays.fill(seen[0], -1);
    Arrays.fill(seen[1], -1);
    for (int i = 0; i < size; i++) {
      row[i] = map[i] * size;
      saved[row[i] + i] = HERE;
    }
  }

  /**
   * Counts the experts of the layers before and after where they are now.
   *
   * @param before {@code [j]} parts in the layer before; none if there is no such layer
   * @param fromBefore {@code [j * size + i]} weights of the pairs with it
   * @param after {@code [j]} parts in the layer after
   * @param fromAfter {@code [j * size + i]} weights of the pairs with it
   */
  void follow(int[] before, int[] fromBefore, int[] after, int[] fromAfter) {
    int changed = changed(seen[0], before) + changed(seen[1], after);
    if (changed == 0) {
      return;
    }

    if (2 * changed > before.length + after.length) { // adding all is less than moving these
      Arrays.fill(kept, 0);
      Arrays.fill(isOld, true);
      Arrays.fill(seen[0], -1);
      Arrays.fill(seen[1], -1);
    }

    follow(seen[0], before, fromBefore);
    follow(seen[1], after, fromAfter);
    for (int i = 0; i < size; i++) {
      saved[row[i] + i] = own[i];
    }

    for (int node = 0; node < isOld.length; node++) {
      if (isOld[node]) {
        save(node);
        isOld[node] = false;
      }
    }

    for (int i = 0; i < size; i++) {
      own[i] = saved[row[i] + i];
      saved[row[i] + i] = HERE;
    }
  }

  private static int changed(int[] seen, int[] now) {
    int changed = 0;
    for (int j = 0; j < now.length; j++) {
      changed += seen[j] == now[j] ? 0 : 1;
    }

    return changed;
  }

  private void follow(int[] seenParts, int[] now, int[] counts) {
    for (int j = 0; j < now.length; j++) {
      if (seenParts[j] != now[j]) {
        if (seenParts[j] >= 0) {
          count(seenParts[j], -1, counts, j * size);
        }

        count(now[j], 1, counts, j * size);
        seenParts[j] = now[j];
      }
    }
  }

  /** Counts the pairs of a neighbour on a part, {@code sign} times. */
  private void count(int part, int sign, int[] counts, int from) {
    if (topology.hasCostMatrix()) {
      // what is kept on a part is minus what the pairs cost there
      Arrays.fill(isOld, true);
      for (int p = 0; p < parts; p++) {
        addRow(p, -sign * topology.hopCost(p, part), counts, from);
      }

      return;
    }

    int node = topology.node(part);
    isOld[node] = true;
    addRow(part, sign, counts, from);
    if (far > 0) {
      addRow(parts + node, sign, counts, from);
    }
  }

  private void addRow(int group, int factor, int[] counts, int from) {
    int to = group * size;
    for (int i = 0; i < size; i++) {
      kept[to + i] += factor * counts[from + i];
    }
  }

  /** What is saved on the parts of a node. */
  private void save(int node) {
    int begin = topology.firstGpu(node) * size;
    int end = topology.firstGpu(node + 1) * size;
    for (int at = begin; at < end; at++) {
      saved[at] = near * kept[at];
    }

    int inNode = (parts + node) * size;
    for (int at = begin; far > 0 && at < end; at += size) {
      for (int i = 0; i < size; i++) {
        saved[at + i] += far * kept[inNode + i];
      }
    }
  }

  /** By how much the cost would rise if two experts of different parts changed places. */
  int swapRise(int one, int other) {
    return own[one] - saved[row[other] + one] + own[other] - saved[row[one] + other];
  }

  /** By how much the cost would rise if an expert went to another part. */
  int moveRise(int expert, int to) {
    return own[expert] - saved[to * size + expert];
  }

  /** Puts an expert on a part. */
  void move(int expert, int to) {
    saved[row[expert] + expert] = own[expert];
    row[expert] = to * size;
    own[expert] = saved[row[expert] + expert];
    saved[row[expert] + expert] = HERE;
  }

  /**
   * The first expert of another part with which an expert may change places without the cost rising
   * above a threshold.
   *
   * @param first the expert that is looked at first
   * @param thresholds {@code [offset + i]}, at most {@link #MOST_THRESHOLD}
   * @return the number of experts if there is none
   */
  int firstWithin(int one, int first, int[] thresholds, int offset) {
    int from = row[one];
    int mine = own[one];
    int other = first;
    while (other < size
        && mine - saved[row[other] + one] + own[other] - saved[from + other]
            > thresholds[offset + other]) {
      other++;
    }

    return other;
  }
}
