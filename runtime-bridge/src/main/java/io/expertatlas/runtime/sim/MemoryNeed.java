package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.LayerShape;
import io.expertatlas.runtime.pipeline.StagePlan;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.List;

/**
 * What the fullest GPU of a pipeline holds at once. Where weights come and go: two visits that
 * follow each other, and the gradients of the first. Where they stay (gpipe): weights, gradients
 * and two moments of Adam.
 *
 * @param device which one
 * @param weights bytes
 * @param gradients bytes
 * @param optimizer bytes
 * @param activations bytes: the inputs of its stages for all micro-batches of a step with a
 *     backward pass, and one layer's intermediate values
 */
public record MemoryNeed(
    int device, long weights, long gradients, long optimizer, long activations) {
  /** All bytes. */
  public long bytes() {
    return weights + gradients + optimizer + activations;
  }

  /** The same where moments are kept by the host. */
  public MemoryNeed withOptimizerOnHost() {
    return new MemoryNeed(device, weights, gradients, 0, activations);
  }

  /**
   * The need of a plan.
   *
   * @param tokens of a micro-batch
   * @param choices of a micro-batch: tokens times top-k
   * @param scores of attention that a token has: heads times tokens of a sequence
   */
  static MemoryNeed of(
      StagePlan plan,
      LayerShape shape,
      int experts,
      PipelineSettings settings,
      long tokens,
      long choices,
      long scores) {
    MemoryNeed most = new MemoryNeed(0, 0, 0, 0, 0);
    long inner = (shape.expertMatrices() - 1L) * shape.hidden() + shape.dim();
    long working = (tokens * (4L * shape.dim() + scores) + choices * inner) * shape.bytesPerValue();
    long inputs =
        settings.backward()
            ? plan.stagesPerDevice() * settings.chunks() * tokens * shape.tokenBytes()
            : tokens * shape.tokenBytes();
    for (int device = 0; device < plan.devices(); device++) {
      List<Visit> visits = Visit.of(plan, device, settings.backward(), settings.keepTurn());
      for (Visit visit : visits) {
        long own = bytes(plan, visit.stage(), shape, experts);
        boolean isLast = visit.number() + 1 == visits.size();
        int next = isLast ? visit.stage() : visits.get(visit.number() + 1).stage();
        long ahead =
            next == visit.stage() || !plan.kind().offloads()
                ? 0
                : bytes(plan, next, shape, experts);
        long gradients =
            settings.backward() && (visit.backward() || !plan.kind().offloads()) ? own : 0;
        long optimizer = plan.kind().offloads() ? 0 : 2 * gradients;
        MemoryNeed need =
            new MemoryNeed(device, own + ahead, gradients, optimizer, inputs + working);
        most = need.bytes() > most.bytes() ? need : most;
      }
    }

    return most;
  }

  private static long bytes(StagePlan plan, int stage, LayerShape shape, int experts) {
    return (plan.endLayer(stage) - plan.firstLayer(stage)) * shape.layerBytes(experts);
  }

  /** Bytes in GB, rounded up in the second place, so that what is said to be needed is enough. */
  public static double gigabytes(long bytes) {
    return Math.ceil(bytes / 1e7) / 100;
  }

  /**
   * Checks a budget.
   *
   * @throws IllegalArgumentException if it is too small, with all numbers
   */
  public void check(StagePlan plan, long budget) {
    if (bytes() > budget) {
      throw new IllegalArgumentException(
          "Cannot run %s in %.2f GB a GPU: device %d needs %.2f GB (weights %.2f, gradients %.2f, optimizer %.2f, activations %.2f).%s"
              .formatted(
                  plan.kind().word(),
                  Math.floor(budget / 1e7) / 100,
                  device,
                  gigabytes(bytes()),
                  weights / 1e9,
                  gradients / 1e9,
                  optimizer / 1e9,
                  activations / 1e9,
                  plan.kind().offloads() && plan.stages() < plan.layers()
                      ? " Maybe use more stages"
                      : ""));
    }
  }
}
