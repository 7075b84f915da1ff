package io.expertatlas.placement.solver;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementProblem;
import io.expertatlas.placement.Topology;
import java.util.Arrays;
import java.util.Objects;

/**
 * The problem as solvers see it: some experts of each layer, a weight for every pair of experts of
 * adjacent layers, parts to put the experts on, and what each layer costs and allows by itself.
 * Immutable.
 *
 * <p>A map {@code [layer][i]} gives the part of the i-th expert of a layer. Its cost is
 *
 * <pre>
 *   sum over gaps, i, j of   weight(gap, i, j) * hopCost(part of i, part of j)
 * + sum over layers of       gpuTouch * parts touched + nodeTouch * nodes touched
 *                            + hottest * load of the hottest part
 * </pre>
 *
 * By the grouping argument of the pair program the first line equals the cost of walking every
 * token; parts and nodes touched are counted on the distinct expert sets. No part of a layer may
 * carry more load than {@link #cap}.
 */
public final class Chain {
  private final Topology parts;
  private final int[] sizes; // [layer]
  private final long[][] weights; // [gap][i * sizes[gap + 1] + j]
  private final int[][] least; // [layer][part]
  private final int[][] most; // [layer][part]
  private final Prices prices;
  private final long[][] load; // [layer][i]
  private final long[] cap; // [layer]
  private final SetCounts[] sets; // [layer]
  private final int[] kind; // [part]

  /**
   * Creates a chain of pairs alone from copies of its arrays.
   *
   * @param parts where experts go; the cost of a pair is the hop cost between its parts
   * @param sizes {@code [layer]} number of experts
   * @param weights {@code [gap][i * sizes[gap + 1] + j]}, not negative
   * @param least {@code [layer][part]} fewest experts
   * @param most {@code [layer][part]} most experts
   * @throws IllegalArgumentException if the lengths do not fit each other
   */
  public Chain(Topology parts, int[] sizes, long[][] weights, int[][] least, int[][] most) {
    this(
        parts,
        sizes,
        weights,
        least,
        most,
        new Prices(1, 0, 0, 0),
        Arrays.stream(sizes).mapToObj(long[]::new).toArray(long[][]::new),
        filled(sizes.length, Long.MAX_VALUE),
        filled(sizes.length, SetCounts.NONE));
  }

  private Chain(
      Topology parts,
      int[] sizes,
      long[][] weights,
      int[][] least,
      int[][] most,
      Prices prices,
      long[][] load,
      long[] cap,
      SetCounts[] sets) {
    this.parts = Objects.requireNonNull(parts, "parts is null");
    this.sizes = sizes.clone();
    this.weights = copy(weights);
    this.least = Arrays.stream(least).map(int[]::clone).toArray(int[][]::new);
    this.most = Arrays.stream(most).map(int[]::clone).toArray(int[][]::new);
    this.prices = prices;
    this.load = copy(load);
    this.cap = cap.clone();
    this.sets = sets.clone();
    boolean fits =
        sizes.length > 0
            && weights.length == sizes.length - 1
            && least.length == sizes.length
            && most.length == sizes.length;
    for (int gap = 0; fits && gap < weights.length; gap++) {
      fits = weights[gap].length == sizes[gap] * sizes[gap + 1];
    }

    if (!fits) {
      throw new IllegalArgumentException(
          "Invalid chain: %d layers, %d gaps".formatted(sizes.length, weights.length));
    }

    this.kind = new int[parts.gpus()];
    for (int part = 0; part < kind.length; part++) {
      int first = 0;
      while (!hasSameBounds(first, part)) {
        first++;
      }

      kind[part] = first;
    }
  }

  private static long[][] copy(long[][] values) {
    return Arrays.stream(values).map(long[]::clone).toArray(long[][]::new);
  }

  private static long[] filled(int length, long value) {
    long[] values = new long[length];
    Arrays.fill(values, value);
    return values;
  }

  private static SetCounts[] filled(int length, SetCounts value) {
    SetCounts[] values = new SetCounts[length];
    Arrays.fill(values, value);
    return values;
  }

  /** The chain of a whole problem: all experts, the GPUs as parts, its objective's prices. */
  public static Chain of(PlacementProblem problem) {
    return of(problem, Prices.of(problem.objective(), problem.topology()));
  }

