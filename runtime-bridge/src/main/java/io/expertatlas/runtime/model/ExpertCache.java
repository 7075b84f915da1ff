package io.expertatlas.runtime.model;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Device;
import io.expertatlas.runtime.ExpertWeights;
import io.expertatlas.runtime.Offload;
import io.expertatlas.runtime.Offload.Eviction;
import io.expertatlas.runtime.Tensor;
import io.expertatlas.runtime.model.Loading.Part;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** The experts of a rank in host memory, and the slots on its device that hold those in use. */
final class ExpertCache {
  private static final int NOBODY = -1;

  private final Device device;
  private final Offload offload;
  private final Map<Integer, Layer> layers = new HashMap<>();
  private final List<Held> held = new ArrayList<>(); // by number of the expert on this rank
  private final int[] owner; // [slot]: number of the expert in it, or NOBODY
  private List<Part> parts = List.of(); // of the first layer: their types and shapes hold for all
  private ExpertWeights slots;
  private Tensor local; // I32 [E], of the pass at work
  private long clock;
  private long hits;
  private long loads;
  private long bytes;

  /** An expert. */
  private static final class Held {
    final List<Tensor> onHost;
    int slot = NOBODY;
    long uses;
    long lastUse;

    Held(List<Tensor> onHost) {
      this.onHost = onHost;
    }
  }

  /**
   * The experts of a layer.
   *
   * @param numbers {@code [E]}: number of an expert on this rank, NOBODY if it is elsewhere
   */
  private record Layer(int[] numbers) {}

  ExpertCache(Device device, Offload offload) {
    this.device = device;
    this.offload = offload;
    this.owner = new int[offload.slots()];
    Arrays.fill(owner, NOBODY);
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
      Function<List<Tensor>, ExpertWeights> make,
      Loading loading) {
    if (slots == null) {
      parts = layerParts;
      slots = make.apply(parts.stream().map(part -> loading.stack(part, owner.length)).toList());
      local = device.allocate("slots of experts", DType.I32, all);
    }

    checkSizes(layer, layerParts);
    int[] numbers = new int[all];
    Arrays.fill(numbers, NOBODY);
    for (int expert : here) {
      numbers[expert] = held.size();
      List<Tensor> onHost = new ArrayList<>();
      for (int p = 0; p < layerParts.size(); p++) {
        Part part = layerParts.get(p);
        Tensor loaded = loading.fill(part, expert, slots.stacks().get(p), 0);
        Tensor copy = device.allocateOnHost(part.pattern(), part.type(), part.shape());
        device.store(loaded, copy);
        onHost.add(copy);
      }

      held.add(new Held(onHost));
    }

    layers.put(layer, new Layer(numbers));
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

  /**
   * The experts of a layer that choices need, in sets that fit the slots: first those on slots
   * already, each set ascending.
   *
   * @param choices of experts, or -1
   */
  List<int[]> passes(int layer, int[] choices) {
    int[] numbers = layers.get(layer).numbers();
    int[] needed =
        Arrays.stream(choices)
            .filter(expert -> expert >= 0 && numbers[expert] != NOBODY)
            .distinct()
            .sorted()
            .toArray();
    if (needed.length <= owner.length) {
      return List.of(needed);
    }

    List<Integer> order = new ArrayList<>();
    for (boolean there : new boolean[] {true, false}) {
      for (int expert : needed) {
        if ((held.get(numbers[expert]).slot != NOBODY) == there) {
          order.add(expert);
        }
      }
    }

    List<int[]> passes = new ArrayList<>();
    for (int from = 0; from < needed.length; from += owner.length) {
      int to = Math.min(needed.length, from + owner.length);
      passes.add(order.subList(from, to).stream().mapToInt(e -> e).sorted().toArray());
    }

    return passes;
  }

  /** Brings experts of a layer to slots; operations called from now on find them there. */
  void bring(int layer, int[] experts) {
    int[] numbers = layers.get(layer).numbers();
    boolean[] needed = new boolean[held.size()];
    for (int expert : experts) {
      needed[numbers[expert]] = true;
    }

    int[] place = new int[numbers.length];
    Arrays.fill(place, NOBODY);
    List<Runnable> arrivals = new ArrayList<>();
    for (int expert : experts) {
      Held one = held.get(numbers[expert]);
      if (one.slot == NOBODY) {
        load(numbers[expert], freeSlot(needed), arrivals);
      } else {
        hits++;
      }

      one.uses++;
      one.lastUse = ++clock;
      place[expert] = one.slot;
    }

    device.write(local, place);
    arrivals.forEach(Runnable::run);
  }

  private void load(int number, int slot, List<Runnable> arrivals) {
    Held one = held.get(number);
    for (int p = 0; p < parts.size(); p++) {
      Tensor into =
          device.reshape(device.rows(slots.stacks().get(p), slot, 1), parts.get(p).shape());
      arrivals.add(device.fetch(one.onHost.get(p), into));
      bytes += into.bytes();
    }

    loads++;
    owner[slot] = number;
    one.slot = slot;
  }

  /** An empty slot, or that of the expert that leaves. */
  private int freeSlot(boolean[] needed) {
    int best = NOBODY;
    for (int slot = 0; slot < owner.length; slot++) {
      if (owner[slot] == NOBODY) {
        return slot;
      }

      if (!needed[owner[slot]]
          && (best == NOBODY || leavesBefore(held.get(owner[slot]), held.get(owner[best])))) {
        best = slot;
      }
    }

    held.get(owner[best]).slot = NOBODY;
    return best;
  }

  private boolean leavesBefore(Held one, Held other) {
    if (offload.eviction() == Eviction.LRU) {
      return one.lastUse < other.lastUse;
    }

    return one.uses != other.uses ? one.uses < other.uses : one.lastUse > other.lastUse;
  }

  /** The experts on slots, stacked. */
  ExpertWeights weights() {
    return slots;
  }

  /** I32 [E]: the slot of each expert that was brought last, -1 for others. */
  Tensor local() {
    return local;
  }

  /** What it cost so far. */
  Offload.Use use() {
    return new Offload.Use(hits, loads, bytes);
  }
}
