package io.expertatlas.affinity;

import java.util.Arrays;
import java.util.List;

/**
 * How evenly the tokens of one layer are spread over its experts. All figures are of the choices at
 * any rank; without tokens they are 0.
 *
 * @param layer MoE layer
 * @param shares {@code [expert]} {@code p(e) = choices(e) / (tokens * k)}; they sum to 1
 * @param gini Gini coefficient {@code sum_i (2i - E - 1) p_(i) / E} of the ascending shares {@code
 *     p_(1..E)}: 0 even, {@code 1 - 1/E} all on one expert
 * @param maxOverMean {@code E * max p}: load of the busiest expert over the mean load
 * @param entropyBits {@code -sum p log2 p}, at most {@code log2 E}
 */
public record LayerMetrics(
    int layer, List<Double> shares, double gini, double maxOverMean, double entropyBits) {
  /** Copies the list. */
  public LayerMetrics {
    shares = List.copyOf(shares);
  }

  /**
   * Coefficient of variation of the shares, standard deviation over mean: {@code sqrt(E * sum (p -
   * 1/E)^2)}; 0 even, {@code sqrt(E - 1)} all on one expert.
   */
  public double coefficientOfVariation() {
    double squares = 0;
    for (double share : shares) {
      squares += share == 0 ? 0 : share * share;
    }

    return squares == 0 ? 0 : Math.sqrt(Math.max(0, shares.size() * squares - 1));
  }

  /** The metrics of a layer. */
  public static LayerMetrics of(Popularity popularity, int layer) {
    int experts = popularity.shape().experts();
    long total = 0;
    for (int expert = 0; expert < experts; expert++) {
      total += popularity.choices(layer, expert);
    }

    Double[] shares = new Double[experts];
    double entropy = 0;
    for (int expert = 0; expert < experts; expert++) {
      double share = total == 0 ? 0 : popularity.choices(layer, expert) / (double) total;
      shares[expert] = share;
      entropy -= share == 0 ? 0 : share * Bits.log2(share);
    }

    Double[] ascending = shares.clone();
    Arrays.sort(ascending);
    double gini = 0;
    for (int i = 1; i <= experts; i++) {
      gini += (2.0 * i - experts - 1) * ascending[i - 1] / experts;
    }

    return new LayerMetrics(
        layer,
        List.of(shares),
        Math.max(0, gini),
        experts * ascending[experts - 1],
        Math.max(0, entropy));
  }
}
