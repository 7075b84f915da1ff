package io.expertatlas.placement.copies;

/**
 * A proof for one small layer: the deal of slots with the least load of the hottest GPU. Found
 * through {@link java.util.ServiceLoader}, as it needs a library.
 */
public interface ExactPacking {
  /** Whether a layer is small enough to be worth a try. */
  boolean isSmall(int experts, int gpus, int slots);

  /**
   * Looks for a better deal until there is a proof or time is up.
   *
   * @param choices {@code [expert]}
   * @param start {@code [slot]} the best deal known, GPU by GPU
   * @return the best deal, which may be the start, and a bound
   */
  Result solve(long[] choices, int gpus, int[] start, double seconds, long seed);

  /**
   * What a solve found.
   *
   * @param expertOf {@code [slot]}
   * @param bound no deal has a hottest GPU with fewer choices, rounded up
   */
  record Result(int[] expertOf, long bound) {}
}