  /**
   * The chain of a whole problem at other prices. Its caps on load hold; caps on totals are the
   * caller's affair.
   */
  public static Chain of(PlacementProblem problem, Prices prices) {
    RouteCounts counts = problem.counts();
    int layers = problem.shape().layers();
    int experts = problem.shape().experts();
    long[][] weights = new long[layers - 1][experts * experts];
    for (int gap = 0; gap < layers - 1 && prices.hop() > 0; gap++) {
      for (int from = 0; from < experts; from++) {
        for (int to = 0; to < experts; to++) {
          weights[gap][from * experts + to] =
              Math.multiplyExact(prices.hop(), counts.transitions().firstChoices(gap, from, to));
        }
      }
    }

    int[] sizes = new int[layers];
    Arrays.fill(sizes, experts);
    int[][] least = new int[layers][problem.topology().gpus()];
    int[][] most = new int[layers][problem.topology().gpus()];
    long[][] load = new long[layers][experts];
    long[] cap = new long[layers];
    SetCounts[] sets = new SetCounts[layers];
    for (int layer = 0; layer < layers; layer++) {
      Arrays.setAll(least[layer], problem.slots()::least);
      Arrays.setAll(most[layer], problem.slots()::most);
      for (int expert = 0; expert < experts; expert++) {
        load[layer][expert] = counts.popularity().choices(layer, expert);
      }

      cap[layer] = problem.caps().load(layer);
      sets[layer] =
          prices.hasFanout() ? new SetCounts(counts.expertSets().get(layer)) : SetCounts.NONE;
    }

    return new Chain(
        problem.objective().view(problem.topology()),
        sizes,
        weights,
        least,
        most,
        prices,
        load,
        cap,
        sets);
  }

  /**
   * A part of this chain: some experts, the pairs among them, other parts to go to. What layers
   * cost and allow by themselves is left out.
   *
   * @param members {@code [layer][i]} indexes of the experts here
   * @param newParts where they go
   * @param newLeast {@code [layer][part]} fewest experts
   * @param newMost {@code [layer][part]} most experts
   */
  public Chain select(int[][] members, Topology newParts, int[][] newLeast, int[][] newMost) {
    int[] newSizes = Arrays.stream(members).mapToInt(layer -> layer.length).toArray();
    long[][] newWeights = new long[layers() - 1][];
    for (int gap = 0; gap < layers() - 1; gap++) {
      newWeights[gap] = new long[newSizes[gap] * newSizes[gap + 1]];
      int at = 0;
      for (int from : members[gap]) {
        for (int to : members[gap + 1]) {
          newWeights[gap][at++] = weight(gap, from, to);
        }
      }
    }

    return new Chain(newParts, newSizes, newWeights, newLeast, newMost);
  }

  /** One layer of this chain by itself. */
  public Chain layer(int layer) {
    return new Chain(
        parts,
        new int[] {sizes[layer]},
        new long[0][],
        new int[][] {least[layer]},
        new int[][] {most[layer]},
        prices,
        new long[][] {load[layer]},
        new long[] {cap[layer]},
        new SetCounts[] {sets[layer]});
  }

  /** The same experts and terms with whole nodes as parts; GPUs cost nothing. */
  public Chain nodesOnly() {
    int[][] nodeLeast = new int[layers()][parts.nodes()];
    int[][] nodeMost = new int[layers()][parts.nodes()];
    long[] nodeCap = new long[layers()];
    for (int layer = 0; layer < layers(); layer++) {
      for (int part = 0; part < parts.gpus(); part++) {
        nodeLeast[layer][parts.node(part)] += least[layer][part];
        nodeMost[layer][parts.node(part)] += most[layer][part];
      }

      boolean overflows = cap[layer] > Long.MAX_VALUE / parts.gpusPerNode();
      nodeCap[layer] = overflows ? Long.MAX_VALUE : cap[layer] * parts.gpusPerNode();
    }

    return new Chain(
        new Topology(1, parts.nodes()),
        sizes,
        weights,
        nodeLeast,
        nodeMost,
        new Prices(prices.hop(), prices.nodeTouch(), 0, 0),
        load,
        nodeCap,
        sets);
  }

  /** Where experts go, and what hops between the parts cost. */
  public Topology parts() {
    return parts;
  }

  /** Number of layers. */
  public int layers() {
    return sizes.length;
  }

  /** Experts of a layer. */
  public int size(int layer) {
    return sizes[layer];
  }

