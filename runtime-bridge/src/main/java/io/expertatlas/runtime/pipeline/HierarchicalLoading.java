package io.expertatlas.runtime.pipeline;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;

/**
 * APTMoE's hierarchical loading on one device: what happens in the pipeline is told to it, and it
 * asks a {@link DemandLoader} for blocks and splits layers between GPU and CPU.
 *
 * <p>Forward, three phases: <i>inter-stage</i> when a stage's first chunk comes up (attention and
 * gates of all its layers, then experts by the popularity of the last step, rank by rank across the
 * layers; the successor's behind them); <i>inter-layer</i> when a predictor tells a layer's counts
 * before the layer runs; <i>inter-expert</i> when its gate has spoken. Backward, all counts are
 * known: one split for each layer, all of it loaded in the inter-stage phase.
 *
 * <p>Splits weigh a whole visit: the CPU's times of the chunks so far are added and scaled to all
 * chunks of the step. Not safe for several threads.
 */
public final class HierarchicalLoading {
  private static final int INTER_EXPERT = 0;
  private static final int INTER_LAYER = 1;
  private static final int INTER_STAGE = 2;

  private final StagePlan plan;
  private final int experts;
  private final int chunks;
  private final ExpertCosts costs;
  private final AffinityPolicy policy;
  private final RandomGenerator random;
  private final DemandLoader loader;
  private final BlockIds ids;
  private final long[][] current; // [layer][expert] tokens of this step so far
  private final long[][] history; // [layer][expert] tokens of the last step
  private final double[][] cpuForward; // [layer][expert] the CPU's time for the chunks so far
  private final double[][] cpuBackward;
  private final double[][] gpuForward;
  private final double[][] gpuBackward;
  private final int[][][] counts; // [layer][chunk][expert] tokens of the chunks so far
  private final int[] seen; // [layer] chunks so far
  private final LayerSplit[] split; // [layer] the last one, or null before the first

  /**
   * Loading for one device.
   *
   * @param chunks micro-batches of a step
   * @param random for {@link AffinityPolicy#RANDOM_HALF}
   * @param loader with the blocks of {@link BlockIds}
   */
  public HierarchicalLoading(
      StagePlan plan,
      int experts,
      int chunks,
      ExpertCosts costs,
      AffinityPolicy policy,
      RandomGenerator random,
      DemandLoader loader) {
    this.plan = plan;
    this.experts = experts;
    this.chunks = chunks;
    this.costs = costs;
    this.policy = policy;
    this.random = random;
    this.loader = loader;
    this.ids = new BlockIds(plan.layers(), experts);
    this.current = new long[plan.layers()][experts];
    this.history = new long[plan.layers()][experts];
    this.cpuForward = new double[plan.layers()][experts];
    this.cpuBackward = new double[plan.layers()][experts];
    this.gpuForward = new double[plan.layers()][experts];
    this.gpuBackward = new double[plan.layers()][experts];
    this.counts = new int[plan.layers()][chunks][];
    this.seen = new int[plan.layers()];
    this.split = new LayerSplit[plan.layers()];
  }

  /** Inter-stage phase of a stage that will compute forward. */
  public void requestForward(int stage) {
    pushBase(stage, INTER_STAGE, false);
    int first = plan.firstLayer(stage);
    int layers = plan.endLayer(stage) - first;
    int[][] order = new int[layers][];
    for (int i = 0; i < layers; i++) {
      order[i] = LayerDemand.byCount(negated(history[first + i]));
    }

    for (int rank = 0; rank < experts; rank++) {
      for (int i = 0; i < layers; i++) {
        loader.push(ids.expert(first + i, order[i][rank]), INTER_STAGE);
      }
    }
  }

  /** Falling counts rise when negated; ties still go to the lower id. */
  private static long[] negated(long[] counts) {
    long most = 0;
    for (long count : counts) {
      most = Math.max(most, count);
    }

    long[] negated = new long[counts.length];
    for (int expert = 0; expert < counts.length; expert++) {
      negated[expert] = most - counts[expert];
    }

    return negated;
  }

  private void pushBase(int stage, int priority, boolean lastFirst) {
    int first = plan.firstLayer(stage);
    int layers = plan.endLayer(stage) - first;
    for (int i = 0; i < layers; i++) {
      int layer = lastFirst ? first + layers - 1 - i : first + i;
      loader.push(ids.attention(layer), priority);
      loader.push(ids.gate(layer), priority);
    }
  }

