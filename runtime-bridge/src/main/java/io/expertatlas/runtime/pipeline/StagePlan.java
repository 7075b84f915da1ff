package io.expertatlas.runtime.pipeline;

import java.util.Arrays;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * Which consecutive layers form a stage, which device runs it, and which GPU each device is.
 * Immutable.
 *
 * <p>It stands beside the {@code ExecutionPlan}, not in it: that one names a rank for each expert,
 * and here an expert has none; its weights go to the device of its layer's stage, or nowhere.
 */
public final class StagePlan {
  private final PipelineKind kind;
  private final int devices;
  private final int[] first; // [stage + 1], the last is the number of layers
  private final int[] gpus; // [device]
  private final int[] stageOf; // [layer]

  private StagePlan(PipelineKind kind, int devices, int[] first, int[] gpus) {
    this.kind = kind;
    this.devices = devices;
    this.first = first;
    this.gpus = gpus;
    this.stageOf = new int[first[first.length - 1]];
    for (int stage = 0; stage + 1 < first.length; stage++) {
      Arrays.fill(stageOf, first[stage], first[stage + 1], stage);
    }
  }

  /**
   * A plan.
   *
   * @param firstLayer {@code [stage]}, ascending from 0
   * @param gpus {@code [device]} which GPU each device is
   * @throws IllegalArgumentException if a stage is empty, stages do not divide among the devices,
   *     or the GPUs are not those from 0, each once
   */
  public static StagePlan of(
      PipelineKind kind, int devices, int layers, int[] firstLayer, int[] gpus) {
    Objects.requireNonNull(kind, "kind is null");
    int stages = firstLayer.length;
    if (devices < 1 || stages < devices || stages % devices != 0) {
      throw new IllegalArgumentException(
          "Invalid number of stages: %d, a multiple of the %d devices".formatted(stages, devices));
    }

    if (kind == PipelineKind.GPIPE && stages != devices) {
      throw new IllegalArgumentException(
          "Invalid number of stages: %d, gpipe has one for each of the %d devices"
              .formatted(stages, devices));
    }

    int[] first = Arrays.copyOf(firstLayer, stages + 1);
    first[stages] = layers;
    for (int stage = 0; stage < stages; stage++) {
      if (first[stage] < 0 || first[stage] >= first[stage + 1] || first[0] != 0) {
        throw new IllegalArgumentException(
            "Invalid first layers of the stages: %s, ascending from 0, below %d"
                .formatted(Arrays.toString(firstLayer), layers));
      }
    }

    if (!Arrays.equals(
        Arrays.stream(gpus).sorted().toArray(), IntStream.range(0, devices).toArray())) {
      throw new IllegalArgumentException(
          "Invalid GPUs of the devices: %s, each of 0 to %d once"
              .formatted(Arrays.toString(gpus), devices - 1));
    }

    return new StagePlan(kind, devices, first, gpus.clone());
  }

  /**
   * Stages of equally many layers, device d on GPU d.
   *
   * @throws IllegalArgumentException if the layers do not divide among the stages
   */
  public static StagePlan equal(PipelineKind kind, int devices, int layers, int stages) {
    if (stages < 1 || layers % stages != 0) {
      throw new IllegalArgumentException(
          "Invalid number of stages: %d, a divisor of the %d layers".formatted(stages, layers));
    }

    return of(
        kind,
        devices,
        layers,
        IntStream.range(0, stages).map(stage -> stage * (layers / stages)).toArray(),
        IntStream.range(0, devices).toArray());
  }

  /**
   * Stages whose numbers of layers differ by one at most, the longer ones first, device d on GPU d.
   *
   * @throws IllegalArgumentException if there are fewer layers than stages
   */
  public static StagePlan balanced(PipelineKind kind, int devices, int layers, int stages) {
    if (stages < 1 || layers < stages) {
      throw new IllegalArgumentException(
          "Invalid number of stages: %d, from 1 to the %d layers".formatted(stages, layers));
    }

    int[] first = new int[stages];
    for (int stage = 1; stage < stages; stage++) {
      first[stage] = first[stage - 1] + (layers + stages - stage) / stages;
    }

    return of(kind, devices, layers, first, IntStream.range(0, devices).toArray());
  }

  /** The same stages with the devices on other GPUs. */
  public StagePlan onGpus(int[] others) {
    return of(kind, devices, layers(), Arrays.copyOf(first, stages()), others);
  }

  /** What kind of pipeline it is for. */
  public PipelineKind kind() {
    return kind;
  }

  /** Number of devices, G. */
  public int devices() {
    return devices;
  }

  /** Number of stages, S. */
  public int stages() {
    return first.length - 1;
  }

  /** Number of layers, L. */
  public int layers() {
    return first[first.length - 1];
  }

  /** Stages of each device, K = S / G. */
  public int stagesPerDevice() {
    return stages() / devices;
  }

  /** The first layer of a stage; of the stage after the last, the number of layers. */
  public int firstLayer(int stage) {
    return first[stage];
  }

  /** Behind the last layer of a stage. */
  public int endLayer(int stage) {
    return first[stage + 1];
  }

  /** The stage of a layer. */
  public int stageOf(int layer) {
    return stageOf[layer];
  }

  /** The device of a stage. */
  public int owner(int stage) {
    return kind.owner(stage, stages(), devices);
  }

  /** The stages of a device, ascending. */
  public int[] stagesOf(int device) {
    return IntStream.range(0, stages()).filter(stage -> owner(stage) == device).toArray();
  }

  /** The GPU that a device is. */
  public int gpu(int device) {
    return gpus[device];
  }

  @Override
  public String toString() {
    return "%s, %d devices on GPUs %s, stages from layers %s of %d"
        .formatted(
            kind.word(),
            devices,
            Arrays.toString(gpus),
            Arrays.toString(Arrays.copyOf(first, stages())),
            layers());
  }
}
