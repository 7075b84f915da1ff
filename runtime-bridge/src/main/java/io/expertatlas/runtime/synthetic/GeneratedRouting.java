package io.expertatlas.runtime.synthetic;

import io.expertatlas.runtime.pipeline.RoutingSource;
import io.expertatlas.runtime.pipeline.StepRouting;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/**
 * Routing drawn at random: the tokens of a layer and micro-batch follow a {@link SkewedGate} whose
 * ranks are dealt to the experts by a permutation of the layer. Endless; the same seed gives the
 * same steps.
 */
public final class GeneratedRouting implements RoutingSource {
  private final SkewedGate gate;
  private final Settings settings;
  private final RandomGenerator random;
  private final RandomGenerator foretelling; // its own: the routing is the same for all fidelities
  private final int[][] expertOf; // [layer][rank]

  /**
   * What is drawn.
   *
   * @param layers of the model
   * @param chunks micro-batches of a step
   * @param choices tokens of a micro-batch, times top-k
   * @param persistence chance that a layer keeps its permutation from one micro-batch to the next;
   *     0: drawn anew each time, as APTMoE's artifact does; 1: always the same
   * @param fidelity share of the choices that the predictor puts where they go, the others follow a
   *     gate of another permutation; NaN: no predictor
   * @param seed of everything
   */
  public record Settings(
      int layers, int chunks, int choices, double persistence, double fidelity, long seed) {
    /**
     * Checks the ranges.
     *
     * @throws IllegalArgumentException if a number is not positive, or a chance not in [0, 1]
     */
    public Settings {
      if (layers < 1 || chunks < 1 || choices < 1) {
        throw new IllegalArgumentException(
            "Invalid routing: %d layers, %d micro-batches of %d choices, at least 1 each"
                .formatted(layers, chunks, choices));
      }

      if (!(persistence >= 0 && persistence <= 1)) {
        throw new IllegalArgumentException(
            "Invalid persistence: %s, from 0 to 1".formatted(persistence));
      }

      if (fidelity < 0 || fidelity > 1) {
        throw new IllegalArgumentException(
            "Invalid fidelity of the predictor: %s, from 0 to 1".formatted(fidelity));
      }
    }
  }

  /** Starts before the first step. */
  public GeneratedRouting(SkewedGate gate, Settings settings) {
    this.gate = gate;
    this.settings = settings;
    this.random = new SplittableRandom(settings.seed());
    this.foretelling = new SplittableRandom(~settings.seed());
    this.expertOf = new int[settings.layers()][];
    for (int layer = 0; layer < expertOf.length; layer++) {
      expertOf[layer] = permutation(random);
    }
  }

  private int[] permutation(RandomGenerator random) {
    int[] order = new int[gate.experts()];
    for (int i = 0; i < order.length; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }

    return order;
  }

  @Override
  public Optional<StepRouting> next() {
    boolean foretold = !Double.isNaN(settings.fidelity());
    int[][][] counts = new int[settings.layers()][settings.chunks()][];
    int[][][] predicted = new int[foretold ? settings.layers() : 0][settings.chunks()][];
    for (int chunk = 0; chunk < settings.chunks(); chunk++) {
      for (int layer = 0; layer < settings.layers(); layer++) {
        if (random.nextDouble() >= settings.persistence()) {
          expertOf[layer] = permutation(random);
        }

        counts[layer][chunk] = dealt(drawn(settings.choices(), random), expertOf[layer]);
        if (foretold) {
          predicted[layer][chunk] = predict(counts[layer][chunk]);
        }
      }
    }

    return Optional.of(new StepRouting(counts, predicted));
  }

  private int[] dealt(int[] byRank, int[] experts) {
    int[] counts = new int[byRank.length];
    for (int rank = 0; rank < byRank.length; rank++) {
      counts[experts[rank]] = byRank[rank];
    }

    return counts;
  }

  /** Keeps a share of each expert's real choices and draws the others anew. */
  private int[] predict(int[] counts) {
    int keep = (int) Math.rint(settings.fidelity() * settings.choices());
    int[] predicted = new int[counts.length];
    int left = settings.choices();
    int missing = keep;
    for (int expert = 0; expert < counts.length; expert++) {
      // rounds so that all add up to what is kept
      predicted[expert] = left == 0 ? 0 : (int) ((long) missing * counts[expert] / left);
      missing -= predicted[expert];
      left -= counts[expert];
    }

    int[] others = dealt(drawn(settings.choices() - keep, foretelling), permutation(foretelling));
    for (int expert = 0; expert < counts.length; expert++) {
      predicted[expert] += others[expert];
    }

    return predicted;
  }

  /** Choices of each rank: one binomial after the other. */
  private int[] drawn(int choices, RandomGenerator random) {
    int[] counts = new int[gate.experts()];
    int left = choices;
    double rest = 1;
    for (int rank = 0; rank < counts.length - 1 && left > 0; rank++) {
      double chance = rest <= 0 ? 1 : Math.min(1, gate.share(rank) / rest);
      counts[rank] = binomial(left, chance, random);
      left -= counts[rank];
      rest -= gate.share(rank);
    }

    counts[counts.length - 1] += left;
    return counts;
  }

  /**
   * Successes of n trials: by inversion where few are expected, else by the normal distribution,
   * rounded.
   */
  static int binomial(int trials, double chance, RandomGenerator random) {
    if (chance > 0.5) {
      return trials - binomial(trials, 1 - chance, random);
    }

    double mean = trials * chance;
    if (mean > 30) {
      double drawn = Math.rint(mean + Math.sqrt(mean * (1 - chance)) * random.nextGaussian());
      return (int) Math.max(0, Math.min(trials, drawn));
    }

    double odds = chance / (1 - chance);
    double term = Math.exp(trials * Math.log1p(-chance));
    double draw = random.nextDouble();
    int successes = 0;
    while (draw > term && successes < trials) {
      draw -= term;
      term *= odds * (trials - successes) / (successes + 1);
      successes++;
    }

    return successes;
  }
}
