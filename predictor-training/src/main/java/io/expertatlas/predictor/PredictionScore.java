package io.expertatlas.predictor;

import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Counts how well one predictor does at one head-out, token by token. Experts are ranked by score,
 * ties by lower id. Mutable, not safe for several threads.
 */
public final class PredictionScore {
  private final ModelShape shape;
  private final int headOut;
  private final int targets;
  private final int[] caches;
  private final int width; // statistics of a sequence and target: tokens, matches 0..k, hits
  private final Map<Integer, long[]> sequences = new TreeMap<>(); // [target][statistic]
  private final IterationScore iterations;
  private double leadLayers;

  /** Nothing scored yet. */
  public PredictionScore(ModelShape shape, int headOut) {
    this.shape = shape;
    this.headOut = headOut;
    this.targets = shape.layers() - headOut;
    this.caches = cacheSizes(shape);
    this.width = 1 + shape.topK() + 1 + caches.length;
    this.iterations = new IterationScore(targets, shape.experts());
  }

  /** Cache sizes that are reported: k, 1.5 k, 2 k, 3 k and 4 k, below the number of experts. */
  static int[] cacheSizes(ModelShape shape) {
    int k = shape.topK();
    return IntStream.of(k, (3 * k + 1) / 2, 2 * k, 3 * k, 4 * k)
        .filter(size -> size == k || size < shape.experts())
        .distinct()
        .toArray();
  }

  /**
   * Adds a prediction.
   *
   * @param sequence of the token
   * @param target predicted layer, at least head-out
   * @param scores of the layer's experts, from {@code at} on
   * @param chosen the token's experts in that layer, by rank
   */
  public void add(int sequence, int target, float[] scores, int at, int[] chosen) {
    long[] counts = sequences.computeIfAbsent(sequence, id -> new long[targets * width]);
    int row = (target - headOut) * width;
    int matches = 0;
    for (int expert : chosen) {
      int rank = rank(scores, at, expert);
      matches += rank < shape.topK() ? 1 : 0;
      for (int c = 0; c < caches.length; c++) {
        counts[row + 2 + shape.topK() + c] += rank < caches[c] ? 1 : 0;
      }
    }

    counts[row]++;
    counts[row + 1 + matches]++;
    for (int expert = 0; expert < shape.experts(); expert++) {
      if (rank(scores, at, expert) < shape.topK()) {
        iterations.predicted(target - headOut, expert);
      }
    }

    for (int expert : chosen) {
      iterations.chosen(target - headOut, expert);
    }
  }

  private int rank(float[] scores, int at, int expert) {
    float score = scores[at + expert];
    int rank = 0;
    for (int other = 0; other < shape.experts(); other++) {
      float theirs = scores[at + other];
      rank += theirs > score || (theirs == score && other < expert) ? 1 : 0;
    }

    return rank;
  }

  /**
   * Ends an iteration: the tokens since the last end.
   *
   * @return the tokens that were predicted to visit each expert, {@code [target][expert]}
   */
  public long[] endIteration() {
    return iterations.end();
  }

  /** Sets the mean lead of the predictions; see {@link ExpertPredictor#leadLayers}. */
  public void setLeadLayers(double layers) {
    leadLayers = layers;
  }

  /** The figures. Ends no iteration. */
  public PredictionMetrics metrics(long seed) {
    List<LayerMetrics> layers = new ArrayList<>();
    for (int target = 0; target < targets; target++) {
      layers.add(layer(target, target + 1, target + headOut, seed));
    }

    return new PredictionMetrics(
        headOut,
        leadLayers,
        sequences.size(),
        iterations.iterations(),
        Arrays.stream(caches).boxed().toList(),
        IterationScore.leastCount(shape.experts()),
        layer(0, targets, -1, seed),
        layers);
  }

  private LayerMetrics layer(int from, int to, int name, long seed) {
    int metrics = width - 1;
    double[][] numerators = new double[metrics][sequences.size()];
    double[][] denominators = new double[metrics][sequences.size()];
    long tokens = 0;
    int unit = 0;
    for (long[] counts : sequences.values()) {
      for (int target = from; target < to; target++) {
        tokens += counts[target * width];
        for (int metric = 0; metric < metrics; metric++) {
          numerators[metric][unit] += counts[target * width + 1 + metric];
          denominators[metric][unit] +=
              counts[target * width] * (metric <= shape.topK() ? 1.0 : shape.topK());
        }
      }

      unit++;
    }

    Estimate[] estimates = Estimate.ratios(numerators, denominators, seed);
    return new LayerMetrics(
        name,
        tokens,
        List.of(estimates).subList(0, shape.topK() + 1),
        List.of(estimates).subList(shape.topK() + 1, metrics),
        iterations.totalVariation(from, to, seed),
        iterations.least(from, to),
        iterations.leastWithin(from, to));
  }

  /**
   * By how much this predictor's recall at k exceeds another's on the same sequences.
   *
   * @throws IllegalArgumentException if the sequences differ
   */
  public Estimate recallAbove(PredictionScore other, long seed) {
    if (!sequences.keySet().equals(other.sequences.keySet()) || headOut != other.headOut) {
      throw new IllegalArgumentException("The predictors were scored on other sequences");
    }

    int hits = 2 + shape.topK();
    double[][] numerator = new double[1][sequences.size()];
    double[][] denominator = new double[1][sequences.size()];
    int unit = 0;
    for (Map.Entry<Integer, long[]> entry : sequences.entrySet()) {
      long[] theirs = other.sequences.get(entry.getKey());
      for (int target = 0; target < targets; target++) {
        int row = target * width;
        numerator[0][unit] += entry.getValue()[row + hits] - theirs[row + hits];
        denominator[0][unit] += entry.getValue()[row] * (double) shape.topK();
      }

      unit++;
    }

    return Estimate.ratios(numerator, denominator, seed)[0];
  }
}
