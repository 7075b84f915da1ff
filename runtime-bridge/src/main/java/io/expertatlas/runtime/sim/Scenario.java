package io.expertatlas.runtime.sim;

import io.expertatlas.placement.solver.StageProblem;
import io.expertatlas.runtime.pipeline.LookupTable;
import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StagePlan;
import java.util.Arrays;
import java.util.List;

/**
 * A model, a machine and the size of a step: all that pipelines are compared on.
 *
 * @param table the profile of a layer
 * @param layers L
 * @param experts of each layer
 * @param heads of the attention
 * @param topK experts that a token visits
 * @param devices GPUs that are used, G
 * @param chunks micro-batches of a step, m
 * @param batchSize sequences of a step
 * @param sequenceLength tokens of a sequence
 * @param machine where it runs
 * @param budgetBytes of GPU memory; {@link #UNBOUNDED}: any
 */
public record Scenario(
    LookupTable table,
    int layers,
    int experts,
    int heads,
    int topK,
    int devices,
    int chunks,
    int batchSize,
    int sequenceLength,
    Machine machine,
    long budgetBytes) {
  /** A budget that is none. */
  public static final long UNBOUNDED = Long.MAX_VALUE;

  /**
   * Checks that the numbers go together.
   *
   * @throws IllegalArgumentException if one is not positive, the batch does not divide among the
   *     micro-batches, top-k is above the experts, or the machine has fewer GPUs
   */
  public Scenario {
    if (layers < 1
        || experts < 1
        || heads < 1
        || chunks < 1
        || batchSize < 1
        || sequenceLength < 1) {
      throw new IllegalArgumentException(
          "Invalid model: %d layers, %d experts, %d heads, %d micro-batches, batch %d, sequences of %d tokens, at least 1 each"
              .formatted(layers, experts, heads, chunks, batchSize, sequenceLength));
    }

    if ((long) batchSize * sequenceLength % chunks != 0) {
      throw new IllegalArgumentException(
          "Invalid number of micro-batches: %d, a divisor of the %d tokens of a step"
              .formatted(chunks, (long) batchSize * sequenceLength));
    }

    if (topK < 1 || topK > experts) {
      throw new IllegalArgumentException(
          "Invalid top-k: %d, 1 to the %d experts".formatted(topK, experts));
    }

    if (devices < 1 || devices > machine.gpus()) {
      throw new IllegalArgumentException(
          "Invalid number of GPUs: %d, the machine has %d".formatted(devices, machine.gpus()));
    }

    if ((long) batchSize * sequenceLength / chunks * topK > 1 << 24) {
      throw new IllegalArgumentException(
          "Invalid batch: %d choices of experts in a micro-batch, at most %d"
              .formatted((long) batchSize * sequenceLength / chunks * topK, 1 << 24));
    }
  }

  /** Whether GPU memory has a bound. */
  public boolean isBounded() {
    return budgetBytes != UNBOUNDED;
  }

  /** Tokens of a micro-batch. */
  public int tokens() {
    return (int) ((long) batchSize * sequenceLength / chunks);
  }

  /** Choices of experts in a micro-batch and layer. */
  public int choices() {
    return tokens() * topK;
  }

  /** The times of this machine. */
  public TableTimes times() {
    return new TableTimes(table, machine, experts, tokens(), sequenceLength, choices());
  }

  /** What the fullest GPU needs under a plan. */
  public MemoryNeed need(StagePlan plan, PipelineSettings settings) {
    return MemoryNeed.of(
        plan, table.shape(), experts, settings, tokens(), choices(), (long) heads * sequenceLength);
  }

  /** Parameters of the model. */
  public long parameters() {
    return layers * (table.shape().layerBytes(experts) / table.shape().bytesPerValue());
  }

  /**
   * The choice of stages for whole stages that are loaded (Mobius), experts on the GPU with equal
   * shares of the tokens.
   *
   * @param activationBytes that the budget must leave
   */
  public StageProblem stageProblem(int stages, long activationBytes) {
    TableTimes times = times();
    double load = times.loadBaseNanos() + experts * times.loadExpertNanos();
    int share = Math.max(1, choices() / experts);
    double forward = times.attentionNanos(false) + experts * times.gpuNanos(share, false);
    double backward = times.attentionNanos(true) + experts * times.gpuNanos(share, true);
    return new StageProblem(
        devices,
        stages,
        chunks,
        budgetBytes - activationBytes,
        same(load),
        same(forward),
        same(backward),
        same(table.shape().layerBytes(experts)));
  }

  private long[] same(double value) {
    long[] values = new long[layers];
    Arrays.fill(values, Math.round(value));
    return values;
  }

  /**
   * Runs steps.
   *
   * @param routing of the steps, the warm-up first
   * @param warmup steps that are not kept; they give the popularity of a step before
   * @param steps that are kept at most, one at least
   * @param records whether the last step's timeline is kept
   * @throws IllegalArgumentException if a GPU would need more than the budget, or the routing ends
   *     within the warm-up
   */
  public List<StepResult> run(
      StagePlan plan,
      PipelineSettings settings,
      RoutingSource routing,
      int warmup,
      int steps,
      boolean records) {
    need(plan, settings).check(plan, budgetBytes);
    return new PipelineSimulator(plan, experts, settings, times(), machine::complexOf)
        .run(routing, warmup, steps, records);
  }
}
