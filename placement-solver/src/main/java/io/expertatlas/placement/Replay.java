package io.expertatlas.placement;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.Objects;

/**
 * Walks tokens through a placement and adds up what they pay, choice by choice. Slow and obvious:
 * everything faster is tested against it. Not safe for several threads.
 */
public final class Replay {
  private final ModelShape shape;
  private final Placement placement;
  private final Topology topology;
  private final long[] loads; // [layer][gpu]
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

    int[] gpus = new int[shape.topK()];
    for (int token = 0; token < trace.tokens(); token++) {
      int before = -1;
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < gpus.length; rank++) {
          gpus[rank] = placement.gpu(layer, trace.expert(token, layer, rank));
          loads[layer * topology.gpus() + gpus[rank]]++;
        }

        touch(gpus);
        if (layer > 0) {
          hop(before, gpus[0]);
        }

        before = gpus[0];
      }
    }

    tokens += trace.tokens();
  }

  private void touch(int[] gpus) {
    for (int rank = 0; rank < gpus.length; rank++) {
      boolean newGpu = true;
      boolean newNode = true;
      for (int better = 0; better < rank; better++) {
        newGpu &= gpus[better] != gpus[rank];
        newNode &= topology.node(gpus[better]) != topology.node(gpus[rank]);
      }

      gpuTouches += newGpu ? 1 : 0;
      nodeTouches += newNode ? 1 : 0;
    }
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
        new Loads(topology.gpus(), loads),
        placement.isBalanced());
  }
}
