package io.expertatlas.runtime.matrix;

import java.util.Arrays;

/**
 * Rotary embedding (arXiv 2104.09864) as Mixtral has it: of each head, place i and place i + D / 2
 * turn by position times base^(-2 i / D). Turning back by the same angles is its backward.
 *
 * @param headSize D
 * @param base of the angles
 */
public record Rotary(int headSize, double base) {
  /** {@code [position][D / 2]} cosines of angles. */
  public double[] cosines(int length) {
    double[] out = new double[length * (headSize / 2)];
    Arrays.setAll(out, i -> Math.cos(angle(i)));
    return out;
  }

  /** Sines of the same angles, or of the angles back. */
  public double[] sines(int length, boolean backwards) {
    double[] out = new double[length * (headSize / 2)];
    Arrays.setAll(out, i -> backwards ? -Math.sin(angle(i)) : Math.sin(angle(i)));
    return out;
  }

  private double angle(int place) {
    int half = headSize / 2;
    return place / half * Math.pow(base, -2.0 * (place % half) / headSize);
  }
}
