package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Decode of Mixtral on one rank: {@link MixtralModel#forward} by fused operations, captured once
 * for a number of rows and replayed. Ids, positions and counts of visible entries live on the
 * device; what the routers choose is kept there and read after the last step.
 */
final class MixtralDecode implements DecodeLoop {
  private static final int MOST_STEPS = 64;
  private static final int LEAST_CONTEXT = 256;

  private final MixtralConfig config;
  private final ExecutionPlan plan;
  private final MixtralLane lane;
  private final MoeRank moe;
  private final RunObserver observer;
  private final Rank rank;
  private final Device device;
  private final ModelShape shape;
  private final int capacity;
  private final Buffer split; // [S, (heads + 2 keyHeads) * D]
  private final Tensor step; // I32 [1]
  private final Buffer history; // I32 [steps * S]
  private final Buffer draws; // F32 [steps * S]
  private final Buffer uniform; // F32 [S]
  private final Buffer chosen; // I32 [steps * layers * S * k]
  private final Buffer weights; // F32, the same
  private final Map<Shape, Runnable> captured = new HashMap<>();

  /** What a captured step depends on, beside what lies in tensors. */
  private record Shape(int rows, int longestContext, float temperature, float topP) {}

  /** Plans the memory. */
  MixtralDecode(
      MixtralConfig config,
      ExecutionPlan plan,
      MixtralLane lane,
      MoeRank moe,
      Limits limits,
      RunObserver observer) {
    this.config = config;
    this.plan = plan;
    this.lane = lane;
    this.moe = moe;
    this.observer = observer;
    this.rank = lane.rank;
    this.device = rank.device();
    this.shape = config.shape();
    this.capacity = limits.capacity();
    int rows = limits.sequences();
    long choices = (long) MOST_STEPS * rows * shape.choicesPerToken();
    long heads = config.heads() + 2L * config.keyHeads();
    split = rank.activations("queries, keys and values", rows, heads * config.headSize());
    step = device.allocate("step", DType.I32, 1);
    history = new Buffer(device, "ids of steps", DType.I32, (long) MOST_STEPS * rows);
    draws = new Buffer(device, "draws of steps", DType.F32, (long) MOST_STEPS * rows);
    uniform = new Buffer(device, "draws of a step", DType.F32, rows);
    chosen = new Buffer(device, "choices of steps", DType.I32, choices);
    weights = new Buffer(device, "weights of steps", DType.F32, choices);
  }

  @Override
  public int mostSteps() {
    return MOST_STEPS;
  }

  @Override
  public List<int[]> run(Step first, int steps, Sampler sampler, float[][] uniforms, int end) {
    if (steps < 1 || steps > MOST_STEPS) {
      throw new IllegalArgumentException(
          "Invalid number of decode steps: %d, 1 to %d".formatted(steps, MOST_STEPS));
    }

    rank.hold(first, Homes.tokens(plan, first, rank.number()), plan);
    rank.writeIds(first);
    device.write(step, 0);
    int rows = rank.rows();
    if (!sampler.isGreedy()) {
      float[] flat = new float[steps * rows];
      for (int s = 0; s < steps; s++) {
        System.arraycopy(uniforms[s], 0, flat, s * rows, rows);
      }

      device.write(draws.rows(flat.length), flat);
    }

    int longest = rank.batch().longestContext() + steps - 1;
    if (longest > capacity) {
      throw new IllegalArgumentException(
          "Invalid number of decode steps: %d lead to %d tokens of a sequence, at most %d"
              .formatted(steps, longest, capacity));
    }

    Batch batch = batch(longest);
    Shape key = new Shape(rows, batch.longestContext(), sampler.temperature(), sampler.topP());
    int done = 0;
    boolean ended = false;
    while (done < steps && !ended) {
      Runnable again = captured.get(key);
      if (again == null) {
        captured.put(key, device.repeatable(() -> decode(batch, sampler)));
      } else {
        again.run();
      }

      done++;
      ended = end >= 0 && Arrays.stream(device.read(rank.ids())).anyMatch(id -> id == end);
    }

    return finish(first, done);
  }

  /** The rank's rows, with a bound on what they see that stays for a while. */
  private Batch batch(int longestContext) {
    int bound = LEAST_CONTEXT;
    while (bound < longestContext) {
      bound *= 2;
    }

    Batch own = rank.batch();
    return new Batch(
        own.rows(),
        own.runs(),
        own.longestRun(),
        Math.min(bound, capacity),
        own.slots(),
        own.positions(),
        own.visible(),
        own.runStarts());
  }

  /** One step: from the ids of the tokens to the ids of the next ones, in their place. */
  private void decode(Batch batch, Sampler sampler) {
    MixtralWeights model = lane.weights;
    double epsilon = config.normEpsilon();
    Tensor x = rank.hidden();
    Tensor input = rank.view(lane.normed);
    device.embed(rank.ids(), model.embedding(), 1, x);
    device.rmsNorm(x, model.layers().get(0).attentionNorm(), epsilon, input);
    for (int layer = 0; layer < config.layers(); layer++) {
      MixtralWeights.Layer weight = model.layers().get(layer);
      boolean isLast = layer == config.layers() - 1;
      attention(layer, weight, batch, input);
      moe.layer(
          layer,
          model.moe().get(layer),
          true /* renormalize */,
          new MoeRank.Rms(
              isLast ? model.norm() : model.layers().get(layer + 1).attentionNorm(), epsilon),
          input);
    }

    device.mark("logits");
    choose(lane.head.logits(input, model.head()), sampler);
    device.keep(moe.allChosen(), step, steps(chosen, moe.allChosen().elements()));
    device.keep(moe.allWeights(), step, steps(weights, moe.allWeights().elements()));
    device.advance(
        rank.ids(), batch.positions(), batch.visible(), steps(history, rank.rows()), step);
    device.mark("");
  }

  private void attention(int layer, MixtralWeights.Layer weight, Batch batch, Tensor input) {
    ContextExchange.Cache cache = lane.caches.get(layer);
    Tensor q = rank.view(lane.q);
    Tensor attended = rank.view(lane.attended);
    device.mark("attention");
    device.queriesKeysValues(
        input,
        weight.attention(),
        lane.weights.frequency(),
        batch,
        rank.view(split),
        q,
        cache.keys(),
        cache.values());
    device.attention(
        q,
        cache.keys(),
        cache.values(),
        batch,
        config.headSize(),
        (float) (1 / Math.sqrt(config.headSize())),
        attended);
    device.linearAdd(attended, weight.output(), rank.hidden());
  }

  private void choose(Tensor logits, Sampler sampler) {
    if (sampler.isGreedy()) {
      device.argmax(logits, rank.ids());
    } else {
      int rows = rank.rows();
      Tensor now = uniform.rows(rows);
      device.gatherRows(steps(draws, rows), step, device.reshape(now, 1, rows));
      device.sample(logits, sampler.temperature(), sampler.topP(), now, rank.ids());
    }
  }

  /** A log's entries, {@code [steps, width]}. */
  private Tensor steps(Buffer log, long width) {
    return device.reshape(log.rows((int) (MOST_STEPS * width)), MOST_STEPS, width);
  }

  /** Reads what the steps kept. */
  private List<int[]> finish(Step first, int done) {
    int rows = rank.rows();
    int choices = rows * shape.choicesPerToken();
    int[] ids = device.read(history.rows(done * rows));
    int[] experts = device.read(chosen.rows(done * choices));
    float[] factors = device.readFloats(weights.rows(done * choices));
    List<int[]> next = new ArrayList<>();
    Step now = first;
    for (int s = 0; s < done; s++) {
      Routes routes = new Routes(now, shape, 0);
      moe.log(experts, factors, s * choices, routes);
      observer.routed(routes);
      next.add(Arrays.copyOfRange(ids, s * rows, (s + 1) * rows));
      now = following(now, next.get(s));
    }

    return next;
  }

  private static Step following(Step step, int[] ids) {
    List<Step.Piece> pieces = new ArrayList<>();
    for (int t = 0; t < step.tokens(); t++) {
      pieces.add(
          new Step.Piece(step.sequence(t), step.position(t) + 1, new int[] {ids[t]}, true, 0));
    }

    return Step.of(Phase.DECODE, step.firstSequence(), pieces);
  }
}
