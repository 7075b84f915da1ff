package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** The kernels of {@code src/main/cuda}, loaded into one context from their committed PTX. */
final class Kernels {
  /** Source files, each one module, that a model runs with. */
  static final List<String> MODEL =
      List.of("rows", "linear", "stream", "experts", "router", "attention", "prefill", "sampling");

  /** Those that it is trained with in FP32. */
  static final List<String> TRAINING_IN_FULL = List.of("rows", "train");

  /** And in TF32: the driver takes a second to compile what is more. */
  static final List<String> TRAINING = List.of("rows", "train", "attend");

  /** Shared memory that a block gets without asking. */
  static final int PLAIN_SHARED = 48 * 1024;

  private final List<CUmodule> modules = new ArrayList<>();
  private final Map<String, CUfunction> functions = new ConcurrentHashMap<>(); // of any thread
  private final Map<String, Integer> sharedOf = new HashMap<>();
  private final Arguments arguments = new Arguments(); // of one launch at a time
  private final CUstream stream;

  /** Loads the modules into the current context. */
  Kernels(CUstream stream, List<String> sources) {
    this.stream = stream;
    for (String source : sources) {
      CUmodule module = new CUmodule();
      check(JCudaDriver.cuModuleLoadData(module, ptx(source)), "loading " + source + ".ptx");
      modules.add(module);
    }
  }

  /** The PTX of a source file, as JCuda wants it: ended by a zero. */
  private static byte[] ptx(String source) {
    try (InputStream in = Kernels.class.getResourceAsStream(source + ".ptx")) {
      if (in == null) {
        throw new IllegalStateException("Cannot find the kernels " + source + ".ptx");
      }

      return (new String(in.readAllBytes(), StandardCharsets.US_ASCII) + '\0')
          .getBytes(StandardCharsets.US_ASCII);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read the kernels " + source + ".ptx", e);
    }
  }

  private CUfunction function(String name) {
    return functions.computeIfAbsent(
        name,
        n -> {
          CUfunction function = new CUfunction();
          for (CUmodule module : modules) {
            int result = JCudaDriver.cuModuleGetFunction(function, module, n);
            if (result == CUresult.CUDA_SUCCESS) {
              return function;
            }

            if (result != CUresult.CUDA_ERROR_NOT_FOUND) {
              check(result, "looking for kernel " + n);
            }
          }

          throw new IllegalArgumentException("No kernel " + n);
        });
  }

  /** A launch of a kernel: grid and block, then arguments in order, then {@link Launch#run}. */
  Launch on(String kernel, long gridX, long gridY, long gridZ, int threads) {
    return new Launch(kernel, gridX, gridY, gridZ, threads);
  }

  Launch on(String kernel, long gridX, int threads) {
    return new Launch(kernel, gridX, 1, 1, threads);
  }

  void unload() {
    modules.forEach(JCudaDriver::cuModuleUnload);
    modules.clear();
    functions.clear();
    arguments.free();
  }

  /** One launch being put together. */
  final class Launch {
    private final String kernel;
    private final long gridX;
    private final long gridY;
    private final long gridZ;
    private final int threads;
    private final long[] bits = new long[Arguments.MOST]; // of arguments
    private int count;
    private int shared;

    private Launch(String kernel, long gridX, long gridY, long gridZ, int threads) {
      this.kernel = kernel;
      this.gridX = gridX;
      this.gridY = gridY;
      this.gridZ = gridZ;
      this.threads = threads;
    }

    Launch with(CudaTensor tensor) {
      return with(tensor.address());
    }

    /** A null address. */
    Launch withNothing() {
      return with(0L);
    }

    Launch with(int value) {
      return with((long) value);
    }

    Launch with(long value) {
      bits[count++] = value;
      return this;
    }

    Launch with(float value) {
      return with(Float.floatToRawIntBits(value));
    }

    Launch with(double value) {
      return with(Double.doubleToRawLongBits(value));
    }

    /** Bytes of dynamic shared memory. */
    Launch shared(int bytes) {
      shared = bytes;
      return this;
    }

    /** Launches; a grid without blocks does nothing. */
    void run() {
      if (gridX == 0 || gridY == 0 || gridZ == 0) {
        return;
      }

      if (gridY > 65_535 || gridZ > 65_535) {
        throw new IllegalArgumentException(
            "Cannot launch %s on %d x %d x %d blocks, the last two at most 65535"
                .formatted(kernel, gridX, gridY, gridZ));
      }

      CUfunction function = function(kernel);
      if (shared > PLAIN_SHARED && sharedOf.getOrDefault(kernel, 0) < shared) {
        check(
            JCudaDriver.cuFuncSetAttribute(
                function,
                CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                shared),
            () -> "giving %s %d bytes of shared memory".formatted(kernel, shared));
        sharedOf.put(kernel, shared);
      }

      synchronized (arguments) { // the driver has copied them when it returns
        check(
            JCudaDriver.cuLaunchKernel(
                function,
                Math.toIntExact(gridX),
                (int) gridY,
                (int) gridZ,
                threads,
                1,
                1,
                shared,
                stream,
                arguments.addresses(bits, count),
                null),
            () -> "launching " + kernel);
      }
    }
  }
}
