package io.expertatlas.predictor;

import java.util.List;

/**
 * How well the experts of a layer were predicted, or of all layers together.
 *
 * @param layer the predicted layer; -1: all of them
 * @param tokens pairs of token and layer
 * @param matches {@code matches.get(i)}: share of the pairs of which exactly i of the k most likely
 *     experts were chosen; the last is the exact-set match
 * @param recall for each cache size of {@link PredictionMetrics#caches}: share of the choices that
 *     are among so many most likely experts
 * @param totalVariation half the sum over experts of the difference between predicted and real
 *     shares of an iteration's choices, mean over iterations (interval over iterations)
 * @param least {@code least[n - 1]}: share of the n least predicted experts of an iteration that
 *     are among its n least chosen
 * @param leastWithin {@code leastWithin[m - 1]}: share of the {@link PredictionMetrics#leastCount}
 *     least predicted experts that are among the m least chosen
 */
@SuppressWarnings("ArrayRecordComponent") // results, made once
public record LayerMetrics(
    int layer,
    long tokens,
    List<Estimate> matches,
    List<Estimate> recall,
    Estimate totalVariation,
    double[] least,
    double[] leastWithin) {
  /** Copies the lists. */
  public LayerMetrics {
    matches = List.copyOf(matches);
    recall = List.copyOf(recall);
  }

  /** Mean number of the k most likely experts that were chosen: APTMoE's expectation. */
  public double expectation() {
    double sum = 0;
    for (int i = 1; i < matches.size(); i++) {
      sum += i * matches.get(i).value();
    }

    return sum;
  }

  /** Experts that a token's k choices miss in a cache of the given place, a token and layer. */
  public double missed(int cacheIndex) {
    return (matches.size() - 1) * (1 - recall.get(cacheIndex).value());
  }

  /** Experts that are fetched into a cache in vain, a token and layer. */
  public double overFetched(int cacheIndex, int cache) {
    return cache - (matches.size() - 1) * recall.get(cacheIndex).value();
  }
}
