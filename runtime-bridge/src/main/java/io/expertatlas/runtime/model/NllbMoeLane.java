package io.expertatlas.runtime.model;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.NllbMoeConfig;
import io.expertatlas.runtime.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * What one rank has: weights, caches, scratch; and the blocks of layers that need no other rank.
 */
final class NllbMoeLane {
  final Rank rank;
  private final int hidden;
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

  NllbMoeLane(
      Rank rank, NllbMoeWeights weights, NllbMoeConfig config, int slotCount, Limits limits) {
    this.rank = rank;
    this.weights = weights;
    int rows = limits.rows();
    hidden = config.hidden();
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
  private Batch crossBatch(Step step, int[] sourceLength) {
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

  /** Norm, queries, keys and values; keys and values go to the caches. */
  void keysAndValues(NllbMoeWeights.Layer layer, ContextExchange context, int number, Step step) {
    if (rank.rows() == 0) {
      return;
    }

    Device device = rank.device();
    NllbMoeWeights.Attention block = layer.self();
    Tensor input = rank.view(normed);
    Tensor keys = rank.view(k);
    Tensor values = rank.view(v);
    device.mark("attention");
    block.norm().apply(device, rank.hidden(), input);
    project(device, input, block.query(), rank.view(q));
    project(device, input, block.key(), keys);
    project(device, input, block.value(), values);
    context.append(step, number, rank, keys, values);
    device.mark("");
  }

  /** Attention of the queries over a cache, its projection and the residual. */
  void attend(NllbMoeWeights.Attention block, ContextExchange.Cache cache, Batch batch, int heads) {
    if (rank.rows() == 0) {
      return;
    }

    Device device = rank.device();
    int headSize = hidden / heads;
    float scale = (float) (1 / Math.sqrt(headSize));
    Tensor result = rank.view(attended);
    device.mark("attention");
    device.attention(rank.view(q), cache.keys(), cache.values(), batch, headSize, scale, result);
    device.linearAdd(result, block.output().weight(), block.output().bias(), rank.hidden());
    device.mark("");
  }

  /** Attention to the encoder's output. */
  void cross(NllbMoeWeights.Attention block, int layer, Step step, int[] sourceLength, int heads) {
    if (rank.rows() == 0) {
      return;
    }

    Device device = rank.device();
    Tensor input = rank.view(normed);
    device.mark("cross attention");
    block.norm().apply(device, rank.hidden(), input);
    project(device, input, block.query(), rank.view(q));
    device.mark("");
    attend(block, crossCaches.get(layer), crossBatch(step, sourceLength), heads);
  }

  /** The dense block. */
  void dense(NllbMoeWeights.Layer layer) {
    if (rank.rows() == 0) {
      return;
    }

    Device device = rank.device();
    NllbMoeWeights.Projection up = layer.up().get(0);
    NllbMoeWeights.Projection down = layer.down().get(0);
    Tensor input = rank.view(normed);
    Tensor wide =
        device.reshape(
            device.rows(
                device.reshape(inner.whole(), inner.whole().elements()),
                0,
                rank.rows() * up.bias().elements()),
            rank.rows(),
            up.bias().elements());
    device.mark("dense block");
    layer.norm().apply(device, rank.hidden(), input);
    project(device, input, up, wide);
    device.relu(wide);
    device.linearAdd(wide, down.weight(), down.bias(), rank.hidden());
    device.mark("");
  }

  /** Rows of the encoder's output become keys and values of the decoder's layers. */
  void crossKeys(Tensor output, Tensor outputSlots, Tensor outputPositions) {
    Device device = rank.device();
    int rows = (int) output.size(0);
    for (int layer = 0; layer < crossCaches.size(); layer++) {
      NllbMoeWeights.Attention block = weights.decoder().layers().get(layer).cross().get(0);
      ContextExchange.Cache cache = crossCaches.get(layer);
      project(device, output, block.key(), k.rows(rows));
      project(device, output, block.value(), v.rows(rows));
      device.append(k.rows(rows), outputSlots, outputPositions, cache.keys());
      device.append(v.rows(rows), outputSlots, outputPositions, cache.values());
    }
  }

  private static void project(
      Device device, Tensor x, NllbMoeWeights.Projection projection, Tensor out) {
    device.linear(x, projection.weight(), projection.bias(), out);
  }
}
