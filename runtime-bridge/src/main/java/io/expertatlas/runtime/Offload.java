package io.expertatlas.runtime;

import java.util.Locale;
import java.util.Objects;

/**
 * Experts in host memory: a rank holds a copy of all its experts there and on its device as many as
 * it has slots, those of all layers together. An expert that a token needs and that is on no slot
 * is loaded before it computes.
 *
 * @param slots experts that the device of a rank holds
 * @param eviction whose slot is taken
 */
public record Offload(int slots, Eviction eviction) {
  /** Most slots of a rank: what the kernels that sort tokens by expert take. */
  public static final int MOST_SLOTS = 512;

  /** Which expert leaves for another. None that the layer at work needs does. */
  public enum Eviction {
    /**
     * The least recently used one. Layers come one after the other, so it hits nothing if a step
     * uses more experts than there are slots.
     */
    LRU,
    /** The one used least often since the run began; of equals the most recently used. */
    POPULARITY;

    /** The word of options and files. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * Checks the number of slots.
   *
   * @throws IllegalArgumentException if it is not 1 to {@link #MOST_SLOTS}
   */
  public Offload {
    Objects.requireNonNull(eviction, "eviction is null");
    if (slots < 1 || slots > MOST_SLOTS) {
      throw new IllegalArgumentException(
          "Invalid number of expert slots: %d, 1 to %d".formatted(slots, MOST_SLOTS));
    }
  }

  /**
   * What it cost.
   *
   * @param hits experts that were on a slot when a step of a layer needed them
   * @param loads experts that had to be loaded first
   * @param bytes loaded
   */
  public record Use(long hits, long loads, long bytes) {
    /** Nothing happened yet. */
    public static final Use NONE = new Use(0, 0, 0);

    /** Both together. */
    public Use plus(Use other) {
      return new Use(hits + other.hits, loads + other.loads, bytes + other.bytes);
    }

    /** What came since. */
    public Use minus(Use earlier) {
      return new Use(hits - earlier.hits, loads - earlier.loads, bytes - earlier.bytes);
    }

    /** Share of the needed experts that were there; 0 if none was needed. */
    public double hitRate() {
      return hits + loads == 0 ? 0 : (double) hits / (hits + loads);
    }
  }
}