  /** Weight of the pair of expert {@code from} of layer {@code gap} and {@code to} of the next. */
  public long weight(int gap, int from, int to) {
    return weights[gap][from * sizes[gap + 1] + to];
  }

  /** Sum of the weights of a gap. */
  public long total(int gap) {
    return Arrays.stream(weights[gap]).sum();
  }

  /** Pairs with a weight, over all gaps. */
  public long pairs() {
    return Arrays.stream(weights).flatMapToLong(Arrays::stream).filter(w -> w != 0).count();
  }

  /** Fewest experts of a layer on a part. */
  public int least(int layer, int part) {
    return least[layer][part];
  }

  /** Most experts of a layer on a part. */
  public int most(int layer, int part) {
    return most[layer][part];
  }

  /** What is charged; the price of a hop is in the weights already. */
  public Prices prices() {
    return prices;
  }

  /** Choices of an expert of a layer. */
  public long load(int layer, int expert) {
    return load[layer][expert];
  }

  /** Most load of a layer on a part, {@code Long.MAX_VALUE} if there is no cap. */
  public long cap(int layer) {
    return cap[layer];
  }

  /** Whether any layer has a cap on load. */
  public boolean hasCaps() {
    return Arrays.stream(cap).anyMatch(most -> most != Long.MAX_VALUE);
  }

  /** The expert sets of a layer; none if touches are not charged. */
  public SetCounts sets(int layer) {
    return sets[layer];
  }

  /**
   * Whether the names of parts inside a node, and of nodes, do not matter: in each layer all parts
   * have the same bounds, and the topology is symmetric.
   */
  public boolean isSymmetric() {
    return parts.isSymmetric() && Arrays.stream(kind).allMatch(first -> first == 0);
  }

  /**
   * The kind of a part: the first part with the same bounds in every layer; with a matrix of costs
   * each part is of its own.
   */
  public int kind(int part) {
    return kind[part];
  }

  private boolean hasSameBounds(int part, int other) {
    if (parts.hasCostMatrix()) {
      return part == other;
    }

    for (int layer = 0; layer < layers(); layer++) {
      if (least[layer][part] != least[layer][other] || most[layer][part] != most[layer][other]) {
        return false;
      }
    }

    return true;
  }

  /** The cost of a map, from scratch. */
  public long cost(int[][] map) {
    long cost = 0;
    for (int gap = 0; gap < layers() - 1; gap++) {
      for (int from = 0; from < sizes[gap]; from++) {
        for (int to = 0; to < sizes[gap + 1]; to++) {
          cost += weight(gap, from, to) * parts.hopCost(map[gap][from], map[gap + 1][to]);
        }
      }
    }

    for (int layer = 0; layer < layers(); layer++) {
      cost += layerCost(layer, map[layer]);
    }

    return cost;
  }

  /**
   * What a layer costs by itself.
   *
   * @param map {@code [i]} part of each expert
   */
  public long layerCost(int layer, int[] map) {
    long cost = 0;
    if (prices.gpuTouch() > 0) {
      cost += prices.gpuTouch() * sets[layer].touches(map, 1);
    }

    if (prices.nodeTouch() > 0) {
      int[] nodes = Arrays.stream(map).map(parts::node).toArray();
      cost += prices.nodeTouch() * sets[layer].touches(nodes, 1);
    }

    return prices.hottest() > 0 ? cost + prices.hottest() * hottest(layer, map) : cost;
  }

  /** Load of the hottest part of a layer. */
  public long hottest(int layer, int[] map) {
    long[] loads = new long[parts.gpus()];
    for (int i = 0; i < map.length; i++) {
      loads[map[i]] += load[layer][i];
    }

    return Arrays.stream(loads).max().orElse(0);
  }

  /** Whether a map meets the bounds and the caps on load. */
  public boolean isMetBy(int[][] map) {
    for (int layer = 0; layer < layers(); layer++) {
      if (cap[layer] != Long.MAX_VALUE && hottest(layer, map[layer]) > cap[layer]) {
        return false;
      }

      int[] held = new int[parts.gpus()];
      for (int part : map[layer]) {
        held[part]++;
      }

      for (int part = 0; part < held.length; part++) {
        if (held[part] < least[layer][part] || held[part] > most[layer][part]) {
          return false;
        }
      }
    }

    return true;
  }

  /** The placement of a map of a whole problem's chain. */
  public static Placement placement(PlacementProblem problem, int[][] map) {
    return new Placement(problem.topology(), map);
  }
}
