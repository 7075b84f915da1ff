package io.expertatlas.placement.search;

import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.Chain;
import io.expertatlas.placement.solver.SetCounts;
import java.util.Arrays;
import java.util.function.IntUnaryOperator;

/**
 * Lower bounds on what the layers of a chain cost by themselves. A set of k experts touches at
 * least as many parts as the roomiest parts need to hold k. The hottest part carries at least the
 * mean, and at least the hottest expert with the coldest ones that have to share its part.
 */
final class LayerBound {
  private LayerBound() {}

  /** A bound that the layer's own cost is never below. */
  static long of(Chain chain, int layer) {
    long bound = 0;
    if (chain.prices().gpuTouch() > 0) {
      bound += chain.prices().gpuTouch() * touches(chain, layer, part -> part);
    }

    if (chain.prices().nodeTouch() > 0) {
      bound += chain.prices().nodeTouch() * touches(chain, layer, chain.parts()::node);
    }

    return chain.prices().hottest() > 0
        ? bound + chain.prices().hottest() * hottest(chain, layer)
        : bound;
  }

  private static long touches(Chain chain, int layer, IntUnaryOperator groupOf) {
    Topology parts = chain.parts();
    long[] room = new long[groupOf.applyAsInt(parts.gpus() - 1) + 1]; // [group]
    for (int part = 0; part < parts.gpus(); part++) {
      room[groupOf.applyAsInt(part)] += chain.most(layer, part);
    }

    Arrays.sort(room);
    SetCounts sets = chain.sets(layer);
    long touches = 0;
    for (int set = 0; set < sets.count(); set++) {
      long left = sets.size(set);
      int groups = 0;
      while (left > 0 && groups < room.length) {
        left -= room[room.length - 1 - groups];
        groups++;
      }

      touches += groups * sets.tokens(set);
    }

    return touches;
  }

  /** A bound on the load of the hottest part. */
  static long hottest(Chain chain, int layer) {
    int parts = chain.parts().gpus();
    long[] load = new long[chain.size(layer)];
    Arrays.setAll(load, i -> chain.load(layer, i));
    Arrays.sort(load);
    int used = 0;
    int fewest = Integer.MAX_VALUE;
    for (int part = 0; part < parts; part++) {
      used += chain.most(layer, part) > 0 ? 1 : 0;
      fewest = Math.min(fewest, chain.least(layer, part));
    }

    long sum = Arrays.stream(load).sum();
    long mean = used == 0 ? 0 : (sum + used - 1) / used;
    long shared = load.length == 0 ? 0 : load[load.length - 1];
    for (int i = 0; i < Math.min(fewest, load.length) - 1; i++) {
      shared += load[i];
    }

    return Math.max(mean, shared);
  }
}
