package io.expertatlas.runtime.pipeline;

import java.util.Arrays;
import java.util.Locale;
import java.util.function.IntToDoubleFunction;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;

/** Which experts are worth a copy to the GPU. */
public enum AffinityPolicy {
  /** The largest k with R(k) at most 1 (APTMoE, equation 1): the CPU is busy while loads run. */
  EQUATION_1,
  /** The k whose slower side takes least; ties: smaller k. */
  MIN_MAX,
  /**
   * The k for which a layer takes least when a micro-batch waits for both its sides before the next
   * one begins, loads going on beside; ties: smaller k. {@code EQUATION_1} and {@code MIN_MAX} let
   * the CPU work all the time that loads take, though in each micro-batch it can only hide behind
   * the experts of the GPU.
   */
  CRITICAL_PATH,
  /**
   * As the artifact: the k-th coldest stays on the CPU while C(k) / (base + k loadExpert) is below
   * 1, until the first that is not.
   */
  ARTIFACT,
  /** Half of the experts, drawn at random, whatever their popularity: the artifact as shipped. */
  RANDOM_HALF;

  /** The name in options and files. */
  public String word() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The policy of a word.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static AffinityPolicy ofWord(String word) {
    return Arrays.stream(values())
        .filter(policy -> policy.word().equals(word))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "Invalid policy: %s, one of %s"
                        .formatted(
                            word,
                            Arrays.stream(values())
                                .map(AffinityPolicy::word)
                                .collect(Collectors.joining(", ")))));
  }

  /**
   * Splits a layer.
   *
   * @param random for {@link #RANDOM_HALF} only
   */
  public LayerSplit split(LayerDemand demand, RandomGenerator random) {
    return switch (this) {
      case EQUATION_1 -> new LayerSplit(demand.order(), equation1(demand));
      case MIN_MAX -> new LayerSplit(demand.order(), least(demand, demand::spanNanos));
      case CRITICAL_PATH -> new LayerSplit(demand.order(), least(demand, demand::pathNanos));
      case ARTIFACT -> new LayerSplit(demand.order(), artifact(demand));
      case RANDOM_HALF ->
          new LayerSplit(
              shuffled(demand.experts(), random), demand.experts() - demand.experts() / 2);
    };
  }

  private static int equation1(LayerDemand demand) {
    int k = 0;
    while (k < demand.experts() && demand.cpuNanos(k + 1) <= demand.loadNanos(k + 1)) {
      k++; // C rises and L falls: the first failure is the last
    }

    return k;
  }

  private static int least(LayerDemand demand, IntToDoubleFunction nanos) {
    int best = 0;
    for (int k = 1; k <= demand.experts(); k++) {
      if (nanos.applyAsDouble(k) < nanos.applyAsDouble(best)) {
        best = k;
      }
    }

    return best;
  }

  private static int artifact(LayerDemand demand) {
    int k = 0;
    while (k < demand.experts() && demand.artifactRatio(k + 1) < 1) {
      k++;
    }

    return k;
  }

  private static int[] shuffled(int experts, RandomGenerator random) {
    int[] order = new int[experts];
    for (int i = 0; i < experts; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }

    return order;
  }
}
