package io.expertatlas.runtime.train;

import io.expertatlas.runtime.pipeline.Visit;
import java.util.List;

/** What a pipeline's devices need at their fullest. Beside a stage that computes, the next fits. */
final class PipelineNeed {
  private PipelineNeed() {}

  /**
   * Checks that each device has room for every two stages that meet on it.
   *
   * @param tokens of a micro-batch
   * @throws IllegalArgumentException if not, with the numbers
   */
  static void check(PipelineOptions options, List<Stage> stages, int tokens) {
    long most = 0;
    String where = "";
    for (int device = 0; device < options.plan().devices(); device++) {
      List<Visit> visits = Visit.of(options.plan(), device, true, true);
      for (int i = 0; i < visits.size(); i++) {
        Visit visit = visits.get(i);
        Stage stage = stages.get(visit.stage());
        long weights = stage.copyBytes();
        long gradients = visit.backward() ? weights : 0;
        long activations = stage.tapeBytes(tokens);
        long next = i + 1 < visits.size() ? stages.get(visits.get(i + 1).stage()).copyBytes() : 0;
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
}
