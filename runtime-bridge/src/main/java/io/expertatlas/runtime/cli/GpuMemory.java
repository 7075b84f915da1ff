package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.cuda.CudaDevice;
import io.expertatlas.runtime.model.Limits;
import io.expertatlas.runtime.model.MemoryPlan;

/**
 * What a run needs of each GPU.
 *
 * @param gpuOf {@code [rank]}: ranks are dealt to the GPUs one after the other
 * @param ofRank bytes {@code [rank]}
 * @param ofGpu bytes {@code [gpu]}
 */
record GpuMemory(int[] gpuOf, long[] ofRank, long[] ofGpu) {
  /** Plans a run on so many GPUs. */
  static GpuMemory of(ModelConfig config, ExecutionPlan plan, Limits limits, DType type, int gpus) {
    int[] gpuOf = new int[plan.ranks()];
    for (int rank = 0; rank < gpuOf.length; rank++) {
      gpuOf[rank] = rank % gpus;
    }

    long[] ofRank = MemoryPlan.of(config, plan, limits, type, type, gpuOf).device();
    long[] ofGpu = new long[gpus];
    for (int rank = 0; rank < gpuOf.length; rank++) {
      ofRank[rank] += ownBytes(config, limits);
      ofGpu[gpuOf[rank]] += ofRank[rank];
    }

    return new GpuMemory(gpuOf, ofRank, ofGpu);
  }

  /** What a device takes for itself. */
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

  /**
   * As many slots for offloaded experts as every rank's GPU has room for.
   *
   * @param offload whose slots are not counted yet
   * @param room bytes {@code [gpu]}
   * @throws IllegalStateException if there is none for one, with what is needed
   */
  static int slots(
      ModelConfig config,
      ExecutionPlan plan,
      Limits limits,
      DType type,
      Offload offload,
      long[] room) {
    GpuMemory one = of(config, plan.with(offload.withSlots(1)), limits, type, room.length);
    GpuMemory two = of(config, plan.with(offload.withSlots(2)), limits, type, room.length);
    one.check(room, "with one expert slot a rank, there are");
    int allowed = Offload.MOST_SLOTS - (offload.onCpu() ? plan.shape().experts() : 0);
    long most = Math.min(allowed, (long) plan.shape().layers() * plan.shape().experts());
    for (int gpu = 0; gpu < room.length; gpu++) {
      long slot = two.ofGpu[gpu] - one.ofGpu[gpu];
      most = slot == 0 ? most : Math.min(most, 1 + (room[gpu] - one.ofGpu[gpu]) / slot);
    }

    return (int) most;
  }

  /**
   * Checks that it is there.
   *
   * @param room bytes {@code [gpu]}
   * @param whose words before them
   * @throws IllegalStateException if not, with both numbers
   */
  void check(long[] room, String whose) {
    for (int gpu = 0; gpu < ofGpu.length; gpu++) {
      if (ofGpu[gpu] > room[gpu]) {
        throw new IllegalStateException(
            "Cannot run on GPU %d: the model and its buffers need %s there, %s %s. Maybe use more GPUs,"
                    .formatted(gpu, ByteSize.show(ofGpu[gpu]), whose, ByteSize.show(room[gpu]))
                + " smaller batches, shorter prefill steps or --offload");
      }
    }
  }
}
