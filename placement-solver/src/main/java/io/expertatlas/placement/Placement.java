package io.expertatlas.placement;

import java.util.Arrays;

/** Which GPU holds each expert of each MoE layer, every expert exactly once. Immutable. */
public final class Placement {
  private final Topology topology;
  private final int[][] gpu; // [layer][expert]

  /**
   * Creates a placement from a copy of an array.
   *
   * @param gpu {@code [layer][expert]}, at least one layer and expert, equally many in each layer
   * @throws IllegalArgumentException if the array is ragged or empty, or a GPU is not in the
   *     topology
   */
  public Placement(Topology topology, int[][] gpu) {
    this.topology = topology;
    this.gpu = new int[gpu.length][];
    if (gpu.length == 0 || gpu[0].length == 0) {
      throw new IllegalArgumentException("Invalid placement: no layers or no experts");
    }

    for (int layer = 0; layer < gpu.length; layer++) {
      if (gpu[layer].length != gpu[0].length) {
        throw new IllegalArgumentException(
            "Invalid placement: layer %d has %d experts, layer 0 has %d"
                .formatted(layer, gpu[layer].length, gpu[0].length));
      }

      this.gpu[layer] = gpu[layer].clone();
      for (int expert = 0; expert < gpu[layer].length; expert++) {
        if (gpu[layer][expert] < 0 || gpu[layer][expert] >= topology.gpus()) {
          throw new IllegalArgumentException(
              "Invalid placement: layer %d, expert %d is on GPU %d, the topology %s has 0 to %d"
                  .formatted(layer, expert, gpu[layer][expert], topology, topology.gpus() - 1));
        }
      }
    }
  }

  /** The cluster it is for. */
  public Topology topology() {
    return topology;
  }

  /** Number of MoE layers. */
  public int layers() {
    return gpu.length;
  }

  /** Experts in each layer. */
  public int experts() {
    return gpu[0].length;
  }

  /** The GPU that holds an expert of a layer. */
  public int gpu(int layer, int expert) {
    return gpu[layer][expert];
  }

  /** A copy of the whole map, {@code [layer][expert]}. */
  public int[][] toArray() {
    return Arrays.stream(gpu).map(int[]::clone).toArray(int[][]::new);
  }

  /** Whether every GPU holds equally many experts of every layer. */
  public boolean isBalanced() {
    for (int[] layer : gpu) {
      int[] held = new int[topology.gpus()];
      for (int g : layer) {
        held[g]++;
      }

      for (int h : held) {
        if (h * topology.gpus() != layer.length) {
          return false;
        }
      }
    }

    return true;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Placement that
        && topology.equals(that.topology)
        && Arrays.deepEquals(gpu, that.gpu);
  }

  @Override
  public int hashCode() {
    return 31 * topology.hashCode() + Arrays.deepHashCode(gpu);
  }
}
