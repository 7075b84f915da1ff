package io.expertatlas.placement;

import io.expertatlas.affinity.ExpertSet;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceReader;
import java.util.Arrays;
import java.util.Optional;

/**
 * What the tokens of a trace pay under a placement: exact totals, and the means that are derived
 * from them. Every mean of an empty trace is 0.
 *
 * <p>Hops and crossings follow the first choices through the {@code layers - 1} gaps of a token:
 * what a token pays that stays where its last expert ran (ExFlow, arXiv 2401.08383). Touches count
 * the distinct GPUs and nodes of all top-k choices of a layer: what a token pays that returns home
 * after every layer. Loads count all choices. The three are never folded into one number.
 *
 * <p>Where experts have several copies: a token's first choice goes to the copy nearest to its GPU,
 * equally near ones share; touches are the fewest GPUs, and the fewest nodes, on which all choices
 * have a copy; the copies of an expert share its load evenly. Engines that deal choices to copies
 * without a look at the token's other choices touch more.
 *
 * @param shape the model's shape
 * @param topology the cluster
 * @param tokens number of tokens
 * @param hops over all gaps: what the topology says a hop costs, usually 0 on the same GPU, 1 in
 *     the same node, 2 across nodes
 * @param crossings gaps with a change of GPU
 * @param interNode gaps with a change of node
 * @param gpuTouches over all tokens and layers: distinct GPUs of the top-k choices
 * @param nodeTouches over all tokens and layers: distinct nodes of the top-k choices
 * @param loads choices on each GPU in each layer
 * @param balanced whether every GPU holds equally many slots of every layer
 * @param estimated whether hops, crossings and changes of node are estimates: pairs of experts do
 *     not tell which copy a token is on, see {@link TokenFlow}; never of a replay
 */
