package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.MatrixDevice;
import io.expertatlas.runtime.pipeline.Visit;
import io.expertatlas.runtime.train.Stage.Keep;
import java.util.List;

/** What a pipeline's devices need at their fullest. Beside a stage that computes, the next fits. */
final class PipelineNeed {
  private PipelineNeed() {}

  /**
   * Checks that each device has room for every two stages that meet on it.
   *
   * @param tokens of a micro-batch
   * @param length tokens of a sequence
   * @throws IllegalArgumentException if not, with the numbers
   */
  static void check(
      PipelineOptions options, Backend backend, List<Stage> stages, int tokens, int length) {
    long most = 0;
    String where = "";
    for (int device = 0; device < options.plan().devices(); device++) {
      MatrixDevice matrices = backend.devices().get(device);
      long kept = keptBytes(options, backend, stages, device, tokens);
      List<Visit> visits = Visit.of(options.plan(), device, true, true);
      for (int i = 0; i < visits.size(); i++) {
        Visit visit = visits.get(i);
        Stage stage = stages.get(visit.stage());
        long weights = stage.copyBytes(matrices);
        long gradients = visit.backward() ? weights : 0;
        long activations =
            kept
                + Math.max(
                    stage.tapeBytes(tokens, length, backend.keep(), matrices),
                    stage.tapeBytes(tokens, length, Keep.NOTHING, matrices)); // when it scores
        long next =
            i + 1 < visits.size() ? stages.get(visits.get(i + 1).stage()).copyBytes(matrices) : 0;
        if (weights + gradients + activations + next > most) {
          most = weights + gradients + activations + next;
          where =
              "device %d for stage %d (weights %,d, gradients %,d, activations %,d, next stage %,d)"
                  .formatted(device, visit.stage(), weights, gradients, activations, next);
        }
      }
    }

    if (most > options.deviceBytes()) {
      throw new IllegalArgumentException(
          ("Not enough memory: %s of %d stages needs %,d bytes on %s, --memory is %,d."
                  + " Maybe more stages or micro-batches")
              .formatted(
                  options.plan().kind().word(), stages.size(), most, where, options.deviceBytes()));
    }
  }

  /** Bytes of layers that stay on a device from forward to backward, of all chunks. */
  static long keptBytes(
      PipelineOptions options, Backend backend, List<Stage> stages, int device, int tokens) {
    long bytes = 0;
    for (int stage = 0; backend.recomputes() && stage < stages.size(); stage++) {
      if (options.plan().owner(stage) == device) {
        bytes += stages.get(stage).heldBytes(tokens, backend.devices().get(device));
      }
    }

    return options.chunks() * bytes;
  }
}
