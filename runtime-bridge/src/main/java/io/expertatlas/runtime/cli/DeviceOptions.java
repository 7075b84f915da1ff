package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.MemoryPlan;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** The options that say what the ranks are: a picocli {@code @Mixin}. */
final class DeviceOptions {
  @Option(
      names = "--device",
      defaultValue = "cpu",
      paramLabel = "D",
      description = "What the ranks are: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Kind device;

  @Option(
      names = "--threads",
      defaultValue = "0",
      paramLabel = "N",
      description =
          "Threads of matrix products on the CPU, also of --cpu-experts; default: one a core.")
  private int threads;

  @Option(
      names = "--precision",
      paramLabel = "P",
      description =
          "Numbers of weights and, on cuda, of activations: ${COMPLETION-CANDIDATES} (default:"
              + " bfloat16 on cuda, float32 on the CPU).")
  private Precision precision;

  @Mixin private GpuOptions gpu;

  @Option(
      names = "--offload",
      paramLabel = "E",
      description =
          "Keep the experts in the host's memory and load them when they are needed; whose slot on"
              + " the device is taken then: ${COMPLETION-CANDIDATES}.")
  private Offload.Eviction offload;

  @Option(
      names = "--expert-slots",
      defaultValue = "0",
      paramLabel = "N",
      description =
          "With --offload: experts that a rank's device holds; default on cuda: as many as the"
              + " memory allows.")
  private int expertSlots;

  /** The kinds of devices. */
  enum Kind {
    CPU,
    CUDA
  }

  /** How numbers are held. */
  enum Precision {
    FLOAT32(DType.F32),
    BFLOAT16(DType.BF16);

    private final DType type;

    Precision(DType type) {
      this.type = type;
    }
  }

  /**
   * Checks what can be checked before a model is opened.
   *
   * @throws ParameterException if options contradict each other or are out of range
   */
  void check(CommandSpec spec) {
    String wrong = gpu.wrong();
    if (threads < 0) {
      wrong = "Invalid --threads: %d, at least 0".formatted(threads);
    } else if (expertSlots < 0 || expertSlots > Offload.MOST_SLOTS) {
      wrong = "Invalid --expert-slots: %d, 1 to %d".formatted(expertSlots, Offload.MOST_SLOTS);
    } else if (expertSlots > 0 && offload == null) {
      wrong = "Invalid --expert-slots: experts stay on the device. Maybe add --offload popularity";
    } else if (device == Kind.CPU && offload != null && expertSlots == 0) {
      wrong = "Missing --expert-slots: with --offload the CPU needs it";
    } else if (device == Kind.CPU && gpu.isGiven()) {
      wrong = "Invalid --gpus or --gpu-memory: the device is the CPU. Maybe add --device cuda";
    }

    if (!wrong.isEmpty()) {
      throw new ParameterException(spec.commandLine(), wrong);
    }
  }

  /** Whether experts are kept in the host's memory. */
  boolean offloads() {
    return offload != null;
  }

  /** What the devices are called in results. */
  String name() {
    return device.name().toLowerCase(Locale.ROOT);
  }

  /** What numbers are called in results. */
  String precision() {
    return chosen().name().toLowerCase(Locale.ROOT);
  }

  private Precision chosen() {
    if (precision != null) {
      return precision;
    }

    return device == Kind.CUDA ? Precision.BFLOAT16 : Precision.FLOAT32;
  }

  /**
   * Opens the devices of a plan's ranks, once it is known that what they will need is there.
   *
   * @param isTimed whether they keep a timeline
   * @throws IllegalStateException if there is no GPU, or too little memory, with what is needed
   */
  List<Device> open(ModelConfig config, ExecutionPlan plan, Limits limits, boolean isTimed) {
    if (device == Kind.CUDA) {
      return gpu.open(config, plan, limits, chosen().type, isTimed);
    }

    List<Device> devices = new ArrayList<>();
    for (int rank = 0; rank < plan.ranks(); rank++) {
      devices.add(cpu(rank, isTimed, "compute"));
    }

    return devices;
  }

  private Device cpu(int rank, boolean isTimed, String stream) {
    DType weights = chosen().type;
    if (weights == DType.BF16 && !CpuDevice.whyNoBfloat16().isEmpty()) {
      throw new IllegalStateException(
          "Cannot use --precision bfloat16 on the CPU: " + CpuDevice.whyNoBfloat16());
    }

    int cores = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    return isTimed
        ? CpuDevice.timed(rank, cores, weights, stream)
        : new CpuDevice(rank, cores, weights);
  }

  private DType activations() {
    return device == Kind.CPU ? DType.F32 : chosen().type;
  }

  /**
   * The plan with offloaded experts, if that is asked for.
   *
   * @param onCpu whether the CPU may compute some of them
   * @throws IllegalStateException if host or devices have too little memory, with what is needed,
   *     or the CPU cannot compute them
   */
  ExecutionPlan offload(ModelConfig config, ExecutionPlan plan, Limits limits, boolean onCpu) {
    if (offload == null) {
      return plan;
    }

    if (onCpu && chosen() == Precision.BFLOAT16 && !CpuDevice.whyNoBfloat16().isEmpty()) {
      throw new IllegalStateException(
          "Cannot compute experts of bfloat16 on the CPU: %s. Maybe use --cpu-experts none"
              .formatted(CpuDevice.whyNoBfloat16()));
    }

    Offload one = new Offload(1, offload, onCpu);
    int slots =
        expertSlots > 0 ? expertSlots : gpu.mostSlots(config, plan, limits, chosen().type, one);
    ExecutionPlan offloading = plan.with(one.withSlots(slots));
    long needed =
        MemoryPlan.of(
                config, offloading, limits, chosen().type, activations(), new int[plan.ranks()])
            .host();
    long available = HostMemory.available();
    if (needed > available) {
      throw new IllegalStateException(
          "Cannot offload experts: they need %s of the host's memory, %s are available"
              .formatted(ByteSize.show(needed), ByteSize.show(available)));
    }

    return offloading;
  }

  /** The CPU beside the devices, that computes experts of their precision. */
  Device openCpu(boolean isTimed) {
    return cpu(0, isTimed, "cpu");
  }

  /** One device for measurements of the machine, without a model. */
  Device openOne() {
    return device == Kind.CUDA
        ? gpu.openOne(chosen().type)
        : cpu(0, false /* timeline */, "compute");
  }
}
