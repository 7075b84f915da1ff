package io.expertatlas.runtime.model;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
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
  private final List<Lane> lanes = new ArrayList<>();
  private final MoeExchange encoderExperts;
  private final MoeExchange decoderExperts;
  private final ContextExchange encoderContext;
  private final ContextExchange decoderContext;
  private final TrafficMatrix moved;
  private final TrafficMatrix contextMoved;
  private final RunObserver observer;
  private int[] sourceLength = {};

  /** What one rank has: weights, caches, scratch. */
  private static final class Lane {
    final Rank rank;
    final NllbMoeWeights weights;
    final Buffer normed; // [T, H]
    final Buffer q; // [T, H]
    final Buffer k; // [T, H]
    final Buffer v; // [T, H]
    final Buffer attended; // [T, H]
    final Buffer inner; // [T, F]
    final Buffer encoded; // [T, H]: the encoder's output, this rank's or another's
    final Buffer slots; // I32 [T]: of encoded rows
    final Buffer positions; // I32 [T]
    final Buffer sources; // I32 [T]: length of the source of each row
    final Head head;
    final ContextExchange.Cache encoderCache; // of one layer at a time
    final List<ContextExchange.Cache> selfCaches = new ArrayList<>(); // [decoder layer]
    final List<ContextExchange.Cache> crossCaches = new ArrayList<>(); // [decoder layer]
    private Batch crossBatch;
    private int crossMoves = -1;

    Lane(Rank rank, NllbMoeWeights weights, NllbMoeConfig config, int slotCount, Limits limits) {
      this.rank = rank;
      this.weights = weights;
      int rows = limits.rows();
      int hidden = config.hidden();
      normed = rank.activations("block input", rows, hidden);
      q = rank.activations("queries", rows, hidden);
      k = rank.activations("keys", rows, hidden);
      v = rank.activations("values", rows, hidden);
      attended = rank.activations("attention output", rows, hidden);
      inner =
          rank.activations(
              "dense inner states", rows, Math.max(config.encoderInner(), config.decoderInner()));
      encoded = rank.activations("encoder output", rows, hidden);
      slots = new Buffer(rank.device(), "slots of sources", DType.I32, rows);
      positions = new Buffer(rank.device(), "positions of sources", DType.I32, rows);
      sources = new Buffer(rank.device(), "lengths of sources", DType.I32, rows);
      head = new Head(rank, hidden, config.vocabulary(), limits.sequences());
      encoderCache = cache(slotCount, limits.capacity(), hidden);
      for (int layer = 0; layer < config.decoderLayers(); layer++) {
        selfCaches.add(cache(slotCount, limits.capacity(), hidden));
        crossCaches.add(cache(slotCount, limits.capacity(), hidden));
      }
    }

    private ContextExchange.Cache cache(int slotCount, int capacity, int hidden) {
      DType type = rank.device().activationType();
      return new ContextExchange.Cache(
          rank.device().allocate("key cache", type, slotCount, capacity, hidden),
          rank.device().allocate("value cache", type, slotCount, capacity, hidden));
    }

    /** The rank's rows as cross attention sees them: each attends to all of its source. */
    Batch crossBatch(Step step, int[] sourceLength) {
      if (crossMoves != rank.moves()) {
        crossMoves = rank.moves();
        int[] lengths = new int[rank.rows()];
        int longest = 0;
        for (int row = 0; row < lengths.length; row++) {
          lengths[row] = sourceLength[step.sequence(rank.tokens()[row])];
          longest = Math.max(longest, lengths[row]);
        }

        Tensor visible = rank.view(sources);
        rank.device().write(visible, lengths);
        Batch own = rank.batch();
        crossBatch =
            new Batch(
                own.rows(),
                own.runs(),
                own.longestRun(),
                longest,
                own.slots(),
                own.positions(),
                visible,
                own.runStarts());
      }

      return crossBatch;
    }
  }

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
          new Lane(rank, weights.get(r), config, Slots.count(plan, limits.sequences()), limits));
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
        plan, layers, firstLayer, true, ranks(), config.hidden(), inner, limits.rows(), moved);
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
      for (Lane lane : lanes) {
        keysAndValues(
            lane, lane.weights.encoder().layers().get(layer), encoderContext, layer, step);
      }

      encoderContext.layerDone(step);
      for (Lane lane : lanes) {
        NllbMoeWeights.Layer weights = lane.weights.encoder().layers().get(layer);
        attend(lane, weights.self(), lane.encoderCache, lane.rank.batch(), config.encoderHeads());
      }

      moe += feedForward(layer, moe, true, step, routes);
    }

    encoderContext.stepDone();
    observer.routed(routes);
    for (Lane lane : lanes) {
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
      for (Lane lane : lanes) {
        keysAndValues(
            lane, lane.weights.decoder().layers().get(layer), decoderContext, layer, step);
      }

      decoderContext.layerDone(step);
      for (Lane lane : lanes) {
        NllbMoeWeights.Layer weights = lane.weights.decoder().layers().get(layer);
        attend(
            lane,
            weights.self(),
            lane.selfCaches.get(layer),
            lane.rank.batch(),
            config.decoderHeads());
        cross(lane, weights.cross().get(0), layer, step);
      }

      moe += feedForward(layer, moe, false, step, routes);
    }

    decoderContext.stepDone();
    observer.routed(routes);
    List<Logits> logits = new ArrayList<>();
    for (Lane lane : lanes) {
      lane.head.logits(
          step, lane.weights.decoder().norm()::apply, lane.weights.embedding(), logits);
    }

    return logits;
  }

  /** Tokens begin at home: scaled embedding plus position. */
  private void embed(Step step) {
    float scale = config.scaleEmbedding() ? (float) Math.sqrt(config.hidden()) : 1;
    for (Lane lane : lanes) {
      Rank rank = lane.rank;
      rank.hold(step, Homes.tokens(plan, step, rank.number()), plan);
      rank.writeIds(step);
      rank.device().embed(rank.ids(), lane.weights.embedding(), scale, rank.hidden());
      rank.device().addRows(lane.weights.positions(), rank.batch().positions(), rank.hidden());
    }
  }

  /** Norm, queries, keys and values; keys and values go to the caches. */
  private void keysAndValues(
      Lane lane, NllbMoeWeights.Layer layer, ContextExchange context, int number, Step step) {
    if (lane.rank.rows() == 0) {
      return;
    }

    Device device = lane.rank.device();
    NllbMoeWeights.Attention weights = layer.self();
    Tensor normed = lane.rank.view(lane.normed);
    Tensor k = lane.rank.view(lane.k);
    Tensor v = lane.rank.view(lane.v);
    device.mark("attention");
    weights.norm().apply(device, lane.rank.hidden(), normed);
    project(device, normed, weights.query(), lane.rank.view(lane.q));
    project(device, normed, weights.key(), k);
    project(device, normed, weights.value(), v);
    context.append(step, number, lane.rank, k, v);
    device.mark("");
  }

  /** Attention of the queries over a cache, its projection and the residual. */
  private void attend(
      Lane lane,
      NllbMoeWeights.Attention weights,
      ContextExchange.Cache cache,
      Batch batch,
      int heads) {
    if (lane.rank.rows() == 0) {
      return;
    }

    Device device = lane.rank.device();
    int headSize = config.hidden() / heads;
    float scale = (float) (1 / Math.sqrt(headSize));
    Tensor attended = lane.rank.view(lane.attended);
    device.mark("attention");
    device.attention(
        lane.rank.view(lane.q), cache.keys(), cache.values(), batch, headSize, scale, attended);
    device.linearAdd(
        attended, weights.output().weight(), weights.output().bias(), lane.rank.hidden());
    device.mark("");
  }

  /** Attention to the encoder's output. */
  private void cross(Lane lane, NllbMoeWeights.Attention weights, int layer, Step step) {
    if (lane.rank.rows() == 0) {
      return;
    }

    Device device = lane.rank.device();
    Tensor normed = lane.rank.view(lane.normed);
    device.mark("cross attention");
    weights.norm().apply(device, lane.rank.hidden(), normed);
    project(device, normed, weights.query(), lane.rank.view(lane.q));
    device.mark("");
    attend(
        lane,
        weights,
        lane.crossCaches.get(layer),
        lane.crossBatch(step, sourceLength),
        config.decoderHeads());
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

    for (Lane lane : lanes) {
      dense(lane, stacks.get(lane.rank.number()).layers().get(layer));
    }

    return 0;
  }

  private static void dense(Lane lane, NllbMoeWeights.Layer weights) {
    Rank rank = lane.rank;
    if (rank.rows() == 0) {
      return;
    }

    Device device = rank.device();
    NllbMoeWeights.Projection up = weights.up().get(0);
    NllbMoeWeights.Projection down = weights.down().get(0);
    Tensor normed = rank.view(lane.normed);
    Tensor inner =
        device.reshape(
            device.rows(
                device.reshape(lane.inner.whole(), lane.inner.whole().elements()),
                0,
                rank.rows() * up.bias().elements()),
            rank.rows(),
            up.bias().elements());
    device.mark("dense block");
    weights.norm().apply(device, rank.hidden(), normed);
    project(device, normed, up, inner);
    device.relu(inner);
    device.linearAdd(inner, down.weight(), down.bias(), rank.hidden());
    device.mark("");
  }

  /** The encoder's output of a rank's tokens becomes keys and values of the decoder's layers. */
  private void share(Lane lane, Step step) {
    Rank rank = lane.rank;
    Tensor encoded = rank.view(lane.encoded);
    lane.weights.encoder().norm().apply(rank.device(), rank.hidden(), encoded);
    crossKeys(lane, encoded, rank.batch().slots(), rank.batch().positions());
    if (plan.mode() == ParallelMode.COHERENT) {
      for (Lane other : lanes) {
        if (other != lane) {
          Device device = other.rank.device();
          Tensor received = other.encoded.rows(rank.rows());
          Tensor slots = other.slots.rows(rank.rows());
          Tensor positions = other.positions.rows(rank.rows());
          device.receive(rank.device(), encoded, received);
          device.receive(rank.device(), rank.batch().slots(), slots);
          device.receive(rank.device(), rank.batch().positions(), positions);
          crossKeys(other, received, slots, positions);
          contextMoved.add(
              contextMoved.layers() - 1, rank.number(), other.rank.number(), rank.rows());
        }
      }
    }
  }

  private static void crossKeys(Lane lane, Tensor encoded, Tensor slots, Tensor positions) {
    Device device = lane.rank.device();
    int rows = (int) encoded.size(0);
    for (int layer = 0; layer < lane.crossCaches.size(); layer++) {
      NllbMoeWeights.Attention weights = lane.weights.decoder().layers().get(layer).cross().get(0);
      ContextExchange.Cache cache = lane.crossCaches.get(layer);
      project(device, encoded, weights.key(), lane.k.rows(rows));
      project(device, encoded, weights.value(), lane.v.rows(rows));
      device.append(lane.k.rows(rows), slots, positions, cache.keys());
      device.append(lane.v.rows(rows), slots, positions, cache.values());
    }
  }

  private static void project(
      Device device, Tensor x, NllbMoeWeights.Projection projection, Tensor out) {
    device.linear(x, projection.weight(), projection.bias(), out);
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
  public long vectorBytes() {
    return (long) config.hidden() * devices().get(0).activationType().bytes();
  }

  @Override
  public long contextVectorBytes() {
    return vectorBytes();
  }
}
