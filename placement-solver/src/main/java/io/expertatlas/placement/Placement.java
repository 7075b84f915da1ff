package io.expertatlas.placement;

import java.util.Arrays;

/**
 * Which GPU holds each expert of each MoE layer. An expert has one copy, or several: every copy
 * fills a slot of a GPU, and two copies may share a GPU. Immutable.
 */
public final class Placement {
  /** Largest common multiple of the numbers of copies in a layer: shares of loads stay exact. */
  private static final long MOST_SHARES = Integer.MAX_VALUE;

  private final Topology topology;
  private final int[][] gpu; // [layer][expert], of the first copy
  private final int[][][] copies; // [layer][expert][copy], GPUs in order; no layer without copies

  /**
   * Creates a placement with one copy of each expert from a copy of an array.
   *
   * @param gpu {@code [layer][expert]}, at least one layer and expert, equally many in each layer
   * @throws IllegalArgumentException if the array is ragged or empty, or a GPU is not in the
   *     topology
   */
  public Placement(Topology topology, int[][] gpu) {
    this.topology = topology;
    this.gpu = new int[gpu.length][];
    this.copies = new int[0][][];
    if (gpu.length == 0 || gpu[0].length == 0) {
      throw new IllegalArgumentException("Invalid placement: no layers or no experts");
    }

    for (int layer = 0; layer < gpu.length; layer++) {
      checkExperts(layer, gpu[layer].length, gpu[0].length);
      this.gpu[layer] = gpu[layer].clone();
      for (int expert = 0; expert < gpu[layer].length; expert++) {
        checkGpu(topology, layer, expert, gpu[layer][expert]);
      }
    }
  }

  private Placement(Topology topology, int[][][] copies) {
    this.topology = topology;
    this.copies = copies;
    this.gpu =
        Arrays.stream(copies)
            .map(layer -> Arrays.stream(layer).mapToInt(gpus -> gpus[0]).toArray())
            .toArray(int[][]::new);
  }

  /**
   * A placement with any number of copies.
   *
   * @param gpus {@code [layer][expert][copy]} GPU of each copy, in any order, at least one; the
   *     array is copied
   * @throws IllegalArgumentException if the array is ragged in its experts or empty, an expert has
   *     no copy, a GPU is not in the topology, or the numbers of copies in a layer have a common
   *     multiple above 2^31 - 1
   */
  public static Placement ofCopies(Topology topology, int[][][] gpus) {
    int[][][] copies = new int[gpus.length][][];
    boolean several = false;
    if (gpus.length == 0 || gpus[0].length == 0) {
      throw new IllegalArgumentException("Invalid placement: no layers or no experts");
    }

    for (int layer = 0; layer < gpus.length; layer++) {
      checkExperts(layer, gpus[layer].length, gpus[0].length);
      copies[layer] = new int[gpus[layer].length][];
      for (int expert = 0; expert < gpus[layer].length; expert++) {
        copies[layer][expert] = gpus[layer][expert].clone();
        Arrays.sort(copies[layer][expert]);
        several |= copies[layer][expert].length > 1;
        if (copies[layer][expert].length == 0) {
          throw new IllegalArgumentException(
              "Invalid placement: layer %d, expert %d has no copy".formatted(layer, expert));
        }

        for (int place : copies[layer][expert]) {
          checkGpu(topology, layer, expert, place);
        }
      }

      shares(layer, copies[layer]);
    }

    Placement placement = new Placement(topology, copies);
    return several ? placement : new Placement(topology, placement.gpu);
  }

  /**
   * A placement from the engines' view: slots of GPUs, an expert in each.
   *
   * @param experts experts of each layer
   * @param slots {@code [layer][slot]} expert; the GPUs have equally many slots of a layer each,
   *     GPU 0 the first
   * @throws IllegalArgumentException if the slots are no multiple of the GPUs, an expert is unknown
   *     or has no slot
   */
  public static Placement ofSlots(Topology topology, int experts, int[][] slots) {
    int[][][] gpus = new int[slots.length][experts][0];
    for (int layer = 0; layer < slots.length; layer++) {
      int perGpu = slots[layer].length / topology.gpus();
      if (perGpu * topology.gpus() != slots[layer].length) {
        throw new IllegalArgumentException(
            "Invalid placement: layer %d has %d slots, no multiple of %d GPUs"
                .formatted(layer, slots[layer].length, topology.gpus()));
      }

      for (int slot = 0; slot < slots[layer].length; slot++) {
        int expert = slots[layer][slot];
        if (expert < 0 || expert >= experts) {
          throw new IllegalArgumentException(
              "Invalid placement: layer %d, slot %d has expert %d, expected 0 to %d"
                  .formatted(layer, slot, expert, experts - 1));
        }

        int[] before = gpus[layer][expert];
        gpus[layer][expert] = Arrays.copyOf(before, before.length + 1);
        gpus[layer][expert][before.length] = slot / perGpu;
      }
    }

    return ofCopies(topology, gpus);
  }

