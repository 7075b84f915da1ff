package io.expertatlas.runtime.train;

/** What training keeps in the memory of the JVM, known before anything is loaded. */
public final class HostNeed {
  private static final int RESIDENT_BYTES = 2 * Double.BYTES; // a copy and a sum of gradients

  private HostNeed() {}

  /**
   * Checks that the parameters fit; activations and text come on top.
   *
   * @param parameters numbers that are trained
   * @param resident whether copies and sums of gradients of all stay, as without a pipeline
   * @param available bytes that the JVM may use
   * @throws IllegalArgumentException if they do not, with the numbers
   */
  public static void check(long parameters, boolean resident, long available) {
    long each = Parameter.BYTES + (resident ? RESIDENT_BYTES : 0);
    long needed = Math.multiplyExact(parameters, each);
    if (needed > available) {
      throw new IllegalArgumentException(
          ("Not enough host memory: %,d parameters of %d bytes each need %,d bytes, the JVM has"
                  + " %,d. Maybe give it more with ATLAS_JAVA_OPTIONS=-Xmx%dg")
              .formatted(parameters, each, needed, available, needed / 1_000_000_000 * 3 / 2 + 1));
    }
  }
}
