package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;

import io.expertatlas.runtime.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/** Memory of a GPU within a budget, freed together. */
final class CudaMemory {
  private final CudaDevice device;
  private final CUstream stream;
  private final CudaGraphs graphs;
  private final long budget;
  private final List<Address> memory = new ArrayList<>();
  private final Map<String, CudaTensor> scratch = new HashMap<>();
  private long allocated;

  CudaMemory(CudaDevice device, CUstream stream, CudaGraphs graphs, long budget) {
    this.device = device;
    this.stream = stream;
    this.graphs = graphs;
    this.budget = budget;
  }

  CudaTensor allocate(String name, DType type, long... shape) {
    List<Long> lengths = LongStream.of(shape).boxed().toList();
    CudaTensor tensor = new CudaTensor(device, type, lengths, new Address(), 0);
    long bytes = Math.max(tensor.bytes(), 1);
    if (bytes > budget - allocated) {
      throw new IllegalStateException(
          "Cannot hold %s %s on %s: %d bytes, %d of its %d are left"
              .formatted(name, lengths, device.name(), bytes, budget - allocated, budget));
    }

    check(
        JCudaDriver.cuMemAlloc(tensor.memory(), bytes),
        "allocating %d bytes for %s".formatted(bytes, name));
    memory.add(tensor.memory());
    allocated += bytes;
    check(
        JCudaDriver.cuMemsetD8Async(tensor.pointer(), (byte) 0, bytes, stream), "clearing " + name);
    return tensor;
  }

  /** Memory for one operation, kept and reused; grown only outside captures. */
  CudaTensor scratch(String name, DType type, long... shape) {
    List<Long> lengths = LongStream.of(shape).boxed().toList();
    CudaTensor held = scratch.get(name);
    long elements = Arrays.stream(shape).reduce(1, Math::multiplyExact);
    if (held == null || held.elements() < elements) {
      if (graphs.isCapturing()) {
        throw new IllegalStateException(
            "Cannot grow %s to %s while a step is captured: run it once before"
                .formatted(name, lengths));
      }

      if (held != null) {
        device.synchronize();
        if (graphs.isEmpty()) { // else it may be in use
          free(held);
        }
      }

      device.use();
      held = allocate(name, type, elements);
      scratch.put(name, held);
    }

    return new CudaTensor(device, type, lengths, held.memory(), 0);
  }

  private void free(CudaTensor tensor) {
    check(JCudaDriver.cuMemFree(tensor.memory()), "cuMemFree");
    memory.removeIf(address -> address == tensor.memory());
    allocated -= Math.max(tensor.bytes(), 1);
  }

  void freeAll() {
    memory.forEach(JCudaDriver::cuMemFree);
  }
}
