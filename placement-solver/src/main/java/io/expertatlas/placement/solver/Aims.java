package io.expertatlas.placement.solver;

import io.expertatlas.placement.Objective;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.Collectors;

/**
 * What is wanted of a placement: objectives in order, each kept near its value while the next is
 * minimised, and caps that are given as ratios and means.
 *
 * @param objectives the first is minimised first; at least one
 * @param slack by what share an objective may rise above its value for those after it
 * @param caps hard limits
 */
public record Aims(List<Objective> objectives, double slack, Limits caps) {
  /**
   * Hard limits; none if empty.
   *
   * @param load hottest GPU of each layer, over the best that is achievable there; at least 1
   * @param loadOverMean hottest GPU of each layer, over the mean of the GPUs; at least 1
   * @param hops of a token through all layers, on average
   * @param fanout of a token in a layer, on average: GPUs, plus nodes if there are several
   */
  public record Limits(
      OptionalDouble load,
      OptionalDouble loadOverMean,
      OptionalDouble hops,
      OptionalDouble fanout) {
    /** No limit. */
    public static final Limits NONE =
        new Limits(
            OptionalDouble.empty(),
            OptionalDouble.empty(),
            OptionalDouble.empty(),
            OptionalDouble.empty());

    /**
     * Checks the values.
     *
     * @throws IllegalArgumentException if one is not a number or below its bound
     */
    public Limits {
      check("load, as a multiple of the best achievable", load, 1);
      check("load over mean", loadOverMean, 1);
      check("hops a token", hops, 0);
      check("fan-out a token and layer", fanout, 0);
    }

    private static void check(String what, OptionalDouble value, double least) {
      if (value.isPresent()
          && !(value.getAsDouble() >= least && value.getAsDouble() < Double.MAX_VALUE)) {
        throw new IllegalArgumentException(
            "Invalid cap on %s: %s, at least %s".formatted(what, value.getAsDouble(), least));
      }
    }

    /** Whether there is none. */
    public boolean isNone() {
      return equals(NONE);
    }
  }

  /**
   * Checks the parts.
   *
   * @throws IllegalArgumentException if there is no objective, one stands twice, or the slack is
   *     negative
   */
  public Aims {
    objectives = List.copyOf(objectives);
    if (objectives.isEmpty() || objectives.stream().distinct().count() < objectives.size()) {
      throw new IllegalArgumentException(
          "Invalid objectives: %s, each once, at least one".formatted(words(objectives)));
    }

    if (!(slack >= 0 && slack < Double.MAX_VALUE)) {
      throw new IllegalArgumentException("Invalid slack: %s, at least 0".formatted(slack));
    }
  }

  /** The objective that is minimised last, which an outcome's numbers are of. */
  public Objective last() {
    return objectives.get(objectives.size() - 1);
  }

  /** Whether it is one objective without caps. */
  public boolean isPlain() {
    return objectives.size() == 1 && caps.isNone();
  }

  private static String words(List<Objective> objectives) {
    return objectives.stream().map(Objective::word).collect(Collectors.joining(", "));
  }
}
