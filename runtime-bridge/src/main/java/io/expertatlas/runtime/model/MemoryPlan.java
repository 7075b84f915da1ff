package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.TensorData;
import io.expertatlas.runtime.WeightSource;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a model will need, known before anything is allocated.
 *
 * @param device bytes of each rank on its device
 * @param host bytes of offloaded experts in the host's memory, of all ranks
 */
public record MemoryPlan(long[] device, long host) {
  /** Values that nobody reads. */
  private record Nothing(String name, List<Long> shape) implements TensorData {
    @Override
    public DType type() {
      return DType.F32;
    }

    @Override
    public void read(long firstElement, ByteBuffer into) {
      throw new UnsupportedOperationException("Cannot read %s: it is planned only".formatted(name));
    }
  }

  /**
   * Bytes of the tensors of a model and a {@link Generation}: the model is built on devices that
   * add up.
   *
   * @param weights type of weights
   * @param activations type of activations
   * @param memories which memory each rank has: ranks of one share weights, which are counted with
   *     the first of them
   */
  public static MemoryPlan of(
      ModelConfig config,
      ExecutionPlan plan,
      Limits limits,
      DType weights,
      DType activations,
      int[] memories) {
    List<Device> devices = new ArrayList<>();
    for (int rank = 0; rank < plan.ranks(); rank++) {
      devices.add(new DryDevice(memories[rank], weights, activations));
    }

    WeightSource source = (name, shape) -> new Nothing(name, Arrays.stream(shape).boxed().toList());
    Model model = Models.load(config, source, plan, devices, limits, RunObserver.NONE);
    Generation unused = new Generation(model, limits, Sampler.GREEDY, 1, false, tokens -> {});
    List<DryDevice> dry =
        unused.model().devices().stream().map(device -> (DryDevice) device).toList();
    return new MemoryPlan(
        dry.stream().mapToLong(DryDevice::bytes).toArray(),
        dry.stream().mapToLong(DryDevice::hostBytes).sum());
  }
}
