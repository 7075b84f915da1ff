package io.expertatlas.placement;

import io.expertatlas.affinity.Coactivation;
import io.expertatlas.affinity.ExpertSet;
import io.expertatlas.affinity.Popularity;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.synthetic.SyntheticTrace;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;

/** Traces and their counts for tests, counted the obvious way. */
public final class Routes {
  /** Case A of the golden examples: 4 experts, 3 layers, first choices. */
  public static final RoutingTrace CASE_A =
      trace(4, new int[][] {{3, 2, 1}, {0, 2, 0}, {3, 3, 0}, {2, 0, 0}});

  /** Case B: bisection is not optimal. */
  public static final RoutingTrace CASE_B =
      trace(
          4,
          new int[][] {
            {0, 0, 3}, {2, 1, 2}, {1, 2, 2}, {0, 2, 2}, {0, 0, 1}, {2, 3, 2}, {0, 0, 1}
          });

  private Routes() {}

  /** A top-1 trace, {@code [token][layer]}. */
  public static RoutingTrace trace(int experts, int[][] choices) {
    ModelShape shape = new ModelShape(choices[0].length, experts, 1);
    short[] flat = new short[choices.length * shape.layers()];
    for (int at = 0; at < flat.length; at++) {
      flat[at] = (short) choices[at / shape.layers()][at % shape.layers()];
    }

    return RoutingTrace.ofExperts(shape, flat);
  }

  /** A random trace with affinity. */
  public static RoutingTrace random(int layers, int experts, int topK, int tokens, long seed) {
    return SyntheticTrace.draw(new ModelShape(layers, experts, topK), tokens, 9, 0.6, seed);
  }

  /** The trace with the tokens of each layer shuffled on their own: popularity without affinity. */
  public static RoutingTrace shuffled(RoutingTrace trace, long seed) {
    ModelShape shape = trace.shape();
    SplittableRandom random = new SplittableRandom(seed);
    short[] experts = new short[trace.tokens() * shape.choicesPerToken()];
    for (int layer = 0; layer < shape.layers(); layer++) {
      int[] order = new int[trace.tokens()];
      for (int i = 0; i < order.length; i++) {
        int j = random.nextInt(i + 1);
        order[i] = order[j];
        order[j] = i;
      }

      for (int token = 0; token < order.length; token++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          experts[(token * shape.layers() + layer) * shape.topK() + rank] =
              (short) trace.expert(order[token], layer, rank);
        }
      }
    }

    return RoutingTrace.ofExperts(shape, experts);
  }

  /** The counts of a trace. */
  public static RouteCounts count(RoutingTrace trace) {
    ModelShape shape = trace.shape();
    int experts = shape.experts();
    long[] choices = new long[shape.totalExperts()];
    long[] first = new long[shape.totalExperts()];
    long[] pairs = new long[(shape.layers() - 1) * experts * experts];
    long[] together = new long[shape.totalExperts() * experts];
    List<TreeMap<List<Integer>, Long>> sets = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      sets.add(new TreeMap<>(Comparator.comparing(Object::toString)));
      for (int token = 0; token < trace.tokens(); token++) {
        List<Integer> set = new ArrayList<>();
        for (int rank = 0; rank < shape.topK(); rank++) {
          set.add(trace.expert(token, layer, rank));
        }

        first[shape.globalId(layer, set.get(0))]++;
        for (int one : set) {
          choices[shape.globalId(layer, one)]++;
          for (int other : set) {
            together[shape.globalId(layer, one) * experts + other]++;
          }
        }

        if (layer > 0) {
          pairs[
              ((layer - 1) * experts + trace.expert(token, layer - 1, 0)) * experts + set.get(0)]++;
        }

        sets.get(layer).merge(set.stream().sorted().toList(), 1L, Long::sum);
      }
    }

    return new RouteCounts(
        shape,
        trace.tokens(),
        new Popularity(shape, choices, first),
        new Transitions(shape, pairs, new long[pairs.length]),
        new Coactivation(shape, together),
        sets.stream()
            .map(
                layer ->
                    layer.entrySet().stream()
                        .map(e -> new ExpertSet(e.getKey(), e.getValue()))
                        .toList())
            .toList());
  }

  /** A reader that gives the trace in two batches. */
  public static TraceReader reader(RoutingTrace trace) {
    return new TraceReader() {
      private int at;

      @Override
      public ModelShape shape() {
        return trace.shape();
      }

      @Override
      public long tokens() {
        return trace.tokens();
      }

      @Override
      public boolean hasWeights() {
        return false;
      }

      @Override
      public Optional<RoutingTrace> next() {
        if (at == trace.tokens()) {
          return Optional.empty();
        }

        int from = at;
        at = at == 0 && trace.tokens() > 1 ? trace.tokens() / 2 : trace.tokens();
        return Optional.of(trace.slice(from, at));
      }

      @Override
      public void close() {}
    };
  }

  /** The problem of equal counts and fewest hops. */
  public static PlacementProblem problem(RoutingTrace trace, int nodes, int gpusPerNode) {
    return PlacementProblem.balanced(
        count(trace), new Topology(nodes, gpusPerNode), Objective.HOPS);
  }

  /** A small cluster with nodes and links that may differ. */
  public static Topology cluster(SplittableRandom random) {
    Topology topology = Topology.ofNodes(random.ints(1 + random.nextInt(3), 1, 4).toArray());
    int kind = random.nextInt(3);
    if (kind == 1) {
      int near = 1 + random.nextInt(3);
      return topology.withHopCosts(near, near + random.nextInt(5));
    }

    if (kind == 2) {
      int[][] costs = new int[topology.gpus()][topology.gpus()];
      for (int i = 0; i < costs.length; i++) {
        for (int j = 0; j < i; j++) {
          costs[i][j] = 1 + random.nextInt(6);
          costs[j][i] = costs[i][j];
        }
      }

      return topology.withHopCosts(costs);
    }

    return topology;
  }
}
