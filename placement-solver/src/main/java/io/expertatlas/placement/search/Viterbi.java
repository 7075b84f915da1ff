package io.expertatlas.placement.search;

import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;

/**
 * The exact optimum of a chain by dynamic programming over its layers.
 *
 * <p>A state is a partition of one layer's experts without names of parts: the names of each layer
 * may be permuted freely, inside nodes and node by node, so each step from state to state contains
 * the best renaming, an assignment problem. This leaves 105 states for 8 experts on 4 GPUs, where
 * named ones are 2520, and 1 for as many GPUs as experts in one node, where the steps are the chain
 * of assignments. What a layer costs by itself is a cost of its states, a state above the cap on
 * load is none. If hops cost nothing, each layer takes its own best state.
 */
public final class Viterbi {
  /** Most states of a layer. */
  public static final int MAX_STATES = 20_000;

  private final Chain chain;
  private final List<List<short[]>> states; // [layer][state][i]
  private final boolean hasHops;
  private final BooleanSupplier isTimeUp;

  private Viterbi(Chain chain, List<List<short[]>> states, BooleanSupplier isTimeUp) {
    this.chain = chain;
    this.states = states;
    this.hasHops = chain.prices().hop() > 0;
    this.isTimeUp = isTimeUp;
  }

  /** Prepares the states, unless there are too many. */
  public static Optional<Viterbi> of(Chain chain, BooleanSupplier isTimeUp) {
    List<List<short[]>> states = new ArrayList<>();
    for (int layer = 0; layer < chain.layers(); layer++) {
      Optional<List<short[]>> same = sameAsBefore(chain, layer, states);
      Optional<List<short[]>> found =
          same.isPresent() ? same : Partitions.of(chain, layer, MAX_STATES);
      if (found.isEmpty()) {
        return Optional.empty();
      }

      states.add(found.get());
    }

    return Optional.of(new Viterbi(chain, states, isTimeUp));
  }

  private static Optional<List<short[]>> sameAsBefore(
      Chain chain, int layer, List<List<short[]>> states) {
    boolean same =
        layer > 0
            && chain.cap(layer) == Long.MAX_VALUE
            && chain.cap(layer - 1) == Long.MAX_VALUE
            && chain.size(layer) == chain.size(layer - 1);
    for (int part = 0; same && part < chain.parts().gpus(); part++) {
      same =
          chain.least(layer, part) == chain.least(layer - 1, part)
              && chain.most(layer, part) == chain.most(layer - 1, part);
    }

    return same ? Optional.of(states.get(layer - 1)) : Optional.empty();
  }

  /** States of the layer that has most of them. */
  public int states() {
    return states.stream().mapToInt(List::size).max().orElse(0);
  }

  /** A layer in which no partition is within the bounds and the cap, if there is one. */
  public OptionalInt infeasibleLayer() {
    return IntStream.range(0, states.size()).filter(l -> states.get(l).isEmpty()).findFirst();
  }

  /** Elementary steps that {@link #solve} takes, roughly. */
  public double steps() {
    double parts = chain.parts().gpus();
    double steps = 0;
    for (int layer = 0; layer < chain.layers(); layer++) {
      steps += (double) states.get(layer).size() * 10 * (1 + chain.sets(layer).count());
    }

    for (int gap = 0; hasHops && gap < chain.layers() - 1; gap++) {
      double renaming = 40 + parts * parts + (parts > 2 ? parts * parts * parts : 0);
      steps +=
          (double) states.get(gap).size()
              * states.get(gap + 1).size()
              * (parts * chain.size(gap + 1) + renaming);
    }

    return steps;
  }

  /**
   * The optimum, or empty if time ran out.
   *
   * @throws IllegalStateException if a layer is infeasible
   */
  public Optional<int[][]> solve() {
    int layers = chain.layers();
    int[][] before = new int[layers][];
    long[] best = new long[0]; // [state], smallest cost of a way to it, less all that may stay
    for (int layer = 0; layer < layers; layer++) {
      if (states.get(layer).isEmpty()) {
        throw new IllegalStateException("Cannot place layer %d: no partition".formatted(layer));
      }

      long[] next = layerCosts(layer);
      if (next.length == 0) {
        return Optional.empty();
      }

      before[layer] = new int[next.length];
      if (layer > 0
          && !(hasHops
              ? step(layer - 1, best, next, before[layer])
              : join(best, next, before[layer]))) {
        return Optional.empty();
      }

      best = next;
    }

    int state = indexOfLeast(best);
    int[] path = new int[layers];
    for (int layer = layers - 1; layer >= 0; layer--) {
      path[layer] = state;
      state = before[layer][state];
    }

    return Optional.of(named(path));
  }

