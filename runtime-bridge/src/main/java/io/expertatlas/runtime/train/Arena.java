package io.expertatlas.runtime.train;

/**
 * The memory of a device: who wants some waits until it is there, so that the budget is never
 * exceeded. Safe for several threads.
 */
final class Arena {
  private final long budget;
  private long used;
  private long peak;

  Arena(long budget) {
    this.budget = budget;
  }

  /**
   * Takes bytes, waiting for others to give theirs back.
   *
   * @throws IllegalStateException if there are not as many at all
   */
  synchronized void reserve(String what, long bytes) throws InterruptedException {
    if (bytes > budget) {
      throw new IllegalStateException(
          "Cannot reserve %,d bytes for %s: the device has %,d".formatted(bytes, what, budget));
    }

    while (used + bytes > budget) {
      wait();
    }

    used += bytes;
    peak = Math.max(peak, used);
  }

  synchronized void release(long bytes) {
    used -= bytes;
    notifyAll();
  }

  synchronized long used() {
    return used;
  }

  /** The most that was in use. */
  synchronized long peak() {
    return peak;
  }
}
