package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.cuda.CudaDevice;
import io.expertatlas.runtime.model.Limits;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import picocli.CommandLine.Option;

/** The options that say which GPUs, and how much of them: a picocli {@code @Mixin}. */
final class GpuOptions {
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

  /** A size, or nothing. */
  static final class SizeConverter implements picocli.CommandLine.ITypeConverter<Long> {
    @Override
    public Long convert(String value) {
      return value.equals("0B") ? 0 : new ByteSize.Converter().convert(value);
    }
  }

  /** What is wrong with the options; empty if nothing is. */
  String wrong() {
    return gpus < 0 ? "Invalid --gpus: %d, at least 0".formatted(gpus) : "";
  }

  /** Whether one of them is given. */
  boolean isGiven() {
    return gpus > 0 || gpuMemory > 0;
  }

  /** One GPU for measurements of the machine, without a model. */
  Device openOne(DType type) {
    return new CudaDevice(0, 0, precision(type), gpuMemory == 0 ? Long.MAX_VALUE : gpuMemory);
  }

  private static CudaDevice.Precision precision(DType type) {
    return type == DType.F32 ? CudaDevice.Precision.FLOAT32 : CudaDevice.Precision.BFLOAT16;
  }

  /**
   * As many slots for offloaded experts as every rank's GPU has room for.
   *
   * @param offload what else is known of it
   */
  int mostSlots(
      ModelConfig config, ExecutionPlan plan, Limits limits, DType type, Offload offload) {
    int count = count();
    if (gpuMemory == 0) {
      check(count);
    }

    long[] room = gpuMemory > 0 ? allowed(count) : free(count);
    return GpuMemory.slots(config, plan, limits, type, offload, room);
  }

  /**
   * Opens the GPUs of a plan's ranks, once it is known that what they will need is there.
   *
   * @throws IllegalStateException if there is no GPU, or too little memory, with what is needed
   */
  List<Device> open(
      ModelConfig config, ExecutionPlan plan, Limits limits, DType type, boolean isTimed) {
    int count = count();
    GpuMemory memory = GpuMemory.of(config, plan, limits, type, count);
    if (gpuMemory > 0) {
      memory.check(allowed(count), "--gpu-memory allows");
    }

    check(count);
    memory.check(free(count), "free are");
    List<Device> devices = new ArrayList<>();
    try {
      for (int rank = 0; rank < plan.ranks(); rank++) {
        int gpu = memory.gpuOf()[rank];
        long bytes = memory.ofRank()[rank];
        devices.add(
            isTimed
                ? CudaDevice.timed(rank, gpu, precision(type), bytes)
                : new CudaDevice(rank, gpu, precision(type), bytes));
      }
    } catch (RuntimeException e) {
      devices.forEach(Device::close);
      throw e;
    }

    return devices;
  }

  private int count() {
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

  private static void check(int count) {
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
