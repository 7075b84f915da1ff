package io.expertatlas.runtime.train;

/** What training keeps in the memory of the JVM, known before anything is loaded. */
public final class HostNeed {
  private static final int MOMENTS_BYTES = 2 * Float.BYTES;

  private static final int RESIDENT_BYTES = 2 * Double.BYTES; // a copy and a sum of gradients

  private HostNeed() {}

  /**
   * Checks that parameters of which values and gradients are page-locked fit.
   *
   * @param parameters numbers that are trained
   * @param available bytes of the machine that can be used
   * @param ofJvm bytes that the JVM may use: for the moments
   * @throws IllegalArgumentException if they do not, with the numbers
   */
  public static void checkPinned(long parameters, long available, long ofJvm) {
    long needed = Math.multiplyExact(parameters, Parameter.BYTES);
    if (needed > available) {
      throw new IllegalArgumentException(
          ("Not enough host memory: %,d parameters of %d bytes each need %,d bytes, %,d are"
                  + " available")
              .formatted(parameters, Parameter.BYTES, needed, available));
    }

    check(parameters, MOMENTS_BYTES, ofJvm);
  }

  /**
   * Checks that the parameters fit; activations and text come on top.
   *
   * @param parameters numbers that are trained
   * @param resident whether copies and sums of gradients of all stay, as without a pipeline
   * @param available bytes that the JVM may use
   * @throws IllegalArgumentException if they do not, with the numbers
   */
  public static void check(long parameters, boolean resident, long available) {
    check(parameters, Parameter.BYTES + (resident ? RESIDENT_BYTES : 0), available);
  }

  private static void check(long parameters, long each, long available) {
    long needed = Math.multiplyExact(parameters, each);
    if (needed > available) {
      throw new IllegalArgumentException(
          ("Not enough host memory: %,d parameters of %d bytes each need %,d bytes, the JVM has"
                  + " %,d. Maybe give it more with ATLAS_JAVA_OPTIONS=-Xmx%dg")
              .formatted(parameters, each, needed, available, needed / 1_000_000_000 * 3 / 2 + 1));
    }
  }
}
