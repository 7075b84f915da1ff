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
 * @param onCpu whether the CPU of the host may compute experts that are on no slot
 */
public record Offload(int slots, Eviction eviction, boolean onCpu) {
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

  /** One whose experts are computed on the device only. */
  public Offload(int slots, Eviction eviction) {
    this(slots, eviction, false);
  }

  /** The same with other slots. */
  public Offload withSlots(int others) {
    return new Offload(others, eviction, onCpu);
  }

  /**
   * What it cost. An expert that a step of a layer needed was a hit, foretold, loaded, or computed
   * on the CPU.
   *
   * @param hits that were on a slot, not because they had just been foretold
   * @param foretold whose copy had begun before the router spoke, because it was foretold
   * @param arrived of these, whose copy had ended by then
   * @param loads whose copy began when the router had spoken
   * @param wasted foretold ones that were given up under way, or left their slot without having
   *     been needed
   * @param bytes copied, for all of these, and for experts that took a slot after the CPU had
   *     computed them
   * @param onCpu computed on the CPU
   */
  public record Use(
      long hits, long foretold, long arrived, long loads, long wasted, long bytes, long onCpu) {
    /** Nothing happened yet. */
    public static final Use NONE = new Use(0, 0, 0, 0, 0, 0, 0);

    /** Both together. */
    public Use plus(Use other) {
      return new Use(
          hits + other.hits,
          foretold + other.foretold,
          arrived + other.arrived,
          loads + other.loads,
          wasted + other.wasted,
          bytes + other.bytes,
          onCpu + other.onCpu);
    }

    /** What came since. */
    public Use minus(Use earlier) {
      return new Use(
          hits - earlier.hits,
          foretold - earlier.foretold,
          arrived - earlier.arrived,
          loads - earlier.loads,
          wasted - earlier.wasted,
          bytes - earlier.bytes,
          onCpu - earlier.onCpu);
    }

    /** Experts that steps of layers needed. */
    public long needed() {
      return hits + foretold + loads + onCpu;
    }

    /** Share of the needed experts that were there anyway; 0 if none was needed. */
    public double hitRate() {
      return share(hits);
    }

    /** Share of the needed experts that were foretold; 0 if none was needed. */
    public double foretoldRate() {
      return share(foretold);
    }

    private double share(long part) {
      return needed() == 0 ? 0 : (double) part / needed();
    }
  }
}
