package io.expertatlas.placement;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.Objects;

/**
 * Walks tokens through a placement and counts the vectors of hidden size that they send between
 * GPUs: what an executor that follows the placement moves, copy by copy. The home of a token is GPU
 * {@code sequence mod GPUs}; {@link CopyChoice} says which copy of an expert it takes. With P the
 * GPUs of a token's choices in a layer, it sends
 *
 * <ul>
 *   <li>{@link ParallelMode#HOME}: its vector from home to each other GPU of P, and back a partial
 *       sum from each: {@code 2 |P - {home}|};
 *   <li>{@link ParallelMode#COHERENT}: its vector from where it is to each other GPU of P, then a
 *       partial sum from each GPU of P to that of its first choice, where it stays: {@code |P -
 *       {before}| + |P| - 1}.
 * </ul>
 *
 * Not safe for several threads.
 */
public final class TrafficReplay {
  private final ModelShape shape;
  private final Placement placement;
  private final ParallelMode mode;
  private final TrafficMatrix moved;

  /**
   * Starts with no token.
   *
   * @throws IllegalArgumentException if the placement is for another number of layers or experts
   */
  public TrafficReplay(ModelShape shape, Placement placement, ParallelMode mode) {
    PlacementCost.checkShape(shape, placement);
    this.shape = shape;
    this.placement = placement;
    this.mode = Objects.requireNonNull(mode, "mode is null");
    this.moved = new TrafficMatrix(shape.layers(), placement.topology().gpus());
  }

  /**
   * Adds the tokens of a trace.
   *
   * @throws IllegalArgumentException if it is of another shape
   */
  public void add(RoutingTrace trace) {
    if (!trace.shape().equals(shape)) {
      throw new IllegalArgumentException(
          "Invalid trace: %s, expected %s".formatted(trace.shape(), shape));
    }

    int[] gpus = new int[shape.topK()];
    for (int token = 0; token < trace.tokens(); token++) {
      int at = Math.floorMod(trace.sequence(token), placement.topology().gpus());
      for (int layer = 0; layer < shape.layers(); layer++) {
        for (int rank = 0; rank < gpus.length; rank++) {
          gpus[rank] =
              CopyChoice.gpu(
                  placement,
                  layer,
                  trace.expert(token, layer, rank),
                  at,
                  trace.sequence(token),
                  trace.position(token));
        }

        int meet = mode == ParallelMode.HOME ? at : gpus[0];
        for (int rank = 0; rank < gpus.length; rank++) {
          if (isFirst(gpus, rank)) {
            send(layer, at, gpus[rank]);
            send(layer, gpus[rank], meet);
          }
        }

        at = meet;
      }
    }
  }

  private static boolean isFirst(int[] gpus, int rank) {
    for (int better = 0; better < rank; better++) {
      if (gpus[better] == gpus[rank]) {
        return false;
      }
    }

    return true;
  }

  private void send(int layer, int from, int to) {
    if (from != to) {
      moved.add(layer, from, to, 1);
    }
  }

  /** What the tokens added so far moved; it grows with them. */
  public TrafficMatrix moved() {
    return moved;
  }
}
