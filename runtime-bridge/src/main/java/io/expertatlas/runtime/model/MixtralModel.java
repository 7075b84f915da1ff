package io.expertatlas.runtime.model;

import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.MixtralConfig;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.WeightSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Mixtral (arXiv 2401.04088) on the ranks of a plan: {@link #forward} is the whole model, from
 * token ids to logits.
 */
public final class MixtralModel implements Model {
  private final MixtralConfig config;
  private final ExecutionPlan plan;
  private final List<MixtralLane> lanes = new ArrayList<>();
  private final MoeExchange experts;
  private final ContextExchange context;
  private final TrafficMatrix moved;
  private final TrafficMatrix contextMoved;
  private final RunObserver observer;
  private final Optional<DecodeLoop> decodeLoop;

  /**
   * Loads the weights and plans the memory.
   *
   * @param devices one for each rank of the plan
   */
  public MixtralModel(
      MixtralConfig config,
      WeightSource source,
      ExecutionPlan plan,
      List<Device> devices,
      Limits limits,
      RunObserver observer) {
    this.config = config;
    this.plan = plan;
    this.observer = observer;
    this.moved = new TrafficMatrix(config.layers(), plan.ranks());
    this.contextMoved = new TrafficMatrix(config.layers(), plan.ranks());
    List<MixtralWeights> weights = MixtralWeights.load(config, source, plan, devices);
    for (int r = 0; r < plan.ranks(); r++) {
      Rank rank = new Rank(r, devices.get(r), config.hidden(), limits.rows());
      lanes.add(
          new MixtralLane(
              rank, weights.get(r), config, Slots.count(plan, limits.sequences()), limits));
    }

    List<Rank> ranks = lanes.stream().map(lane -> lane.rank).toList();
    this.experts =
        new MoeExchange(
            plan,
            config.layers(),
            0,
            true,
            ranks,
            config.hidden(),
            2L * config.inner(),
            1,
            limits.rows(),
            moved);
    this.context =
        new ContextExchange(
            plan,
            ranks,
            lanes.stream().map(lane -> lane.caches).toList(),
            config.keyHeads() * config.headSize(),
            limits,
            0,
            contextMoved);
    this.decodeLoop =
        plan.ranks() == 1 && plan.offload().isEmpty()
            ? Optional.of(
                new MixtralDecode(config, plan, lanes.get(0), experts.rank(0), limits, observer))
            : Optional.empty();
    devices.forEach(Device::synchronize); // ranks may share weights that another one loads
  }

  @Override
  public List<int[]> begin(int firstSequence, List<int[]> prompts) {
    return prompts;
  }

  @Override
  public List<Logits> forward(Step step) {
    Routes routes = experts.routes(step);
    for (MixtralLane lane : lanes) {
      lane.rank.hold(step, Homes.tokens(plan, step, lane.rank.number()), plan);
      lane.rank.writeIds(step);
      lane.rank.device().embed(lane.rank.ids(), lane.weights.embedding(), 1, lane.rank.hidden());
    }

    for (int layer = 0; layer < config.layers(); layer++) {
      int at = layer;
      for (MixtralLane lane : lanes) {
        keysAndValues(lane, layer, step);
      }

      context.layerDone(step);
      for (MixtralLane lane : lanes) {
        attention(lane, layer);
      }

      experts.run(
          layer, lanes.stream().map(lane -> lane.weights.moe().get(at)).toList(), step, routes);
    }

    context.stepDone();
    observer.routed(routes);
    List<Logits> logits = new ArrayList<>();
    for (MixtralLane lane : lanes) {
      lane.head.logits(
          step,
          (device, x, out) -> device.rmsNorm(x, lane.weights.norm(), config.normEpsilon(), out),
          lane.weights.head(),
          logits);
    }

    return logits;
  }

  /** Norm, queries, keys and values, rotated by position; keys and values go to the caches. */
  private void keysAndValues(MixtralLane lane, int layer, Step step) {
    if (lane.rank.rows() == 0) {
      return;
    }

    Device device = lane.rank.device();
    MixtralWeights.Layer weights = lane.weights.layers().get(layer);
    Tensor x = lane.rank.hidden();
    Tensor normed = lane.rank.view(lane.normed);
    Tensor q = lane.rank.view(lane.q);
    Tensor k = lane.rank.view(lane.k);
    Tensor v = lane.rank.view(lane.v);
    device.mark("attention");
    device.rmsNorm(x, weights.attentionNorm(), config.normEpsilon(), normed);
    device.linear(normed, weights.query(), q);
    device.linear(normed, weights.key(), k);
    device.linear(normed, weights.value(), v);
    device.rotary(q, lane.weights.frequency(), lane.rank.batch().positions());
    device.rotary(k, lane.weights.frequency(), lane.rank.batch().positions());
    context.append(step, layer, lane.rank, k, v);
    device.mark("");
  }

  /** Attention over the cache, its projection and the residual. */
  private void attention(MixtralLane lane, int layer) {
    if (lane.rank.rows() == 0) {
      return;
    }

    Device device = lane.rank.device();
    MixtralWeights.Layer weights = lane.weights.layers().get(layer);
    ContextExchange.Cache cache = lane.caches.get(layer);
    Tensor attended = lane.rank.view(lane.attended);
    float scale = (float) (1 / Math.sqrt(config.headSize()));
    device.mark("attention");
    device.attention(
        lane.rank.view(lane.q),
        cache.keys(),
        cache.values(),
        lane.rank.batch(),
        config.headSize(),
        scale,
        attended);
    device.linearAdd(attended, weights.output(), lane.rank.hidden());
    device.mark("");
  }

  @Override
  public Optional<DecodeLoop> decodeLoop() {
    return decodeLoop;
  }

  @Override
  public ModelConfig config() {
    return config;
  }

  @Override
  public List<Device> devices() {
    return lanes.stream().map(lane -> lane.rank.device()).toList();
  }

  @Override
  public TrafficMatrix moved() {
    return moved;
  }

  @Override
  public TrafficMatrix context() {
    return contextMoved;
  }

  @Override
  public Offload.Use offloaded() {
    return lanes.stream()
        .map(lane -> HeldExperts.use(lane.weights.moe()))
        .reduce(Offload.Use.NONE, Offload.Use::plus);
  }

  @Override
  public void foretell(Foretelling by) {
    if (plan.offload().isEmpty()) {
      throw new IllegalArgumentException("Cannot fetch experts ahead: all stay on the device");
    }

    if (plan.ranks() > 1) {
      throw new IllegalArgumentException(
          "Cannot fetch experts ahead on %d ranks: only on one".formatted(plan.ranks()));
    }

    List<Tensor> gates =
        lanes.get(0).weights.layers().stream().map(MixtralWeights.Layer::router).toList();
    experts.rank(0).foretellBy(by.begin(config.shape(), gates));
  }

  @Override
  public HostCosts measureHost(Device cpu) {
    return experts.measureHost(lanes.get(0).weights.moe(), cpu);
  }

  @Override
  public void computeOnHost(Device cpu, CpuRule rule) {
    experts.computeOnHost(cpu, rule);
  }

  @Override
  public long vectorBytes() {
    return (long) config.hidden() * devices().get(0).activationType().bytes();
  }

  @Override
  public long contextVectorBytes() {
    return (long) config.keyHeads() * config.headSize() * devices().get(0).activationType().bytes();
  }
}
