package io.expertatlas.placement;

import java.util.Arrays;

/**
 * Token vectors that went from one GPU to another, by MoE layer: {@code [layer][from][to]}. Counts
 * grow; a vector that stays on its GPU is not counted. Not safe for several threads.
 */
public final class TrafficMatrix {
  private final int layers;
  private final int gpus;
  private final long[] vectors; // [layer][from][to]

  /** Nothing moved yet. */
  public TrafficMatrix(int layers, int gpus) {
    if (layers < 1 || gpus < 1) {
      throw new IllegalArgumentException(
          "Invalid traffic matrix: %d layers, %d GPUs, each at least 1".formatted(layers, gpus));
    }

    this.layers = layers;
    this.gpus = gpus;
    this.vectors = new long[Math.multiplyExact(Math.multiplyExact(layers, gpus), gpus)];
  }

  /** Number of MoE layers. */
  public int layers() {
    return layers;
  }

  /** Number of GPUs. */
  public int gpus() {
    return gpus;
  }

  /**
   * Adds vectors that were sent.
   *
   * @throws IllegalArgumentException if they stayed where they were
   */
  public void add(int layer, int from, int to, long count) {
    if (from == to) {
      throw new IllegalArgumentException(
          "Invalid transfer in layer %d: from GPU %d to itself".formatted(layer, from));
    }

    vectors[index(layer, from, to)] += count;
  }

  /** Vectors sent in a layer from one GPU to another. */
  public long vectors(int layer, int from, int to) {
    return vectors[index(layer, from, to)];
  }

  /** Vectors sent in all. */
  public long total() {
    return Arrays.stream(vectors).sum();
  }

  /** A copy, {@code [layer][from][to]}, each count times a factor: 1, or the bytes of a vector. */
  public long[][][] toArray(long factor) {
    long[][][] copy = new long[layers][gpus][gpus];
    for (int layer = 0; layer < layers; layer++) {
      for (int from = 0; from < gpus; from++) {
        for (int to = 0; to < gpus; to++) {
          copy[layer][from][to] = Math.multiplyExact(vectors(layer, from, to), factor);
        }
      }
    }

    return copy;
  }

  private int index(int layer, int from, int to) {
    if (layer < 0 || layer >= layers || from < 0 || from >= gpus || to < 0 || to >= gpus) {
      throw new IndexOutOfBoundsException(
          "layer %d from %d to %d, of %d layers and %d GPUs"
              .formatted(layer, from, to, layers, gpus));
    }

    return (layer * gpus + from) * gpus + to;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TrafficMatrix that
        && layers == that.layers
        && gpus == that.gpus
        && Arrays.equals(vectors, that.vectors);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(vectors);
  }

  @Override
  public String toString() {
    return "TrafficMatrix" + Arrays.deepToString(toArray(1));
  }
}
