package io.expertatlas.placement;

/**
 * Which copy of an expert computes for a token, in an executor and in what predicts it.
 *
 * <ol>
 *   <li>The copy on the GPU that the token is on: its home, in {@linkplain ParallelMode#COHERENT
 *       coherent} mode the GPU where its last first choice ran.
 *   <li>Else one of the nearest copies, those to which a hop {@linkplain Topology#hopCost costs}
 *       least: usually those of the same node. Of n equally near ones, in order of their GPUs, the
 *       one with number {@code (sequence + position) mod n}.
 * </ol>
 *
 * <p>Consecutive tokens of a sequence take turns, so equally near copies get equal shares, to
 * within one token a sequence. That is not a count of what copies are busy with at run time: such a
 * count depends on which requests run together and in which order, so no trace could tell what a
 * run moves. This rule depends on the token alone.
 */
public final class CopyChoice {
  private CopyChoice() {}

  /**
   * The GPU of the copy.
   *
   * @param on the GPU that the token is on
   * @param sequence of the token
   * @param position of the token in its sequence
   */
  public static int gpu(
      Placement placement, int layer, int expert, int on, int sequence, int position) {
    int copies = placement.copies(layer, expert);
    if (copies == 1) {
      return placement.gpu(layer, expert);
    }

    Topology topology = placement.topology();
    int least = Integer.MAX_VALUE;
    int equallyNear = 0;
    for (int copy = 0; copy < copies; copy++) {
      int cost = topology.hopCost(on, placement.gpu(layer, expert, copy));
      equallyNear = cost < least ? 1 : equallyNear + (cost == least ? 1 : 0);
      least = Math.min(least, cost);
    }

    int turn = Math.floorMod((long) sequence + position, equallyNear);
    int copy = 0;
    int gpu = placement.gpu(layer, expert, copy);
    while (topology.hopCost(on, gpu) != least || turn-- > 0) {
      gpu = placement.gpu(layer, expert, ++copy);
    }

    return gpu;
  }
}
