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

  /** Refuses numbers of experts that do not fill equal slots. */
  static void check(String format, int experts, Topology topology) {
    if (experts % topology.gpus() != 0) {
      throw new PlacementFormatException(
          "Cannot export %s: %d experts on %d GPUs leave %d slots empty, which only replicas could"
                  .formatted(
                      format, experts, topology.gpus(), topology.gpus() - experts % topology.gpus())
              + " fill, and replicas are not supported yet");
    }
  }

  /** The expert of each slot of a layer, in a GPU by number. */
  static int[] ofLayer(String format, Placement placement, int layer) {
    int experts = placement.experts();
    int gpus = placement.topology().gpus();
    check(format, experts, placement.topology());
    int perGpu = experts / gpus;
    int[] held = new int[gpus];
    int[] slots = new int[experts];
    for (int expert = 0; expert < experts; expert++) {
      int gpu = placement.gpu(layer, expert);
      if (held[gpu] < perGpu) {
        slots[gpu * perGpu + held[gpu]] = expert;
      }

      held[gpu]++;
    }

    for (int gpu = 0; gpu < gpus; gpu++) {
      if (held[gpu] != perGpu) {
        throw new PlacementFormatException(
            "Cannot export %s: layer %d has %d experts on GPU %d, the engine needs %d on each"
                .formatted(format, layer, held[gpu], gpu, perGpu));
      }
    }

    return slots;
  }

  /** What stands where nothing is placed: every expert in the slot of its number. */
  static int[] filler(int experts) {
    return IntStream.range(0, experts).toArray();
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
   * The GPU of each expert of a layer.
   *
   * @throws PlacementFormatException if an expert has several slots or none
   */
  static int[] gpus(int[] slots, int experts, int gpus, String where) {
    int[] copies = copies(slots, experts);
    for (int expert = 0; expert < experts; expert++) {
      if (copies[expert] > 1) {
        throw new PlacementFormatException(
            "Cannot use %s gives expert %d %d copies, and replicas are not supported yet"
                .formatted(where, expert, copies[expert]));
      }
    }

    checkRow(slots, experts, gpus, where);
    int[] gpu = new int[experts];
    for (int slot = 0; slot < slots.length; slot++) {
      gpu[slots[slot]] = slot / (slots.length / gpus);
    }

    return gpu;
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
