package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.HostCopy;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.model.Loading.Part;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;

/** The experts of a rank in host memory, and the slots on its device that hold those in use. */
final class ExpertCache {
  private static final int NOBODY = ExpertSlots.NOBODY;
  private static final int[] NONE = {};
  private static final long PIECE_BYTES = 16 << 20; // 0.3 ms of a link of 55 GB/s
  private static final long PUMP_NANOS = 20_000;

  private final Device device;
  private final Offload offload;
  private final long mostPieceBytes;
  private final Map<Integer, int[]> numbers = new HashMap<>(); // of a layer's experts, or NOBODY
  private final List<List<Tensor>> onHost = new ArrayList<>(); // by number of the expert
  private Optional<HostWeights> hostWeights = Optional.empty(); // the same for the CPU
  private List<Part> parts = List.of(); // of the first layer: their types and shapes hold for all
  private Function<List<Tensor>, ExpertWeights> make;
  private ExpertWeights stacks;
  private Tensor local; // I32 [E], of the pass at work
  private List<Piece> pieces = List.of(); // of an expert, part by part
  private Optional<ExpertSlots> slots = Optional.empty(); // once all layers are here

  ExpertCache(Device device, Offload offload) {
    this(device, offload, PIECE_BYTES);
  }

  /** One that copies ahead in pieces of a size; a row of a matrix is one at least. */
  ExpertCache(Device device, Offload offload, long mostPieceBytes) {
    this.device = device;
    this.offload = offload;
    this.mostPieceBytes = mostPieceBytes;
  }

  /**
   * Takes the experts of a layer to the host.
   *
   * @see Loading#experts
   */
  void hold(
      int layer,
      int[] here,
      int all,
      List<Part> layerParts,
      Function<List<Tensor>, ExpertWeights> ofStacks,
      Loading loading) {
    if (stacks == null) {
      parts = layerParts;
      make = ofStacks;
      stacks =
          make.apply(parts.stream().map(part -> loading.stack(part, offload.slots())).toList());
      local = device.allocate("slots of experts", DType.I32, all);
    }

    checkSizes(layer, layerParts);
    int[] ofLayer = new int[all];
    Arrays.fill(ofLayer, NOBODY);
    for (int expert : here) {
      ofLayer[expert] = onHost.size();
      List<Tensor> copies = new ArrayList<>();
      for (int p = 0; p < layerParts.size(); p++) {
        Part part = layerParts.get(p);
        Tensor loaded = loading.fill(part, expert, stacks.stacks().get(p), 0);
        Tensor copy = device.allocateOnHost(part.pattern(), part.type(), part.shape());
        device.store(loaded, copy);
        copies.add(copy);
      }

      onHost.add(copies);
    }

    numbers.put(layer, ofLayer);
  }

  private void checkSizes(int layer, List<Part> layerParts) {
    for (int p = 0; p < parts.size(); p++) {
      if (!Arrays.equals(parts.get(p).shape(), layerParts.get(p).shape())) {
        throw new IllegalArgumentException(
            "Cannot offload experts of different sizes: %s in MoE layer %d, %s before"
                .formatted(
                    Arrays.toString(layerParts.get(p).shape()),
                    layer,
                    Arrays.toString(parts.get(p).shape())));
      }
    }
  }

  private ExpertSlots slots() {
    if (slots.isEmpty()) {
      pieces = pieces();
      long[] bytes = pieces.stream().mapToLong(Piece::bytes).toArray();
      slots = Optional.of(new ExpertSlots(onHost.size(), bytes, offload, this::begin));
    }

    return slots.get();
  }

  /** Some rows of a part. */
  private record Piece(int part, long first, long rows, long bytes) {}

  private List<Piece> pieces() {
    List<Piece> found = new ArrayList<>();
    for (int p = 0; p < parts.size(); p++) {
      long rows = parts.get(p).shape()[0];
      long bytes = stacks.stacks().get(p).bytes() / offload.slots();
      long count = Math.min(rows, (bytes + mostPieceBytes - 1) / mostPieceBytes);
      for (long i = 0; i < count; i++) {
        long first = rows * i / count;
        long more = rows * (i + 1) / count - first;
        found.add(new Piece(p, first, more, bytes / rows * more));
      }
    }

    return found;
  }

  private HostCopy begin(int number, int slot, int from, int to, boolean isAhead) {
    HostCopy last = HostCopy.DONE;
    int at = from;
    while (at < to) { // pieces of a part together
      Piece first = pieces.get(at);
      long rows = 0;
      for (; at < to && pieces.get(at).part() == first.part(); at++) {
        rows += pieces.get(at).rows();
      }

      last.close(); // copies end in their order: the last one tells for all
      Tensor source = onHost.get(number).get(first.part());
      Tensor into =
          device.reshape(
              device.rows(stacks.stacks().get(first.part()), slot, 1),
              parts.get(first.part()).shape());
      last =
          isAhead
              ? device.fetchAhead(source, into, first.first(), rows)
              : device.fetch(source, into);
    }

    return last;
  }