public record PlacementCost(
    ModelShape shape,
    Topology topology,
    long tokens,
    long hops,
    long crossings,
    long interNode,
    long gpuTouches,
    long nodeTouches,
    Loads loads,
    boolean balanced,
    boolean estimated) {
  /** What ExFlow adds to the number of gaps before it divides by it. */
  private static final double EXFLOW_EPSILON = 1e-8;

  /**
   * The cost of the rest of a trace, replayed token by token; the reader stays open.
   *
   * @throws IllegalArgumentException if the placement is for another number of layers or experts
   */
  public static PlacementCost replay(TraceReader trace, Placement placement) {
    Replay replay = new Replay(trace.shape(), placement);
    for (Optional<RoutingTrace> next = trace.next(); next.isPresent(); next = trace.next()) {
      replay.add(next.get());
    }

    return replay.cost();
  }

  /**
   * The cost of a trace from its counts alone: hops from the transitions of first choices, touches
   * from the expert sets, loads from the popularity. Equal to the {@linkplain #replay replay}, but
   * for hops through copies, which are {@linkplain #estimated estimated}.
   *
   * @throws IllegalArgumentException if the placement is for another number of layers or experts
   */
  public static PlacementCost of(RouteCounts counts, Placement placement) {
    ModelShape shape = counts.shape();
    checkShape(shape, placement);
    if (placement.hasCopies()) {
      return ofCopies(counts, placement);
    }

    Topology topology = placement.topology();
    long hops = 0;
    long crossings = 0;
    long interNode = 0;
    for (int gap = 0; gap < shape.layers() - 1; gap++) {
      for (int from = 0; from < shape.experts(); from++) {
        int gpu = placement.gpu(gap, from);
        for (int to = 0; to < shape.experts(); to++) {
          int next = placement.gpu(gap + 1, to);
          if (gpu != next) {
            long tokens = counts.transitions().firstChoices(gap, from, to);
            hops += tokens * topology.hopCost(gpu, next);
            crossings += tokens;
            interNode += topology.node(gpu) != topology.node(next) ? tokens : 0;
          }
        }
      }
    }

    long gpuTouches = 0;
    long nodeTouches = 0;
    long[] loads = new long[shape.layers() * topology.gpus()];
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (ExpertSet set : counts.expertSets().get(layer)) {
        int at = layer;
        gpuTouches +=
            set.tokens()
                * set.experts().stream().mapToInt(e -> placement.gpu(at, e)).distinct().count();
        nodeTouches +=
            set.tokens()
                * set.experts().stream()
                    .mapToInt(e -> topology.node(placement.gpu(at, e)))
                    .distinct()
                    .count();
      }

      for (int expert = 0; expert < shape.experts(); expert++) {
        loads[layer * topology.gpus() + placement.gpu(layer, expert)] +=
            counts.popularity().choices(layer, expert);
      }
    }

    return new PlacementCost(
        shape,
        topology,
        counts.tokens(),
        hops,
        crossings,
        interNode,
        gpuTouches,
        nodeTouches,
        new Loads(topology.gpus(), loads),
        placement.isBalanced(),
        false);
  }

  private static PlacementCost ofCopies(RouteCounts counts, Placement placement) {
    ModelShape shape = counts.shape();
    Topology topology = placement.topology();
    TokenFlow flow = TokenFlow.of(counts.transitions(), placement);
    long[] shares = shares(placement);
    checkLoads(shape, shares, counts.tokens());
    long[] loads = new long[Math.multiplyExact(shape.layers(), topology.gpus())];
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int expert = 0; expert < shape.experts(); expert++) {
        int copies = placement.copies(layer, expert);
        long each = counts.popularity().choices(layer, expert) * (shares[layer] / copies);
        for (int copy = 0; copy < copies; copy++) {
          loads[layer * topology.gpus() + placement.gpu(layer, expert, copy)] += each;
        }
      }
    }

    return new PlacementCost(
        shape,
        topology,
        counts.tokens(),
        flow.hops(),
        flow.crossings(),
        flow.interNode(),
        touches(counts, FewestPlaces.distinct(placement, false), topology.gpus()),
        touches(counts, FewestPlaces.distinct(placement, true), topology.nodes()),
        new Loads(topology.gpus(), loads, shares),
        placement.isBalanced(),
        !flow.isExact());
  }

  private static long touches(RouteCounts counts, int[][][] placesOf, int places) {
    FewestPlaces fewest = new FewestPlaces(places);
    int[][] chosen = new int[counts.shape().topK()][];
    long touches = 0;
    for (int layer = 0; layer < placesOf.length; layer++) {
      for (ExpertSet set : counts.expertSets().get(layer)) {
        for (int i = 0; i < set.experts().size(); i++) {
          chosen[i] = placesOf[layer][set.experts().get(i)];
        }

        touches += set.tokens() * fewest.of(chosen, set.experts().size());
      }
    }

    return touches;
  }

  /** Shares of a choice in each layer. */
  static long[] shares(Placement placement) {
    long[] shares = new long[placement.layers()];
    Arrays.setAll(shares, placement::shares);
    return shares;
  }

  static void checkShape(ModelShape shape, Placement placement) {
    if (placement.layers() != shape.layers() || placement.experts() != shape.experts()) {
      throw new IllegalArgumentException(
          "Invalid placement for this trace: %d layers x %d experts, the trace has %s"
              .formatted(placement.layers(), placement.experts(), shape));
    }

    if (placement.hasCopies() && shape.topK() > FewestPlaces.MOST_EXPERTS) {
      throw new IllegalArgumentException(
          "Invalid placement for this trace: copies of experts with top-%d, at most top-%d"
              .formatted(shape.topK(), FewestPlaces.MOST_EXPERTS));
    }
  }

  /** Refuses what would not fit in a long when every choice is cut into shares. */
  static void checkLoads(ModelShape shape, long[] shares, long tokens) {
    for (int layer = 0; layer < shares.length; layer++) {
      long most = Long.MAX_VALUE / shares[layer] / shape.topK();
      if (tokens > most) {
        throw new IllegalArgumentException(
            "Cannot share the load of layer %d exactly: %d tokens in shares of 1/%d, at most %d"
                .formatted(layer, tokens, shares[layer], most));
      }
    }
  }

  /** Hops of a token through all its layers, on average. */
  public double hopsPerToken() {
    return perToken(hops);
  }

  /** Changes of GPU of a token through all its layers, on average. */
  public double crossingsPerToken() {
    return perToken(crossings);
  }

  /** Changes of node of a token through all its layers, on average. */
  public double interNodePerToken() {
    return perToken(interNode);
  }

  /** Changes of GPU inside a node. */
  public long intraNode() {
    return crossings - interNode;
  }

  /** Distinct GPUs that a token touches in a layer, on average. */
  public double gpusPerToken() {
    return perToken(gpuTouches) / shape.layers();
  }

  /** Distinct nodes that a token touches in a layer, on average. */
  public double nodesPerToken() {
    return perToken(nodeTouches) / shape.layers();
  }

  /** Busiest GPU over mean GPU, averaged over the layers. */
  public double loadMeanMaxOverMean() {
    double mean = 0;
    for (int layer = 0; layer < loads.layers(); layer++) {
      mean += loads.maxOverMean(layer) / loads.layers();
    }

    return mean;
  }

  /** Busiest GPU over mean GPU in the worst layer. */
  public double loadWorstMaxOverMean() {
    double worst = 0;
    for (int layer = 0; layer < loads.layers(); layer++) {
      worst = Math.max(worst, loads.maxOverMean(layer));
    }

    return worst;
  }

  /** ExFlow's {@code avg_cost}: hops per token, times {@code gaps / (gaps + 1e-8)}. */
  public double avgCost() {
    return perToken(hops) * exflowFactor();
  }

  /**
   * ExFlow's {@code avg_intra}: hops inside a node per token and possible peer there. ExFlow
   * divides by zero on one GPU per node; here it is 0, as no hop can stay in such a node.
   *
   * @throws IllegalStateException if the nodes are not equal
   */
  public double avgIntra() {
    return topology.gpusPerNode() == 1
        ? 0
        : perToken(intraNode()) * exflowFactor() / (topology.gpusPerNode() - 1);
  }

  /**
   * ExFlow's {@code avg_inter}: hops across nodes per token and possible peer; 0 on one node.
   *
   * @throws IllegalStateException if the nodes are not equal
   */
  public double avgInter() {
    return topology.nodes() == 1
        ? 0
        : perToken(interNode)
            * exflowFactor()
            / (topology.gpusPerNode() * (topology.nodes() - 1.0));
  }

  private double exflowFactor() {
    int gaps = shape.layers() - 1;
    return gaps / (gaps + EXFLOW_EPSILON);
  }

  private double perToken(long total) {
    return tokens == 0 ? 0 : total / (double) tokens;
  }
}
