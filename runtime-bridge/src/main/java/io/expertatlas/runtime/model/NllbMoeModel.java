package io.expertatlas.runtime.model;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.HostCosts;
import io.expertatlas.runtime.ModelConfig;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.WeightSource;
import io.expertatlas.trace.Phase;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * NLLB-MoE (arXiv 2207.04672) on the ranks of a plan, as the architecture is published: a token
 * runs through the two experts that its router chose. {@link #begin} is the encoder, {@link
 * #forward} the decoder.
 */
public final class NllbMoeModel implements Model {
  private final NllbMoeConfig config;
  private final ExecutionPlan plan;
  private final Limits limits;
  private final List<NllbMoeLane> lanes = new ArrayList<>();
  private final MoeExchange encoderExperts;
  private final MoeExchange decoderExperts;
  private final ContextExchange encoderContext;
  private final ContextExchange decoderContext;
  private final TrafficMatrix moved;
  private final TrafficMatrix contextMoved;
  private final RunObserver observer;
  private int[] sourceLength = {};

  /**
   * Loads the weights and plans the memory.
   *
   * @param devices one for each rank of the plan
   */
  public NllbMoeModel(
      NllbMoeConfig config,
      WeightSource source,
      ExecutionPlan plan,
      List<Device> devices,
      Limits limits,
      RunObserver observer) {
    this.config = config;
    this.plan = plan;
    this.limits = limits;
    this.observer = observer;
    this.moved = new TrafficMatrix(config.shape().layers(), plan.ranks());
    int attentions = config.encoderLayers() + config.decoderLayers();
    this.contextMoved = new TrafficMatrix(attentions + 1, plan.ranks());
    List<NllbMoeWeights> weights =
        NllbMoeWeights.load(config, source, plan, devices, limits.capacity());
    for (int r = 0; r < plan.ranks(); r++) {
      Rank rank = new Rank(r, devices.get(r), config.hidden(), limits.rows());
      lanes.add(
          new NllbMoeLane(
              rank, weights.get(r), config, Slots.count(plan, limits.sequences()), limits));
    }

    this.encoderExperts = exchange(config.encoderMoeLayers(), 0, config.encoderInner());
    this.decoderExperts =
        exchange(config.decoderMoeLayers(), config.encoderMoeLayers(), config.decoderInner());
    this.encoderContext =
        context(
            lanes.stream()
                .map(lane -> Collections.nCopies(config.encoderLayers(), lane.encoderCache))
                .toList(),
            0);
    this.decoderContext =
        context(lanes.stream().map(lane -> lane.selfCaches).toList(), config.encoderLayers());
    devices.forEach(Device::synchronize); // ranks may share weights that another one loads
  }

  private List<Rank> ranks() {
    return lanes.stream().map(lane -> lane.rank).toList();
  }

  private MoeExchange exchange(int layers, int firstLayer, long inner) {
    return new MoeExchange(
        plan,
        layers,
        firstLayer,
        true,
        ranks(),
        config.hidden(),
        inner,
        (float) (1 - config.tokenDropout()),
        limits.rows(),
        moved);
  }

  private ContextExchange context(List<List<ContextExchange.Cache>> caches, int firstLayer) {
    return new ContextExchange(
        plan, ranks(), caches, config.hidden(), limits, firstLayer, contextMoved);
  }

  /** Runs the encoder over whole prompts, as many at a time as the limits allow. */
  @Override
  public List<int[]> begin(int firstSequence, List<int[]> prompts) {
    sourceLength = prompts.stream().mapToInt(prompt -> prompt.length).toArray();
    List<Step.Piece> pieces = new ArrayList<>();
    int rows = 0;
    for (int s = 0; s < prompts.size(); s++) {
      int[] ids = prompts.get(s);
      if (ids.length > limits.rows()) {
        throw new IllegalArgumentException(
            "Invalid prompt %d: %d tokens, an encoder step takes %d"
                .formatted(s, ids.length, limits.rows()));
      }

      if (rows + ids.length > limits.rows()) {
        encode(Step.of(Phase.PREFILL, firstSequence, pieces));
        pieces.clear();
        rows = 0;
      }

      pieces.add(new Step.Piece(s, 0, ids, false, ids.length));
      rows += ids.length;
    }

    encode(Step.of(Phase.PREFILL, firstSequence, pieces));
    return prompts.stream().map(prompt -> new int[] {config.decoderStart()}).toList();
  }

  private void encode(Step step) {
    Routes routes = encoderExperts.routes(step);
    embed(step);
    int moe = 0;
    for (int layer = 0; layer < config.encoderLayers(); layer++) {
      for (NllbMoeLane lane : lanes) {
        lane.keysAndValues(lane.weights.encoder().layers().get(layer), encoderContext, layer, step);
      }

      encoderContext.layerDone(step);
      for (NllbMoeLane lane : lanes) {
        NllbMoeWeights.Layer weights = lane.weights.encoder().layers().get(layer);
        lane.attend(weights.self(), lane.encoderCache, lane.rank.batch(), config.encoderHeads());
      }

      moe += feedForward(layer, moe, true, step, routes);
    }

    encoderContext.stepDone();
    observer.routed(routes);
    for (NllbMoeLane lane : lanes) {
      if (lane.rank.rows() > 0) {
        share(lane, step);
      }
    }
  }

  @Override
  public List<Logits> forward(Step step) {
    Routes routes = decoderExperts.routes(step);
    embed(step);
    int moe = 0;
    for (int layer = 0; layer < config.decoderLayers(); layer++) {
      for (NllbMoeLane lane : lanes) {
        lane.keysAndValues(lane.weights.decoder().layers().get(layer), decoderContext, layer, step);
      }

      decoderContext.layerDone(step);
      for (NllbMoeLane lane : lanes) {
        NllbMoeWeights.Layer weights = lane.weights.decoder().layers().get(layer);
        lane.attend(
            weights.self(), lane.selfCaches.get(layer), lane.rank.batch(), config.decoderHeads());
        lane.cross(weights.cross().get(0), layer, step, sourceLength, config.decoderHeads());
      }

      moe += feedForward(layer, moe, false, step, routes);
    }

    decoderContext.stepDone();
    observer.routed(routes);
    List<Logits> logits = new ArrayList<>();
    for (NllbMoeLane lane : lanes) {
      lane.head.logits(
          step, lane.weights.decoder().norm()::apply, lane.weights.embedding(), logits);
    }

    return logits;
  }

  /** Tokens begin at home: scaled embedding plus position. */
  private void embed(Step step) {
    float scale = config.scaleEmbedding() ? (float) Math.sqrt(config.hidden()) : 1;
    for (NllbMoeLane lane : lanes) {
      Rank rank = lane.rank;
      rank.hold(step, Homes.tokens(plan, step, rank.number()), plan);
      rank.writeIds(step);
      rank.device().embed(rank.ids(), lane.weights.embedding(), scale, rank.hidden());
      rank.device().addRows(lane.weights.positions(), rank.batch().positions(), rank.hidden());
    }
  }

  /** The dense block, or the MoE block of all ranks together; 1 if it was a MoE block. */
  private int feedForward(int layer, int moe, boolean encoder, Step step, Routes routes) {
    List<NllbMoeWeights.Stack> stacks =
        lanes.stream()
            .map(lane -> encoder ? lane.weights.encoder() : lane.weights.decoder())
            .toList();
    if (stacks.get(0).layers().get(layer).isMoe()) {
      (encoder ? encoderExperts : decoderExperts)
          .run(moe, stacks.stream().map(stack -> stack.moe().get(moe)).toList(), step, routes);
      return 1;
    }

    for (NllbMoeLane lane : lanes) {
      lane.dense(stacks.get(lane.rank.number()).layers().get(layer));
    }

    return 0;
  }

  /** The encoder's output of a rank's tokens becomes keys and values of the decoder's layers. */
  private void share(NllbMoeLane lane, Step step) {
    Rank rank = lane.rank;
    Tensor encoded = rank.view(lane.encoded);
    lane.weights.encoder().norm().apply(rank.device(), rank.hidden(), encoded);
    lane.crossKeys(encoded, rank.batch().slots(), rank.batch().positions());
    if (plan.mode() == ParallelMode.COHERENT) {
      for (NllbMoeLane other : lanes) {
        if (other != lane) {
          Device device = other.rank.device();
          Tensor received = other.encoded.rows(rank.rows());
          Tensor slots = other.slots.rows(rank.rows());
          Tensor positions = other.positions.rows(rank.rows());
          device.receive(rank.device(), encoded, received);
          device.receive(rank.device(), rank.batch().slots(), slots);
          device.receive(rank.device(), rank.batch().positions(), positions);
          other.crossKeys(received, slots, positions);
          contextMoved.add(
              contextMoved.layers() - 1, rank.number(), other.rank.number(), rank.rows());
        }
      }
    }
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
  public HostCosts measureHost(Device cpu) {
    return decoderExperts.measureHost(lanes.get(0).weights.moe(), cpu);
  }

  @Override
  public void computeOnHost(Device cpu, CpuRule rule) {
    encoderExperts.computeOnHost(cpu, rule);
    decoderExperts.computeOnHost(cpu, rule);
  }

  @Override
  public long vectorBytes() {
    return (long) config.hidden() * devices().get(0).activationType().bytes();
  }

  @Override
  public long contextVectorBytes() {
    return vectorBytes();
  }
}