  /**
   * The experts of a layer that choices need, in sets that fit the slots: first those on slots
   * already, each set ascending.
   *
   * @param choices of experts, or -1
   */
  List<int[]> passes(int layer, int[] choices) {
    return passes(layer, choices, HostShare.NONE);
  }

  /** The same of those that the CPU does not compute. */
  List<int[]> passes(int layer, int[] choices, HostShare share) {
    int[] ofLayer = numbers.get(layer);
    int[] needed =
        Arrays.stream(choices)
            .filter(expert -> expert >= 0 && ofLayer[expert] != NOBODY && !share.has(expert))
            .distinct()
            .sorted()
            .toArray();
    if (needed.length <= offload.slots()) {
      return List.of(needed);
    }

    List<Integer> order = new ArrayList<>();
    for (boolean there : new boolean[] {true, false}) {
      for (int expert : needed) {
        if ((slots().slot(ofLayer[expert]) != NOBODY) == there) {
          order.add(expert);
        }
      }
    }

    List<int[]> passes = new ArrayList<>();
    for (int from = 0; from < needed.length; from += offload.slots()) {
      int to = Math.min(needed.length, from + offload.slots());
      passes.add(order.subList(from, to).stream().mapToInt(e -> e).sorted().toArray());
    }

    return passes;
  }

  /**
   * What the CPU of the host computes in a step of a layer: of the experts that choices need and
   * that are neither on a slot nor on their way there, those of fewest rows, as many as a rule
   * says. While slots are empty, as many come there.
   */
  HostShare share(int layer, int[] choices, CpuRule rule) {
    return HostShare.of(slots(), numbers.get(layer), choices, rule, pieces.size());
  }

  /** An expert's weights as the CPU of the host finds them, stacked, as the only one. */
  ExpertWeights onHost(int layer, int expert, Device host) {
    return onHost(numbers.get(layer)[expert], host);
  }

  /** Experts that are held, of all layers. */
  int held() {
    return onHost.size();
  }

  /**
   * Begins to copy an expert to the first slot, for measurements.
   *
   * @throws IllegalStateException if slots are in use
   */
  HostCopy load(int number) {
    if (slots.filter(used -> used.free() < offload.slots()).isPresent()) {
      throw new IllegalStateException("Cannot measure copies: experts are on slots");
    }

    slots();
    return begin(number, 0, 0, pieces.size(), true /* isAhead */);
  }

  /** The same of the expert with a number. */
  ExpertWeights onHost(int number, Device host) {
    if (hostWeights.filter(held -> held.isOf(host)).isEmpty()) {
      hostWeights = Optional.of(new HostWeights(onHost, make, host));
    }

    return hostWeights.get().expert(number);
  }

  /** Brings experts of a layer to slots; operations called from now on find them there. */
  void bring(int layer, int[] experts) {
    bring(layer, experts, HostShare.NONE, Foretold.NOTHING);
  }

  /**
   * The same, and begins to bring what the next layer may need to slots that are free till then.
   *
   * @param share what the CPU computes: its experts have numbers behind the slots
   */
  void bring(int layer, int[] experts, HostShare share, Foretold foretold) {
    int[] ofLayer = numbers.get(layer);
    int[] next = foretold.experts().length == 0 ? NONE : next(foretold);
    int[] needed = Arrays.stream(experts).map(expert -> ofLayer[expert]).toArray();
    slots().need(needed, next);
    int[] place = new int[ofLayer.length];
    Arrays.fill(place, NOBODY);
    for (int expert : experts) {
      place[expert] = slots().slot(ofLayer[expert]);
    }

    slots().foretell(next);
    if (share.isSome()) {
      int[] computed = share.experts();
      for (int i = 0; i < computed.length; i++) {
        place[computed[i]] = offload.slots() + i;
        computed[i] = ofLayer[computed[i]];
      }

      slots().compute(computed);
      slots().admit(computed, share.sparePieces());
    }

    device.write(local, place); // waits for what was called: that must not be a copy
    slots().join();
  }

  private int[] next(Foretold foretold) {
    int[] ofLayer = numbers.get(foretold.layer());
    return Arrays.stream(foretold.experts())
        .map(expert -> ofLayer[expert])
        .filter(number -> number != NOBODY)
        .toArray();
  }

  /** Waits until the device is idle, and meanwhile begins the foretold copies that wait. */
  void pump() {
    while (slots().isWaiting() && !device.isIdle()) {
      slots().pump();
      LockSupport.parkNanos(PUMP_NANOS);
    }
  }

  /** The experts on slots, stacked. */
  ExpertWeights weights() {
    return stacks;
  }

  /**
   * I32 [E]: the slot of each expert that was brought last, behind the slots those of the CPU, -1
   * for others.
   */
  Tensor local() {
    return local;
  }

  /** What it cost so far. */
  Offload.Use use() {
    return slots.map(ExpertSlots::use).orElse(Offload.Use.NONE);
  }
}
