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

/** What a model will need, known before anything is allocated. */
public final class MemoryPlan {
  private MemoryPlan() {}

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
   * Bytes of the tensors of a model and a {@link Generation} by rank: the model is built on devices
   * that add up.
   *
   * @param type of weights and activations
   * @param memories which memory each rank has: ranks of one share weights, which are counted with
   *     the first of them
   */
  public static long[] bytes(
      ModelConfig config, ExecutionPlan plan, Limits limits, DType type, int[] memories) {
    List<Device> devices = new ArrayList<>();
    for (int rank = 0; rank < plan.ranks(); rank++) {
      devices.add(new DryDevice(memories[rank], type));
    }

    WeightSource source = (name, shape) -> new Nothing(name, Arrays.stream(shape).boxed().toList());
    Model model = Models.load(config, source, plan, devices, limits, RunObserver.NONE);
    Generation unused = new Generation(model, limits, Sampler.GREEDY, 1, false, tokens -> {});
    return unused.model().devices().stream()
        .mapToLong(device -> ((DryDevice) device).bytes())
        .toArray();
  }
}