  /** A stage starts to compute forward: what still waits of its inter-stage phase is given up. */
  public void startForward(int stage) {
    for (int layer = plan.firstLayer(stage); layer < plan.endLayer(stage); layer++) {
      for (int expert = 0; expert < experts; expert++) {
        loader.cancel(ids.expert(layer, expert), INTER_STAGE);
      }
    }

    pushBase(stage, INTER_LAYER, false);
  }

  /**
   * Inter-layer phase: a layer's counts are foretold while the one before runs.
   *
   * @param predicted {@code [expert]} tokens of the next chunk
   */
  public void predicted(int layer, int[] predicted) {
    LayerSplit before = split[layer];
    LayerSplit now = solve(layer, predicted);
    split[layer] = now;
    for (int place = experts - 1; place >= 0; place--) {
      int expert = now.expert(place);
      if (now.isOnGpu(expert)) {
        loader.push(ids.expert(layer, expert), INTER_LAYER);
      } else if (before != null && before.isOnGpu(expert)) {
        loader.cancel(ids.expert(layer, expert), INTER_LAYER);
      }
    }
  }

  /**
   * Inter-expert phase: a layer's gate has spoken.
   *
   * @param ofChunk {@code [expert]} tokens of this chunk
   * @return which experts belong on the GPU
   */
  public LayerSplit routed(int layer, int[] ofChunk) {
    for (int expert = 0; expert < experts; expert++) {
      int tokens = ofChunk[expert];
      if (tokens > 0) {
        current[layer][expert] += tokens;
        cpuForward[layer][expert] += costs.cpuNanos(tokens, false);
        cpuBackward[layer][expert] += costs.cpuNanos(tokens, true);
        gpuForward[layer][expert] += costs.gpuNanos(tokens, false);
        gpuBackward[layer][expert] += costs.gpuNanos(tokens, true);
      }
    }

    counts[layer][seen[layer]++] = ofChunk.clone();
    LayerSplit now = solve(layer, new int[0]);
    split[layer] = now;
    for (int place = experts - 1; place >= now.onCpu(); place--) {
      loader.push(ids.expert(layer, now.expert(place)), INTER_EXPERT);
    }

    return now;
  }

  /** The split on the chunks so far, or on those and a predicted one, scaled to all chunks. */
  private LayerSplit solve(int layer, int[] predicted) {
    if (policy == AffinityPolicy.RANDOM_HALF && split[layer] != null) {
      return split[layer]; // drawn once a step
    }

    boolean foretold = predicted.length > 0;
    double scale = (double) chunks / (seen[layer] + (foretold ? 1 : 0));
    long[] sums = current[layer].clone();
    double[] cpu = new double[experts];
    double[] gpu = new double[experts];
    for (int expert = 0; expert < experts; expert++) {
      cpu[expert] = cpuForward[layer][expert];
      gpu[expert] = gpuForward[layer][expert];
      if (foretold && predicted[expert] > 0) {
        sums[expert] += predicted[expert];
        cpu[expert] += costs.cpuNanos(predicted[expert], false);
        gpu[expert] += costs.gpuNanos(predicted[expert], false);
      }

      cpu[expert] *= scale;
      gpu[expert] *= scale;
    }

    List<int[]> known = known(layer);
    if (foretold) {
      known.add(predicted);
    }

    return split(sums, cpu, gpu, known, false);
  }

  private List<int[]> known(int layer) {
    return new ArrayList<>(Arrays.asList(counts[layer]).subList(0, seen[layer]));
  }

  /** The split of a whole visit's sums, of which the counts of some chunks are known. */
  private LayerSplit split(
      long[] sums, double[] cpu, double[] gpu, List<int[]> known, boolean isBackward) {
    LayerDemand demand =
        new LayerDemand(sums, cpu, gpu, costs.loadBaseNanos(), costs.loadExpertNanos());
    return policy.split(
        policy == AffinityPolicy.CRITICAL_PATH ? inChunks(demand, known, isBackward) : demand,
        random);
  }