  private static void checkExperts(int layer, int experts, int expected) {
    if (experts != expected) {
      throw new IllegalArgumentException(
          "Invalid placement: layer %d has %d experts, layer 0 has %d"
              .formatted(layer, experts, expected));
    }
  }

  private static void checkGpu(Topology topology, int layer, int expert, int gpu) {
    if (gpu < 0 || gpu >= topology.gpus()) {
      throw new IllegalArgumentException(
          "Invalid placement: layer %d, expert %d is on GPU %d, the topology %s has 0 to %d"
              .formatted(layer, expert, gpu, topology, topology.gpus() - 1));
    }
  }

  private static long shares(int layer, int[][] copies) {
    long multiple = 1;
    for (int[] gpus : copies) {
      long a = multiple;
      long b = gpus.length;
      while (b != 0) {
        long rest = a % b;
        a = b;
        b = rest;
      }

      multiple = multiple / a * gpus.length;
      if (multiple > MOST_SHARES) {
        throw new IllegalArgumentException(
            "Invalid placement: the numbers of copies in layer %d have a common multiple above %d"
                .formatted(layer, MOST_SHARES));
      }
    }

    return multiple;
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

  /** Whether an expert of any layer has several copies. */
  public boolean hasCopies() {
    return copies.length > 0;
  }

  /** Whether an expert of a layer has several copies. */
  public boolean hasCopies(int layer) {
    return slots(layer) > experts();
  }

  /**
   * The GPU that holds an expert of a layer.
   *
   * @throws IllegalStateException if the expert has several copies
   */
  public int gpu(int layer, int expert) {
    if (copies.length > 0 && copies[layer][expert].length > 1) {
      throw new IllegalStateException(
          "Cannot name one GPU of layer %d, expert %d: it has %d copies"
              .formatted(layer, expert, copies[layer][expert].length));
    }

    return gpu[layer][expert];
  }

  /** Number of copies of an expert. */
  public int copies(int layer, int expert) {
    return copies.length == 0 ? 1 : copies[layer][expert].length;
  }

  /** The GPU of a copy of an expert; copies are numbered from 0 in the order of their GPUs. */
  public int gpu(int layer, int expert, int copy) {
    return copies.length == 0 ? gpu[layer][expert] : copies[layer][expert][copy];
  }

  /** Slots of a layer in all: the copies of all its experts. */
  public int slots(int layer) {
    return copies.length == 0
        ? experts()
        : Arrays.stream(copies[layer]).mapToInt(gpus -> gpus.length).sum();
  }

  /** Slots of a layer on each GPU, {@code [gpu]}. */
  public int[] held(int layer) {
    int[] held = new int[topology.gpus()];
    for (int expert = 0; expert < experts(); expert++) {
      for (int copy = 0; copy < copies(layer, expert); copy++) {
        held[gpu(layer, expert, copy)]++;
      }
    }

    return held;
  }

  /** Shares that a choice of a layer is cut into: the common multiple of its numbers of copies. */
  public long shares(int layer) {
    return copies.length == 0 ? 1 : shares(layer, copies[layer]);
  }

  /**
   * A copy of the whole map, {@code [layer][expert]}.
   *
   * @throws IllegalStateException if an expert has several copies
   */
  public int[][] toArray() {
    if (hasCopies()) {
      throw new IllegalStateException(
          "Cannot use a placement with copies of experts as a map of one GPU for each");
    }

    return Arrays.stream(gpu).map(int[]::clone).toArray(int[][]::new);
  }

  /** A copy of all copies' GPUs, {@code [layer][expert][copy]} in the order of the GPUs. */
  public int[][][] toCopies() {
    int[][][] all = new int[layers()][experts()][];
    for (int layer = 0; layer < all.length; layer++) {
      for (int expert = 0; expert < all[layer].length; expert++) {
        all[layer][expert] =
            copies.length == 0 ? new int[] {gpu[layer][expert]} : copies[layer][expert].clone();
      }
    }

    return all;
  }

  /** Whether every GPU holds equally many slots of every layer. */
  public boolean isBalanced() {
    for (int layer = 0; layer < layers(); layer++) {
      int[] held = held(layer);
      for (int h : held) {
        if (h != held[0]) {
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
        && Arrays.deepEquals(gpu, that.gpu)
        && Arrays.deepEquals(copies, that.copies);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * topology.hashCode() + Arrays.deepHashCode(gpu)) + Arrays.deepHashCode(copies);
  }
}
