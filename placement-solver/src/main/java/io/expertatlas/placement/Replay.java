package io.expertatlas.placement;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.Objects;

/**
 * Walks tokens through a placement and adds up what they pay, choice by choice. Slow and obvious:
 * everything faster is tested against it. Not safe for several threads.
 *
 * <p>Where experts have several copies: the first choice of a token goes to the copy nearest to the
 * GPU that the token is on; equally near copies take turns, each expert on its own, and so do all
 * copies in layer 0, where a token has no GPU yet. Touches are the fewest GPUs, and the fewest
 * nodes, on which all the token's choices have a copy. A choice loads all copies of its expert
 * evenly.
 */
public final class Replay {
  private final ModelShape shape;
  private final Placement placement;
  private final Topology topology;
  private final long[] loads; // [layer][gpu], in shares of a choice
  private final long[] shares; // [layer]
  private final long[] turns; // [layer][expert], how often equally near copies were dealt
  private final int[][][] gpusOf; // [layer][expert][i], without repetition
  private final int[][][] nodesOf; // [layer][expert][i], without repetition
  private final FewestPlaces fewestGpus;
  private final FewestPlaces fewestNodes;
  private long tokens;
  private long hops;
  private long crossings;
  private long interNode;
  private long gpuTouches;
  private long nodeTouches;

  /**
   * Starts with no token.
   *
   * @throws IllegalArgumentException if the placement is for another number of layers or experts
   */
  public Replay(ModelShape shape, Placement placement) {
    PlacementCost.checkShape(shape, placement);
    this.shape = shape;
    this.placement = placement;
    this.topology = placement.topology();
    this.loads = new long[Math.multiplyExact(shape.layers(), topology.gpus())];
    this.shares = PlacementCost.shares(placement);
    this.turns = new long[shape.totalExperts()];
    this.gpusOf = FewestPlaces.distinct(placement, false);
    this.nodesOf = FewestPlaces.distinct(placement, true);
    this.fewestGpus = new FewestPlaces(topology.gpus());
    this.fewestNodes = new FewestPlaces(topology.nodes());
  }

  /**
   * Adds the tokens of a trace.
   *
   * @throws IllegalArgumentException if it is of another shape
   */
  public void add(RoutingTrace trace) {
    Objects.requireNonNull(trace, "trace is null");
    if (!trace.shape().equals(shape)) {
      throw new IllegalArgumentException(
          "Invalid trace: %s, expected %s".formatted(trace.shape(), shape));
    }

    PlacementCost.checkLoads(shape, shares, tokens + trace.tokens());
    int[][] gpus = new int[shape.topK()][];
    int[][] nodes = new int[shape.topK()][];
    for (int token = 0; token < trace.tokens(); token++) {
      int on = -1;
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < shape.topK(); rank++) {
          int expert = trace.expert(token, layer, rank);
          load(layer, expert);
          gpus[rank] = gpusOf[layer][expert];
          nodes[rank] = nodesOf[layer][expert];
        }

        gpuTouches += fewestGpus.of(gpus, gpus.length);
        nodeTouches += fewestNodes.of(nodes, nodes.length);
        int next = next(on, layer, trace.expert(token, layer, 0));
        if (layer > 0) {
          hop(on, next);
        }

        on = next;
      }
    }

    tokens += trace.tokens();
  }

  private void load(int layer, int expert) {
    int copies = placement.copies(layer, expert);
    for (int copy = 0; copy < copies; copy++) {
      loads[layer * topology.gpus() + placement.gpu(layer, expert, copy)] += shares[layer] / copies;
    }
  }

  /** The GPU of the copy that a token goes to, or of any copy if it has no GPU yet (-1). */
  private int next(int on, int layer, int expert) {
    int copies = placement.copies(layer, expert);
    if (copies == 1) {
      return placement.gpu(layer, expert);
    }

    int nearest = Integer.MAX_VALUE;
    int equallyNear = 0;
    for (int copy = 0; copy < copies; copy++) {
      int cost = on < 0 ? 0 : topology.hopCost(on, placement.gpu(layer, expert, copy));
      equallyNear = cost < nearest ? 1 : equallyNear + (cost == nearest ? 1 : 0);
      nearest = Math.min(nearest, cost);
    }

    int at = shape.globalId(layer, expert);
    int turn = equallyNear == 1 ? 0 : (int) (turns[at]++ % equallyNear);
    for (int copy = 0; copy < copies; copy++) {
      int gpu = placement.gpu(layer, expert, copy);
      if ((on < 0 || topology.hopCost(on, gpu) == nearest) && turn-- == 0) {
        return gpu;
      }
    }

    throw new IllegalStateException("No copy is nearest"); // one of them is
  }

  private void hop(int before, int now) {
    hops += topology.hopCost(before, now);
    crossings += before != now ? 1 : 0;
    interNode += topology.node(before) != topology.node(now) ? 1 : 0;
  }

  /** What the tokens added so far pay. */
  public PlacementCost cost() {
    return new PlacementCost(
        shape,
        topology,
        tokens,
        hops,
        crossings,
        interNode,
        gpuTouches,
        nodeTouches,
        new Loads(topology.gpus(), loads, shares),
        placement.isBalanced(),
        false);
  }
}
