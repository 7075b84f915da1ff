package io.expertatlas.placement.solver;

import java.util.Arrays;
import java.util.stream.LongStream;

/**
 * Which consecutive layers form a stage of a pipeline whose weights are loaded stage by stage
 * (Mobius, ASPLOS'23). Stage s runs on device {@code s mod devices}; chunks pass all stages
 * forward, then backward. A device loads one stage at a time, the next while it computes one: load
 * i waits for load i - 1 and for the end of the visit before the last. The last stage of a device
 * stays for its backward pass. Immutable; {@code [layer]} arrays are copied.
 */
public final class StageProblem {
  private final int devices;
  private final int stages;
  private final int chunks;
  private final long budgetBytes;
  private final long[] loadNanos; // [layer]
  private final long[] forwardNanos; // [layer] of a chunk
  private final long[] backwardNanos; // [layer] of a chunk
  private final long[] bytes; // [layer] of weights, as many of gradients

  /**
   * A problem.
   *
   * @param stages a multiple of the devices
   * @param chunks micro-batches
   * @param budgetBytes for two stages' weights and one's gradients on a device
   * @param loadNanos {@code [layer]} copying its weights
   * @param forwardNanos {@code [layer]} of one chunk
   * @param backwardNanos {@code [layer]} of one chunk
   * @param bytes {@code [layer]} of its weights
   * @throws IllegalArgumentException if there are fewer layers than stages, stages do not divide
   *     among the devices, arrays differ in length, or a number is negative
   */
  public StageProblem(
      int devices,
      int stages,
      int chunks,
      long budgetBytes,
      long[] loadNanos,
      long[] forwardNanos,
      long[] backwardNanos,
      long[] bytes) {
    int layers = bytes.length;
    if (devices < 1 || chunks < 1 || stages < devices || stages % devices != 0 || layers < stages) {
      throw new IllegalArgumentException(
          "Invalid stages: %d of %d layers on %d devices with %d micro-batches, expected a multiple of the devices up to the layers"
              .formatted(stages, layers, devices, chunks));
    }

    if (loadNanos.length != layers
        || forwardNanos.length != layers
        || backwardNanos.length != layers
        || LongStream.of(loadNanos).anyMatch(value -> value < 0)
        || LongStream.of(forwardNanos).anyMatch(value -> value < 0)
        || LongStream.of(backwardNanos).anyMatch(value -> value < 0)
        || LongStream.of(bytes).anyMatch(value -> value < 0)) {
      throw new IllegalArgumentException(
          "Invalid layers: %d load, %d forward, %d backward times, %d sizes, expected as many of each, at least 0"
              .formatted(loadNanos.length, forwardNanos.length, backwardNanos.length, layers));
    }

    this.devices = devices;
    this.stages = stages;
    this.chunks = chunks;
    this.budgetBytes = budgetBytes;
    this.loadNanos = loadNanos.clone();
    this.forwardNanos = forwardNanos.clone();
    this.backwardNanos = backwardNanos.clone();
    this.bytes = bytes.clone();
  }

  /** Number of devices. */
  public int devices() {
    return devices;
  }

  /** Number of stages. */
  public int stages() {
    return stages;
  }

  /** Number of micro-batches. */
  public int chunks() {
    return chunks;
  }

  /** Number of layers. */
  public int layers() {
    return bytes.length;
  }

  /** Bytes that a device has for weights and gradients. */
  public long budgetBytes() {
    return budgetBytes;
  }

  /** Time to load a layer. */
  public long loadNanos(int layer) {
    return loadNanos[layer];
  }

  /** Time of a chunk in a layer, forward. */
  public long forwardNanos(int layer) {
    return forwardNanos[layer];
  }

  /** Time of a chunk in a layer, backward. */
  public long backwardNanos(int layer) {
    return backwardNanos[layer];
  }

  /** Bytes of a layer's weights. */
  public long bytes(int layer) {
    return bytes[layer];
  }

  /**
   * Stages whose numbers of layers differ by one at most, the longer ones first.
   *
   * @return {@code [stage]} first layers
   */
  public int[] equalStages() {
    int[] first = new int[stages];
    for (int stage = 1; stage < stages; stage++) {
      first[stage] = first[stage - 1] + (layers() + stages - stage) / stages;
    }

    return first;
  }

  private long[] sums(int[] first, long[] of) {
    long[] sums = new long[stages];
    for (int stage = 0; stage < stages; stage++) {
      int end = stage + 1 < stages ? first[stage + 1] : layers();
      sums[stage] = Arrays.stream(of, first[stage], end).sum();
    }

    return sums;
  }

  /**
   * The most bytes that a device holds at once: the weights of two stages that follow each other on
   * it, and the gradients of the one that goes backward.
   */
  public long neededBytes(int[] first) {
    long[] sizes = sums(first, bytes);
    long most = 0;
    for (int stage = 0; stage < stages; stage++) {
      most = Math.max(most, 2 * sizes[stage] + (stage >= devices ? sizes[stage - devices] : 0));
    }

    return most;
  }

  /**
   * How long a step takes.
   *
   * @param first {@code [stage]} first layers, ascending from 0
   */
  public long makespan(int[] first) {
    long[] load = sums(first, loadNanos);
    long[] forward = sums(first, forwardNanos);
    long[] backward = sums(first, backwardNanos);
    long[] computed = new long[devices]; // end of the device's last chunk
    long[] loaded = new long[devices]; // end of the device's last load
    long[] left = new long[devices]; // end of the visit before the last
    long[] arrived = new long[chunks]; // end of the chunk in the stage before
    for (int stage = 0; stage < stages; stage++) {
      int device = stage % devices;
      long ready = Math.max(loaded[device], left[device]) + load[stage];
      loaded[device] = ready;
      left[device] = computed[device];
      for (int chunk = 0; chunk < chunks; chunk++) {
        long begin = Math.max(ready, Math.max(computed[device], arrived[chunk]));
        computed[device] = begin + forward[stage];
        arrived[chunk] = computed[device];
      }
    }

    for (int stage = stages - 1; stage >= 0; stage--) {
      int device = stage % devices;
      boolean turns = stage >= stages - devices;
      long ready = 0;
      if (!turns) {
        ready = Math.max(loaded[device], left[device]) + load[stage];
        loaded[device] = ready;
        left[device] = computed[device];
      }

      for (int chunk = 0; chunk < chunks; chunk++) {
        long begin = Math.max(ready, Math.max(computed[device], arrived[chunk]));
        computed[device] = begin + backward[stage];
        arrived[chunk] = computed[device];
      }
    }

    return Arrays.stream(computed).max().orElseThrow();
  }
}
