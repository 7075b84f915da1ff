package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.cuda.CudaDevice;
import io.expertatlas.runtime.cuda.CudaMatrixDevice;
import io.expertatlas.runtime.matrix.FloatDevice;
import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.train.Backend;
import io.expertatlas.runtime.train.HostNeed;
import io.expertatlas.runtime.train.ParameterMemory;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** What a training computes on. A picocli {@code @Mixin}; opened, it is to be closed. */
final class TrainingDevices implements AutoCloseable {
  private static final List<String> PRECISIONS = List.of("float64", "float32", "tf32");

  @Option(
      names = "--device",
      defaultValue = "cpu",
      paramLabel = "D",
      description = "cpu, or cuda: the NVIDIA GPUs of this machine (default: ${DEFAULT-VALUE}).")
  private String device;

  @Option(
      names = "--precision",
      paramLabel = "P",
      description =
          "float64 (cpu, its default), float32 (default of cuda), or tf32 (cuda: factors of"
              + " products are rounded to 10 bits).")
  private String precision;

  @Option(
      names = "--recompute",
      description =
          "In a pipeline, keep only the layers' inputs for backward, and compute each layer again;"
              + " always so on cuda.")
  private boolean recomputes;

  private final List<MatrixDevice> opened = new ArrayList<>();

  /** Whether it is on GPUs. */
  boolean isCuda() {
    return device.equals("cuda");
  }

  private String precision() {
    return precision == null ? (isCuda() ? "float32" : "float64") : precision;
  }

  /**
   * Opens devices.
   *
   * @param count of the pipeline
   * @param memory bytes of each GPU; of cpu ignored
   * @throws ParameterException if options contradict each other
   * @throws IllegalStateException if a GPU is missing, or its memory too small
   */
  Backend open(CommandSpec spec, int count, Long memory) {
    check(spec, count, memory);
    if (!isCuda()) {
      return precision().equals("float64")
          ? Backend.doubles(count, recomputes)
          : new Backend(
              Collections.nCopies(count, FloatDevice.INSTANCE), FloatDevice.INSTANCE, recomputes);
    }

    for (int gpu = 0; gpu < count; gpu++) {
      long bytes =
          (memory == null ? CudaDevice.freeBytes(gpu) : memory) - CudaMatrixDevice.OWN_BYTES;
      opened.add(new CudaMatrixDevice(gpu, bytes, precision().equals("tf32")));
    }

    return new Backend(opened, FloatDevice.INSTANCE, true);
  }

  private void check(CommandSpec spec, int count, Long memory) {
    String wrong = "";
    if (!isCuda() && !device.equals("cpu")) {
      wrong = "Invalid --device: %s, cpu or cuda".formatted(device);
    } else if (!PRECISIONS.contains(precision())
        || (isCuda() && precision().equals("float64"))
        || (!isCuda() && precision().equals("tf32"))) {
      wrong =
          "Invalid --precision: %s, on %s it is %s"
              .formatted(precision(), device, isCuda() ? "float32 or tf32" : "float64 or float32");
    } else if (isCuda() && !CudaDevice.whyNone().isEmpty()) {
      wrong = "Cannot use --device cuda: " + CudaDevice.whyNone();
    } else if (isCuda() && count > CudaDevice.count()) {
      wrong =
          "Invalid --devices: %d, this machine has %d GPUs".formatted(count, CudaDevice.count());
    } else if (memory != null && isCuda() && memory <= CudaMatrixDevice.OWN_BYTES) {
      wrong =
          "Invalid --memory: %,d bytes, a GPU needs %,d before any matrix"
              .formatted(memory, CudaMatrixDevice.OWN_BYTES);
    }

    if (!wrong.isEmpty()) {
      throw new ParameterException(spec.commandLine(), wrong);
    }
  }

  /** Where the host keeps parameters: page-locked for GPUs, which are open. */
  ParameterMemory hostMemory() {
    return opened.isEmpty() ? ParameterMemory.JVM : ((CudaMatrixDevice) opened.get(0))::pinned;
  }

  /** Bytes for the pipeline's plan of so much memory: a GPU's heap is never filled to the brim. */
  static long planned(Backend backend, Long memory) {
    if (backend.devices().get(0) instanceof CudaMatrixDevice gpu) {
      return planned(gpu.budget());
    }

    return memory == null ? Long.MAX_VALUE : memory;
  }

  private static long planned(long budget) {
    return budget - budget / 16;
  }

  /** The same of a GPU that is not open. */
  static long plannedOnGpu(long memory) {
    return planned(memory - CudaMatrixDevice.OWN_BYTES);
  }

  /**
   * Checks that the host can keep parameters.
   *
   * @param parameters numbers that are trained
   * @param resident whether copies and sums of gradients of all stay, as without a pipeline
   * @throws IllegalArgumentException if not, with the numbers
   */
  void checkHost(long parameters, boolean resident) {
    if (isCuda()) {
      HostNeed.checkPinned(parameters, HostMemory.available(), Runtime.getRuntime().maxMemory());
    } else {
      HostNeed.check(parameters, resident, Runtime.getRuntime().maxMemory());
    }
  }

  /** The options by name, for reports. */
  Map<String, String> words() {
    return Map.of("device", device, "precision", precision());
  }

  @Override
  public void close() {
    while (!opened.isEmpty()) { // the first one last: it locked the host's memory
      opened.remove(opened.size() - 1).close();
    }
  }
}
