package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.cpu.CpuDevice;
import io.expertatlas.runtime.cuda.CudaDevice;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.MemoryPlan;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
          "Numbers of weights and activations: ${COMPLETION-CANDIDATES} (default: bfloat16 on cuda,"
              + " float32, the only one, on the CPU).")
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
    } else if (device == Kind.CPU && precision == Precision.BFLOAT16) {
      wrong = "Invalid --precision: bfloat16, the CPU computes in float32. Maybe --device cuda";
    } else if (device == Kind.CPU && (gpus > 0 || gpuMemory > 0)) {
      wrong = "Invalid --gpus or --gpu-memory: the device is the CPU. Maybe add --device cuda";
    }

    if (!wrong.isEmpty()) {
      throw new ParameterException(spec.commandLine(), wrong);
    }
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
    int cores = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    for (int rank = 0; rank < plan.ranks(); rank++) {
      devices.add(isTimed ? CpuDevice.timed(rank, cores) : new CpuDevice(rank, cores));
    }

    return devices;
  }

  /** One device for measurements of the machine, without a model. */
  Device openOne() {
    int cores = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
    return device == Kind.CUDA
        ? new CudaDevice(0, 0, cudaPrecision(), gpuMemory == 0 ? Long.MAX_VALUE : gpuMemory)
        : new CpuDevice(0, cores);
  }

  private CudaDevice.Precision cudaPrecision() {
    return chosen() == Precision.FLOAT32
        ? CudaDevice.Precision.FLOAT32
        : CudaDevice.Precision.BFLOAT16;
  }

  private List<Device> gpus(
      ModelConfig config, ExecutionPlan plan, Limits limits, boolean isTimed) {
    int count = gpus == 0 ? Math.max(1, CudaDevice.count()) : gpus;
    int[] gpuOf = new int[plan.ranks()];
    long[] needed = new long[count];
    for (int rank = 0; rank < gpuOf.length; rank++) {
      gpuOf[rank] = rank % count;
    }

    long[] bytes = MemoryPlan.bytes(config, plan, limits, chosen().type, gpuOf);
    for (int rank = 0; rank < gpuOf.length; rank++) {
      bytes[rank] += ownBytes(config, limits);
      needed[gpuOf[rank]] += bytes[rank];
    }

    for (int gpu = 0; gpu < count && gpuMemory > 0; gpu++) {
      expect(gpu, needed[gpu], gpuMemory, "--gpu-memory allows");
    }

    String missing = CudaDevice.whyNone();
    if (!missing.isEmpty()) {
      throw new IllegalStateException("Cannot use device cuda: " + missing);
    }

    if (count > CudaDevice.count()) {
      throw new IllegalStateException(
          "Cannot use %d GPUs: this machine has %d".formatted(count, CudaDevice.count()));
    }

    for (int gpu = 0; gpu < count; gpu++) {
      expect(gpu, needed[gpu], CudaDevice.freeBytes(gpu), "free are");
    }

    List<Device> devices = new ArrayList<>();
    try {
      for (int rank = 0; rank < gpuOf.length; rank++) {
        devices.add(
            isTimed
                ? CudaDevice.timed(rank, gpuOf[rank], cudaPrecision(), bytes[rank])
                : new CudaDevice(rank, gpuOf[rank], cudaPrecision(), bytes[rank]));
      }
    } catch (RuntimeException e) {
      devices.forEach(Device::close);
      throw e;
    }

    return devices;
  }

  /** What each rank's device takes for itself. */
  private static long ownBytes(ModelConfig config, Limits limits) {
    long logits = (long) limits.sequences() * config.vocabulary();
    if (config instanceof MixtralConfig mixtral) {
      int width = Math.max(mixtral.hidden(), mixtral.heads() * mixtral.headSize());
      return CudaDevice.ownBytes(
          limits.rows(), limits.capacity(), mixtral.heads(), width, mixtral.topK(), logits);
    }

    NllbMoeConfig nllb = (NllbMoeConfig) config;
    return CudaDevice.ownBytes(
        limits.rows(),
        limits.capacity(),
        Math.max(nllb.encoderHeads(), nllb.decoderHeads()),
        nllb.hidden(),
        NllbMoeConfig.TOP_K,
        logits);
  }

  private static void expect(int gpu, long needed, long there, String whose) {
    if (needed > there) {
      throw new IllegalStateException(
          "Cannot run on GPU %d: the model and its buffers need %s there, %s %s. Maybe use more GPUs,"
                  .formatted(gpu, ByteSize.show(needed), whose, ByteSize.show(there))
              + " smaller batches or shorter prefill steps");
    }
  }
}
