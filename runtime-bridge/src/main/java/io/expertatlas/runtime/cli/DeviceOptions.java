package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.runtime.cuda.CudaDevice;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.MemoryPlan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
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
      description = "Threads of matrix products on the CPU; default: one a core.")
  private int threads;

  @Option(
      names = "--precision",
      paramLabel = "P",
      description =
          "Numbers of weights and, on cuda, of activations: ${COMPLETION-CANDIDATES} (default:"
              + " bfloat16 on cuda, float32 on the CPU).")
  private Precision precision;

  @Option(
      names = "--gpus",
      defaultValue = "0",
      paramLabel = "N",
      description = "GPUs that the ranks are dealt to, one after the other; default: all.")
  private int gpus;

  @Option(
      names = "--gpu-memory",
      defaultValue = "0B",
      converter = SizeConverter.class,
      paramLabel = "SIZE",
      description = "Memory of each GPU that may be used, as in 80GB; default: what is free.")
  private long gpuMemory;

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

  /** A size, or nothing. */
  static final class SizeConverter implements picocli.CommandLine.ITypeConverter<Long> {
    @Override
    public Long convert(String value) {
      return value.equals("0B") ? 0 : new ByteSize.Converter().convert(value);
    }
  }

  /**
   * Checks what can be checked before a model is opened.
   *
   * @throws ParameterException if options contradict each other or are out of range
   */
  void check(CommandSpec spec) {
    String wrong = "";
    if (threads < 0) {
      wrong = "Invalid --threads: %d, at least 0".formatted(threads);
    } else if (gpus < 0) {
      wrong = "Invalid --gpus: %d, at least 0".formatted(gpus);
    } else if (expertSlots < 0 || expertSlots > Offload.MOST_SLOTS) {
      wrong = "Invalid --expert-slots: %d, 1 to %d".formatted(expertSlots, Offload.MOST_SLOTS);
    } else if (expertSlots > 0 && offload == null) {
      wrong = "Invalid --expert-slots: experts stay on the device. Maybe add --offload popularity";
    } else if (device == Kind.CPU && offload != null && expertSlots == 0) {
      wrong = "Missing --expert-slots: with --offload the CPU needs it";
    } else if (device == Kind.CPU && (gpus > 0 || gpuMemory > 0)) {
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
      return gpus(config, plan, limits, isTimed);
    }

    List<Device> devices = new ArrayList<>();
    for (int rank = 0; rank < plan.ranks(); rank++) {
      devices.add(cpu(rank, isTimed));
    }

    return devices;
  }

  private Device cpu(int rank, boolean isTimed) {
    DType weights = chosen().type;
    if (weights == DType.BF16 && !CpuDevice.whyNoBfloat16().isEmpty()) {
      throw new IllegalStateException(
          "Cannot use --precision bfloat16 on the CPU: " + CpuDevice.whyNoBfloat16());
    }

    int cores = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    return isTimed ? CpuDevice.timed(rank, cores, weights) : new CpuDevice(rank, cores, weights);
  }

  private DType activations() {
    return device == Kind.CPU ? DType.F32 : chosen().type;
  }

  /**
   * The plan with offloaded experts, if that is asked for.
   *
   * @throws IllegalStateException if host or devices have too little memory, with what is needed
   */
  ExecutionPlan offload(ModelConfig config, ExecutionPlan plan, Limits limits) {
    if (offload == null) {
      return plan;
    }

    ExecutionPlan offloading =
        plan.with(
            new Offload(expertSlots > 0 ? expertSlots : mostSlots(config, plan, limits), offload));
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

  /** One device for measurements of the machine, without a model. */
  Device openOne() {
    return device == Kind.CUDA
        ? new CudaDevice(0, 0, cudaPrecision(), gpuMemory == 0 ? Long.MAX_VALUE : gpuMemory)
        : cpu(0, false /* timeline */);
  }

  private CudaDevice.Precision cudaPrecision() {
    return chosen() == Precision.FLOAT32
        ? CudaDevice.Precision.FLOAT32
        : CudaDevice.Precision.BFLOAT16;
  }

  private int mostSlots(ModelConfig config, ExecutionPlan plan, Limits limits) {
    int count = gpuCount();
    if (gpuMemory == 0) {
      checkGpus(count);
    }

    long[] room = gpuMemory > 0 ? allowed(count) : free(count);
    return GpuMemory.slots(config, plan, limits, chosen().type, offload, room);
  }

  private List<Device> gpus(
      ModelConfig config, ExecutionPlan plan, Limits limits, boolean isTimed) {
    int count = gpuCount();
    GpuMemory memory = GpuMemory.of(config, plan, limits, chosen().type, count);
    if (gpuMemory > 0) {
      memory.check(allowed(count), "--gpu-memory allows");
    }

    checkGpus(count);
    memory.check(free(count), "free are");
    List<Device> devices = new ArrayList<>();
    try {
      for (int rank = 0; rank < plan.ranks(); rank++) {
        int gpu = memory.gpuOf()[rank];
        long bytes = memory.ofRank()[rank];
        devices.add(
            isTimed
                ? CudaDevice.timed(rank, gpu, cudaPrecision(), bytes)
                : new CudaDevice(rank, gpu, cudaPrecision(), bytes));
      }
    } catch (RuntimeException e) {
      devices.forEach(Device::close);
      throw e;
    }

    return devices;
  }

  private int gpuCount() {
    return gpus == 0 ? Math.max(1, CudaDevice.count()) : gpus;
  }

  /** Bytes that the user allows of each GPU. */
  private long[] allowed(int count) {
    long[] bytes = new long[count];
    Arrays.fill(bytes, gpuMemory);
    return bytes;
  }

  private static long[] free(int count) {
    return IntStream.range(0, count).mapToLong(CudaDevice::freeBytes).toArray();
  }

  private static void checkGpus(int count) {
    String missing = CudaDevice.whyNone();
    if (!missing.isEmpty()) {
      throw new IllegalStateException("Cannot use device cuda: " + missing);
    }

    if (count > CudaDevice.count()) {
      throw new IllegalStateException(
          "Cannot use %d GPUs: this machine has %d".formatted(count, CudaDevice.count()));
    }
  }
}
