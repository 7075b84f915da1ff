package io.expertatlas.placement.format;

import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import java.nio.file.Path;
import java.util.stream.IntStream;

/**
 * The engines' view of a layer: a row of slots, GPU {@code g} with the slots {@code g * S/G} on, an
 * expert in each. All GPUs have equally many.
 */
final class Slots {
  private Slots() {}

  /** Refuses numbers of slots that do not fill the GPUs equally. */
  static void check(String format, int slots, Topology topology) {
    int missing = (topology.gpus() - slots % topology.gpus()) % topology.gpus();
    if (missing != 0) {
      throw new PlacementFormatException(
          "Cannot export %s: %d slots of a layer on %d GPUs, the engine needs equally many on each. Maybe add %d for copies of experts"
              .formatted(format, slots, topology.gpus(), missing));
    }
  }

  /** The expert of each slot of a layer, in a GPU by number. */
  static int[] ofLayer(String format, Placement placement, int layer) {
    int slots = placement.slots(layer);
    int gpus = placement.topology().gpus();
    if (slots != placement.slots(0)) {
      throw new PlacementFormatException(
          "Cannot export %s: layer %d has %d slots, layer 0 has %d, the engine needs equally many"
              .formatted(format, layer, slots, placement.slots(0)));
    }

    check(format, slots, placement.topology());
    int perGpu = slots / gpus;
    int[] held = placement.held(layer);
    for (int gpu = 0; gpu < gpus; gpu++) {
      if (held[gpu] != perGpu) {
        throw new PlacementFormatException(
            "Cannot export %s: layer %d has %d experts on GPU %d, the engine needs %d on each"
                .formatted(format, layer, held[gpu], gpu, perGpu));
      }
    }

    int[] filled = new int[gpus];
    int[] row = new int[slots];
    for (int expert = 0; expert < placement.experts(); expert++) {
      for (int copy = 0; copy < placement.copies(layer, expert); copy++) {
        int gpu = placement.gpu(layer, expert, copy);
        row[gpu * perGpu + filled[gpu]++] = expert;
      }
    }

    return row;
  }

  /** What stands where nothing is placed: the experts by number, over and over. */
  static int[] filler(Placement placement) {
    return IntStream.range(0, placement.slots(0)).map(slot -> slot % placement.experts()).toArray();
  }

  /**
   * Refuses a row that does not fill the GPUs or misses an expert.
   *
   * @param where the row stands: {@code file: path} or {@code file:line}
   */
  static void checkRow(int[] slots, int experts, int gpus, String where) {
    if (slots.length < experts || slots.length % gpus != 0) {
      throw new PlacementFormatException(
          "Cannot read %s has %d slots, expected at least %d, one for each expert, and a multiple of %d GPUs"
              .formatted(where, slots.length, experts, gpus));
    }

    int[] copies = copies(slots, experts);
    for (int expert = 0; expert < experts; expert++) {
      if (copies[expert] == 0) {
        throw new PlacementFormatException(
            "Cannot read %s has no slot with expert %d".formatted(where, expert));
      }
    }
  }

  /**
   * The GPUs of each expert of a layer, {@code [expert][copy]}.
   *
   * @throws PlacementFormatException if the row does not fill the GPUs or misses an expert
   */
  static int[][] gpus(int[] slots, int experts, int gpus, String where) {
    checkRow(slots, experts, gpus, where);
    int[] copies = copies(slots, experts);
    int[][] gpusOf = new int[experts][];
    for (int expert = 0; expert < experts; expert++) {
      gpusOf[expert] = new int[copies[expert]];
    }

    for (int slot = slots.length - 1; slot >= 0; slot--) {
      gpusOf[slots[slot]][--copies[slots[slot]]] = slot / (slots.length / gpus);
    }

    return gpusOf;
  }

  /** The placement of all layers' GPUs, {@code [layer][expert][copy]}. */
  static Placement placement(Path file, Topology topology, int[][][] gpusOf) {
    try {
      return Placement.ofCopies(topology, gpusOf);
    } catch (IllegalArgumentException e) {
      throw new PlacementFormatException("Cannot use %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  private static int[] copies(int[] slots, int experts) {
    int[] copies = new int[experts];
    for (int expert : slots) {
      copies[expert]++;
    }

    return copies;
  }

  static String where(Path file, String path) {
    return file + ": " + path;
  }
}
