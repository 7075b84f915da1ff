package io.expertatlas.affinity;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/** The slow, obvious twin of {@link RouteCounter}: nested loops over maps. */
public final class ObviousCounts {
  private ObviousCounts() {}

  /** Counts the routes of all batches. */
  public static RouteCounts of(ModelShape shape, List<RoutingTrace> batches) {
    Map<List<Integer>, Long> choices = new TreeMap<>(ObviousCounts::compare);
    Map<List<Integer>, Long> firsts = new TreeMap<>(ObviousCounts::compare);
    Map<List<Integer>, Long> firstPairs = new TreeMap<>(ObviousCounts::compare);
    Map<List<Integer>, Long> units = new TreeMap<>(ObviousCounts::compare);
    Map<List<Integer>, Long> together = new TreeMap<>(ObviousCounts::compare);
    Map<List<Integer>, Long> sets = new TreeMap<>(ObviousCounts::compare);
    long tokens = 0;
    for (RoutingTrace trace : batches) {
      for (int t = 0; t < trace.tokens(); t++) {
        tokens++;
        for (int layer = 0; layer < shape.layers(); layer++) {
          firsts.merge(List.of(layer, trace.expert(t, layer, 0)), 1L, Long::sum);
          List<Integer> set = new ArrayList<>(List.of(layer));
          TreeSet<Integer> ids = new TreeSet<>();
          for (int i = 0; i < shape.topK(); i++) {
            ids.add(trace.expert(t, layer, i));
            choices.merge(List.of(layer, trace.expert(t, layer, i)), 1L, Long::sum);
            for (int j = 0; j < shape.topK(); j++) {
              together.merge(
                  List.of(layer, trace.expert(t, layer, i), trace.expert(t, layer, j)),
                  1L,
                  Long::sum);
              if (layer + 1 < shape.layers()) {
                units.merge(
                    List.of(layer, trace.expert(t, layer, i), trace.expert(t, layer + 1, j)),
                    pairUnits(trace, t, layer, i, j),
                    Long::sum);
              }
            }
          }

          set.addAll(ids);
          sets.merge(set, 1L, Long::sum);
          if (layer + 1 < shape.layers()) {
            firstPairs.merge(
                List.of(layer, trace.expert(t, layer, 0), trace.expert(t, layer + 1, 0)),
                1L,
                Long::sum);
          }
        }
      }
    }

    List<List<ExpertSet>> expertSets = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      List<ExpertSet> ofLayer = new ArrayList<>();
      for (Map.Entry<List<Integer>, Long> entry : sets.entrySet()) {
        if (entry.getKey().get(0) == layer) {
          List<Integer> key = entry.getKey();
          ofLayer.add(new ExpertSet(key.subList(1, key.size()), entry.getValue()));
        }
      }

      expertSets.add(ofLayer);
    }

    return new RouteCounts(
        shape,
        tokens,
        new Popularity(shape, dense2(shape, choices), dense2(shape, firsts)),
        new Transitions(
            shape,
            dense3(shape, shape.layers() - 1, firstPairs),
            dense3(shape, shape.layers() - 1, units)),
        new Coactivation(shape, dense3(shape, shape.layers(), together)),
        expertSets);
  }

  private static long pairUnits(RoutingTrace trace, int token, int layer, int i, int j) {
    double product =
        trace.hasWeights()
            ? (double) trace.weight(token, layer, i) * trace.weight(token, layer + 1, j)
            : 1.0 / ((double) trace.shape().topK() * trace.shape().topK());
    return Math.round(product * Transitions.UNITS);
  }

  private static long[] dense2(ModelShape shape, Map<List<Integer>, Long> counts) {
    long[] dense = new long[shape.totalExperts()];
    counts.forEach((key, count) -> dense[key.get(0) * shape.experts() + key.get(1)] = count);
    return dense;
  }

  private static long[] dense3(ModelShape shape, int rows, Map<List<Integer>, Long> counts) {
    int experts = shape.experts();
    long[] dense = new long[rows * experts * experts];
    counts.forEach(
        (key, count) -> dense[(key.get(0) * experts + key.get(1)) * experts + key.get(2)] = count);
    return dense;
  }

  private static int compare(List<Integer> a, List<Integer> b) {
    for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
      int order = Integer.compare(a.get(i), b.get(i));
      if (order != 0) {
        return order;
      }
    }

    return Integer.compare(a.size(), b.size());
  }
}
