package io.expertatlas.placement;

import io.expertatlas.placement.solver.Chain;
import java.util.ArrayList;
import java.util.List;

/** Tries every map of a small chain that is within its bounds and caps. */
public final class BruteForce {
  private final Chain chain;
  private final List<List<int[]>> layers = new ArrayList<>();
  private final int[][] map;
  private long best = Long.MAX_VALUE;
  private int count;
  private long tried;
  private long sum;

  private BruteForce(Chain chain) {
    this.chain = chain;
    this.map = new int[chain.layers()][];
    for (int layer = 0; layer < chain.layers(); layer++) {
      layers.add(new ArrayList<>());
      list(layer, new int[chain.size(layer)], 0);
    }

    visit(0);
  }

  /** The smallest cost, how many maps have it, how many maps there are, and the sum of costs. */
  public record Result(long best, int count, long tried, long sum) {}

  /** Tries every map. */
  public static Result of(Chain chain) {
    BruteForce search = new BruteForce(chain);
    return new Result(search.best, search.count, search.tried, search.sum);
  }

  private void list(int layer, int[] parts, int at) {
    if (at == parts.length) {
      int[] held = new int[chain.parts().gpus()];
      long[] load = new long[held.length];
      for (int i = 0; i < parts.length; i++) {
        held[parts[i]]++;
        load[parts[i]] += chain.load(layer, i);
      }

      for (int part = 0; part < held.length; part++) {
        if (held[part] < chain.least(layer, part)
            || held[part] > chain.most(layer, part)
            || load[part] > chain.cap(layer)) {
          return;
        }
      }

      layers.get(layer).add(parts.clone());
      return;
    }

    for (int part = 0; part < chain.parts().gpus(); part++) {
      parts[at] = part;
      list(layer, parts, at + 1);
    }
  }

  private void visit(int layer) {
    if (layer == map.length) {
      long cost = chain.cost(map);
      tried++;
      sum += cost;
      if (cost < best) {
        best = cost;
        count = 0;
      }

      count += cost == best ? 1 : 0;
      return;
    }

    for (int[] parts : layers.get(layer)) {
      map[layer] = parts;
      visit(layer + 1);
    }
  }
}