  private static int indexOfLeast(long[] values) {
    int least = 0;
    for (int i = 1; i < values.length; i++) {
      least = values[i] < values[least] ? i : least;
    }

    return least;
  }

  /** What each state of a layer costs by itself; none if time ran out. */
  private long[] layerCosts(int layer) {
    long[] costs = new long[states.get(layer).size()];
    if (!chain.prices().hasLayerTerms()) {
      return costs;
    }

    int[] map = new int[chain.size(layer)];
    for (int state = 0; state < costs.length; state++) {
      if (isTimeUp.getAsBoolean()) {
        return new long[0];
      }

      short[] parts = states.get(layer).get(state);
      Arrays.setAll(map, i -> parts[i]);
      costs[state] = chain.layerCost(layer, map);
    }

    return costs;
  }

  /** A step that costs nothing: after the best state, any. */
  private static boolean join(long[] best, long[] next, int[] before) {
    int least = indexOfLeast(best);
    Arrays.fill(before, least);
    for (int state = 0; state < next.length; state++) {
      next[state] += best[least];
    }

    return true;
  }

  /** The sum over the gaps of the best step of each: a lower bound on the cost of the chain. */
  public Optional<Long> singleGapBound() {
    long bound = 0;
    for (int layer = 0; layer < chain.layers(); layer++) {
      long[] costs = layerCosts(layer);
      if (costs.length == 0) {
        return Optional.empty();
      }

      bound += Arrays.stream(costs).min().orElse(0);
    }

    for (int gap = 0; hasHops && gap < chain.layers() - 1; gap++) {
      long[] next = new long[states.get(gap + 1).size()];
      if (!step(gap, new long[states.get(gap).size()], next, new int[next.length])) {
        return Optional.empty();
      }

      long most = -Arrays.stream(next).min().orElse(0);
      bound += chain.total(gap) * chain.parts().highestCost() - most;
    }

    return Optional.of(bound);
  }

  /**
   * One step over a gap; false if time ran out.
   *
   * @param next {@code [state]} what a state costs by itself; receives the cost of the best way to
   *     it
   */
  private boolean step(int gap, long[] best, long[] next, int[] before) {
    long[] own = next.clone();
    Arrays.fill(next, Long.MAX_VALUE);
    int parts = chain.parts().gpus();
    int width = chain.size(gap + 1);
    BestNames names = new BestNames(chain);
    long[] towards = new long[parts * width]; // [part before][expert now]
    long[] stays = new long[parts * parts]; // [part before][part now]
    for (int from = 0; from < best.length; from++) {
      if (isTimeUp.getAsBoolean()) {
        return false;
      }

      towards(gap, states.get(gap).get(from), towards);
      for (int to = 0; to < next.length; to++) {
        stays(towards, states.get(gap + 1).get(to), stays);
        long total = best[from] - names.best(stays) + own[to];
        if (total < next[to]) {
          next[to] = total;
          before[to] = from;
        }
      }
    }

    return true;
  }

  private void towards(int gap, short[] state, long[] towards) {
    Arrays.fill(towards, 0);
    int width = chain.size(gap + 1);
    for (int i = 0; i < state.length; i++) {
      for (int j = 0; j < width; j++) {
        towards[state[i] * width + j] += chain.weight(gap, i, j);
      }
    }
  }

  private void stays(long[] towards, short[] state, long[] stays) {
    Arrays.fill(stays, 0);
    int parts = chain.parts().gpus();
    for (int part = 0; part < parts; part++) {
      for (int j = 0; j < state.length; j++) {
        stays[part * parts + state[j]] += towards[part * state.length + j];
      }
    }
  }

  /** The map of a path of states, each layer named as fits the layer before it best. */
  private int[][] named(int[] path) {
    int parts = chain.parts().gpus();
    BestNames names = new BestNames(chain);
    int[] name = new int[parts]; // [part of this layer's state]
    Arrays.setAll(name, part -> part);
    int[][] map = new int[chain.layers()][];
    for (int layer = 0; layer < chain.layers(); layer++) {
      short[] state = states.get(layer).get(path[layer]);
      if (layer > 0) {
        long[] towards = new long[parts * state.length];
        long[] stays = new long[parts * parts];
        int[] same = new int[parts];
        towards(layer - 1, states.get(layer - 1).get(path[layer - 1]), towards);
        stays(towards, state, stays);
        names.names(stays, same);
        int[] before = name.clone();
        Arrays.setAll(name, part -> before[same[part]]);
      }

      map[layer] = new int[state.length];
      for (int i = 0; i < state.length; i++) {
        map[layer][i] = name[state[i]];
      }
    }

    return map;
  }
}