  private LayerDemand inChunks(LayerDemand demand, List<int[]> known, boolean isBackward) {
    double[][] cpu = new double[known.size()][experts];
    double[][] gpu = new double[known.size()][experts];
    double[] layer = new double[known.size()];
    for (int chunk = 0; chunk < known.size(); chunk++) {
      int[] tokens = known.get(chunk);
      for (int expert = 0; expert < experts; expert++) {
        if (tokens[expert] > 0) {
          cpu[chunk][expert] = costs.cpuNanos(tokens[expert], isBackward);
          gpu[chunk][expert] = costs.gpuNanos(tokens[expert], isBackward);
        }
      }

      layer[chunk] = costs.layerNanos(Arrays.stream(tokens).sum(), isBackward);
    }

    return demand.withMicroBatches(cpu, gpu, layer, (double) chunks / known.size());
  }

  /**
   * Whichever ends first: with the CPU idle, the expert of the fewest tokens whose copy has not
   * begun, if nothing on the device is ready and the CPU is done with it before its copy would have
   * come and been computed. It is not copied then. Forward only: backward loads all that its split
   * says.
   *
   * @param waiting {@code [expert]} tokens of this chunk that wait for the device; 0: none
   * @param copyingNanos what is left of the copies under way
   * @return the expert, -1: none
   */
  public int soonerOnCpu(int layer, int[] waiting, double copyingNanos) {
    int chosen = -1;
    int queued = 0;
    for (int expert = 0; expert < experts; expert++) {
      int block = ids.expert(layer, expert);
      if (waiting[expert] > 0 && loader.isResident(block)) {
        return -1;
      }

      if (waiting[expert] > 0 && loader.isQueued(block)) {
        queued++;
        chosen = chosen < 0 || waiting[expert] < waiting[chosen] ? expert : chosen;
      }
    }

    if (chosen < 0
        || costs.cpuNanos(waiting[chosen], false)
            >= copyingNanos
                + queued * costs.loadExpertNanos()
                + costs.gpuNanos(waiting[chosen], false)) {
      return -1;
    }

    loader.cancel(ids.expert(layer, chosen));
    return chosen;
  }

  /** A layer has computed a chunk forward: what still waits of it is given up. */
  public void endLayer(int layer) {
    for (int expert = 0; expert < experts; expert++) {
      loader.cancel(ids.expert(layer, expert));
    }
  }

  /** Inter-stage phase of a stage that will compute backward: its layers from last to first. */
  public void requestBackward(int stage) {
    pushBase(stage, INTER_STAGE, true);
    for (int layer = plan.endLayer(stage) - 1; layer >= plan.firstLayer(stage); layer--) {
      LayerSplit now =
          policy == AffinityPolicy.RANDOM_HALF && split[layer] != null
              ? split[layer]
              : split(current[layer], cpuBackward[layer], gpuBackward[layer], known(layer), true);
      split[layer] = now;
      for (int place = experts - 1; place >= now.onCpu(); place--) {
        loader.push(ids.expert(layer, now.expert(place)), INTER_STAGE);
      }
    }
  }

  /** A stage starts to compute backward: what it still waits for goes before its successor. */
  public void startBackward(int stage) {
    pushBase(stage, INTER_LAYER, true);
    for (int layer = plan.endLayer(stage) - 1; layer >= plan.firstLayer(stage); layer--) {
      for (int place = experts - 1; place >= split[layer].onCpu(); place--) {
        loader.push(ids.expert(layer, split[layer].expert(place)), INTER_LAYER);
      }
    }
  }

  /**
   * The last split of a layer.
   *
   * @throws IllegalStateException if it has none yet
   */
  public LayerSplit split(int layer) {
    if (split[layer] == null) {
      throw new IllegalStateException("Layer %d has not been split yet".formatted(layer));
    }

    return split[layer];
  }

  /** The step is over: its popularity becomes history, and nothing is on the device. */
  public void endStep() {
    for (int layer = 0; layer < plan.layers(); layer++) {
      System.arraycopy(current[layer], 0, history[layer], 0, experts);
      Arrays.fill(current[layer], 0);
      Arrays.fill(cpuForward[layer], 0);
      Arrays.fill(cpuBackward[layer], 0);
      Arrays.fill(gpuForward[layer], 0);
      Arrays.fill(gpuBackward[layer], 0);
      seen[layer] = 0;
      split[layer] = null;
    }
  }
}
