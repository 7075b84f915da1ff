package io.expertatlas.runtime.model;

import io.expertatlas.placement.ParallelMode;
import io.expertatlas.placement.TrafficMatrix;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExecutionPlan;
import io.expertatlas.runtime.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * Coherent mode's price: every rank holds the keys and values of all tokens. In a prefill they are
 * sent around within the layer, as later tokens of the step attend to them; in decode all layers'
 * are sent in one go after the last layer. In home mode nothing is sent.
 */
final class ContextExchange {
  private final ExecutionPlan plan;
  private final List<Rank> ranks;
  private final List<List<Cache>> caches; // [rank][layer]
  private final int firstLayer;
  private final TrafficMatrix traffic;
  private final List<Buffer> slots = new ArrayList<>(); // [rank], I32 [T]
  private final List<Buffer> positions = new ArrayList<>();
  private final List<Buffer> received = new ArrayList<>(); // [T, W]
  private final List<Pending> pending = new ArrayList<>();
  private final List<List<Buffer>> kept = new ArrayList<>(); // [rank][2 * layer + 0 or 1], [S, W]

  /** Keys and values of a layer on a rank, {@code [slots, capacity, W]}. */
  record Cache(Tensor keys, Tensor values) {}

  /** What one rank has to send to all others for one layer. */
  private record Pending(int layer, int from, int[] slots, int[] positions, Tensor k, Tensor v) {}

  /**
   * Plans the memory.
   *
   * @param firstLayer row of the traffic matrix that counts the first layer
   * @param traffic counts vectors, keys and values singly
   */
  ContextExchange(
      ExecutionPlan plan,
      List<Rank> ranks,
      List<List<Cache>> caches,
      int width,
      Limits limits,
      int firstLayer,
      TrafficMatrix traffic) {
    this.plan = plan;
    this.firstLayer = firstLayer;
    this.ranks = ranks;
    this.caches = caches;
    this.traffic = traffic;
    if (isNeeded()) {
      for (Rank rank : ranks) {
        slots.add(new Buffer(rank.device(), "their slots", DType.I32, limits.rows()));
        positions.add(new Buffer(rank.device(), "their positions", DType.I32, limits.rows()));
        received.add(rank.activations("their keys or values", limits.rows(), width));
        List<Buffer> own = new ArrayList<>();
        for (int i = 0; i < 2 * caches.get(0).size(); i++) {
          own.add(rank.activations("keys or values to send", limits.sequences(), width));
        }

        kept.add(own);
      }
    }
  }

  private boolean isNeeded() {
    return plan.mode() == ParallelMode.COHERENT && plan.ranks() > 1;
  }

  /** Appends a rank's new keys and values, {@code [T, W]}, to its cache and sees to the others'. */
  void append(Step step, int layer, Rank rank, Tensor k, Tensor v) {
    Device device = rank.device();
    Cache cache = caches.get(rank.number()).get(layer);
    device.append(k, rank.batch().slots(), rank.batch().positions(), cache.keys());
    device.append(v, rank.batch().slots(), rank.batch().positions(), cache.values());
    if (isNeeded()) {
      int[] tokens = rank.tokens();
      int[] slot = new int[tokens.length];
      int[] position = new int[tokens.length];
      for (int t = 0; t < tokens.length; t++) {
        slot[t] = Slots.slot(plan, step.sequence(tokens[t]));
        position[t] = step.position(tokens[t]);
      }

      Tensor keptK = k;
      Tensor keptV = v;
      if (step.isDecode()) {
        keptK = kept.get(rank.number()).get(2 * layer).rows(tokens.length);
        keptV = kept.get(rank.number()).get(2 * layer + 1).rows(tokens.length);
        device.receive(device, k, keptK);
        device.receive(device, v, keptV);
      }

      pending.add(new Pending(layer, rank.number(), slot, position, keptK, keptV));
    }
  }

  /** After all ranks appended a layer: sends it if the step's tokens see each other. */
  void layerDone(Step step) {
    if (!step.isDecode()) {
      send();
    }
  }

  /** After the last layer. */
  void stepDone() {
    send();
  }

  private void send() {
    for (Pending one : pending) {
      for (Rank to : ranks) {
        if (to.number() != one.from()) {
          Cache cache = caches.get(to.number()).get(one.layer());
          bring(one, one.k(), to, cache.keys());
          bring(one, one.v(), to, cache.values());
          traffic.add(firstLayer + one.layer(), one.from(), to.number(), 2L * one.slots().length);
        }
      }
    }

    pending.clear();
  }

  private void bring(Pending one, Tensor rows, Rank to, Tensor cache) {
    int count = one.slots().length;
    Device device = to.device();
    Tensor slot = slots.get(to.number()).rows(count);
    Tensor position = positions.get(to.number()).rows(count);
    Tensor in = received.get(to.number()).rows(count);
    device.mark("receive context");
    device.receive(ranks.get(one.from()).device(), rows, in);
    device.write(slot, one.slots());
    device.write(position, one.positions());
    device.append(in, slot, position, cache);
    device.mark("");
  }
}
