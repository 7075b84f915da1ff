package io.expertatlas.runtime.cuda;

import static io.expertatlas.runtime.cuda.Cuda.check;
import static io.expertatlas.runtime.cuda.Cuda.event;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.HostCopy;
import io.expertatlas.runtime.HostTensor;
import io.expertatlas.runtime.Tensor;
import java.util.ArrayList;
import java.util.List;
import jcuda.Pointer;
import jcuda.driver.CUevent;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * Page-locked tensors of the host, and a stream that copies them to the GPU beside the one that
 * computes; events join the two.
 */
final class HostLink {
  private final CUstream compute;
  private final CUstream stream = new CUstream();
  private final List<Pointer> pinned = new ArrayList<>();
  private final Marks marks;
  private final boolean isTimed;

  /** A tensor in page-locked memory of the host. */
  private record Pinned(DType type, List<Long> shape, Memory memory) implements HostTensor {
    @Override
    public long address() {
      return memory.value();
    }
  }

  /** Memory whose address other libraries can be told. */
  private static final class Memory extends Pointer {
    long value() {
      return getNativePointer() + getByteOffset();
    }
  }

  HostLink(int rank, CUstream compute, boolean isTimed) {
    this.compute = compute;
    this.isTimed = isTimed;
    check(
        JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate");
    this.marks = new Marks(rank, "load", stream);
  }

  Tensor allocate(String name, DType type, List<Long> shape) {
    Pinned tensor = new Pinned(type, shape, new Memory());
    long bytes = Math.max(1, tensor.bytes());
    check(
        JCudaDriver.cuMemHostAlloc(tensor.memory(), bytes, 0),
        "locking %d bytes of the host for %s".formatted(bytes, name));
    pinned.add(tensor.memory());
    return tensor;
  }

  /** The same elements as kernels see them. */
  CudaTensor mapped(CudaDevice device, Tensor onHost) {
    if (!(onHost instanceof Pinned own)) {
      throw new IllegalArgumentException(
          "Cannot use %s on a GPU: it is no tensor of its host's memory".formatted(onHost));
    }

    Address seen = new Address();
    check(JCudaDriver.cuMemHostGetDevicePointer(seen, own.memory(), 0), "mapping memory");
    return new CudaTensor(device, own.type(), own.shape(), seen, 0);
  }

  /** Copies to the host behind what was called, and waits. */
  void store(CudaTensor tensor, Tensor onHost) {
    Pinned target = same("store", tensor, onHost);
    check(
        JCudaDriver.cuMemcpyDtoHAsync(target.memory(), tensor.pointer(), tensor.bytes(), compute),
        () -> "copying %d bytes to the host".formatted(tensor.bytes()));
    check(JCudaDriver.cuStreamSynchronize(compute), "waiting for a copy");
  }

  /** Begins to copy to the GPU behind what was called. */
  HostCopy fetch(Tensor onHost, CudaTensor into) {
    CUevent called = event(compute);
    check(JCudaDriver.cuStreamWaitEvent(stream, called, 0), "waiting for operations");
    JCudaDriver.cuEventDestroy(called);
    return fetchAhead(onHost, into, 0, into.size(0));
  }

  /** Begins to copy entries of the first axis to the GPU, beside what was called. */
  HostCopy fetchAhead(Tensor onHost, CudaTensor into, long first, long count) {
    Pinned source = same("fetch", into, onHost);
    long row = into.bytes() / into.size(0);
    mark("load");
    check(
        JCudaDriver.cuMemcpyHtoDAsync(
            into.view(first * row, into.shape()).pointer(),
            source.memory().withByteOffset(first * row),
            count * row,
            stream),
        () -> "copying %d bytes from the host".formatted(count * row));
    mark("");
    return new Copy(compute, event(stream));
  }

  /**
   * A copy.
   *
   * @param copied behind it
   */
  private record Copy(CUstream compute, CUevent copied) implements HostCopy {
    @Override
    public void join() {
      check(JCudaDriver.cuStreamWaitEvent(compute, copied, 0), "waiting for a copy");
    }

    @Override
    public boolean isDone() {
      return Cuda.isDone(JCudaDriver.cuEventQuery(copied), "asking for a copy");
    }

    @Override
    public void await() {
      check(JCudaDriver.cuEventSynchronize(copied), "waiting for a copy");
    }

    @Override
    public void close() {
      JCudaDriver.cuEventDestroy(copied);
    }
  }

  private static Pinned same(String operation, CudaTensor onDevice, Tensor onHost) {
    Shapes.same(operation, onDevice, onHost);
    if (!(onHost instanceof Pinned pinned) || pinned.type() != onDevice.type()) {
      throw new IllegalArgumentException(
          "Cannot %s between %s and %s: the second is no tensor of the host of the same type"
              .formatted(operation, onDevice, onHost));
    }

    return pinned;
  }

  private void mark(String work) {
    if (isTimed) {
      marks.mark(work);
    }
  }

  /** When copies ran; both streams must be idle. */
  Marks marks() {
    return marks;
  }

  void synchronize() {
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for copies");
  }

  void close() {
    JCudaDriver.cuStreamSynchronize(stream);
    marks.close();
    pinned.forEach(JCudaDriver::cuMemFreeHost);
    JCudaDriver.cuStreamDestroy(stream);
  }
}
