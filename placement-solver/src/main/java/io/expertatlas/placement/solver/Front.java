package io.expertatlas.placement.solver;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;

/**
 * What one objective costs when another is capped: placements of which none is better in both.
 *
 * @param name of what was placed, for tables and plots
 * @param minimised the objective that each placement minimises
 * @param capped the objective that is capped
 * @param reference what contiguous blocks cost
 * @param points from the tightest cap to none
 */
public record Front(
    String name, Objective minimised, Objective capped, Costs reference, List<Point> points) {
  /** Checks that nothing is null and copies the list. */
  public Front {
    Objects.requireNonNull(name, "name is null");
    Objects.requireNonNull(minimised, "minimised is null");
    Objects.requireNonNull(capped, "capped is null");
    Objects.requireNonNull(reference, "reference is null");
    points = List.copyOf(points);
  }

  /**
   * Means of a placement.
   *
   * @param hops of a token through all layers
   * @param crossings of a token through all layers
   * @param gpus that a token touches in a layer
   * @param nodes that a token touches in a layer, 0 on one node
   * @param load busiest GPU over mean, mean of the layers
   * @param worstLoad the same in the worst layer
   */
  public record Costs(
      double hops, double crossings, double gpus, double nodes, double load, double worstLoad) {
    /** The means of a cost. */
    public static Costs of(PlacementCost cost) {
      return new Costs(
          cost.hopsPerToken(),
          cost.crossingsPerToken(),
          cost.gpusPerToken(),
          cost.topology().nodes() > 1 ? cost.nodesPerToken() : 0,
          cost.loadMeanMaxOverMean(),
          cost.loadWorstMaxOverMean());
    }

    /**
     * The mean that an objective's total stands for.
     *
     * @throws IllegalArgumentException if it is none of these
     */
    public double of(Objective objective) {
      return switch (objective) {
        case HOPS -> hops;
        case CROSSINGS -> crossings;
        case FANOUT -> gpus + nodes;
        case LOAD -> load;
        case COPIES ->
            throw new IllegalArgumentException(
                "Invalid objective of a front: %s, one of hops, crossings, fanout, load"
                    .formatted(objective.word()));
      };
    }
  }

  /**
   * A placement of the front.
   *
   * @param cap times the least value known; {@code Double.POSITIVE_INFINITY} for no cap
   * @param costs its means
   * @param bound no placement within the cap has a lower mean of the objective minimised
   * @param seconds its solve took
   * @param file where it is, beside the front's own
   */
  public record Point(double cap, Costs costs, double bound, double seconds, String file) {
    /** The cap in words. */
    public String capInWords() {
      return Double.isInfinite(cap) ? "none" : Double.toString(cap);
    }
  }

  /** The same under another name. */
  public Front named(String other) {
    return new Front(other, minimised, capped, reference, points);
  }

  /** The same without points that another one beats, or equals with a lower value of the other. */
  public Front withoutBeaten() {
    List<Point> kept =
        points.stream()
            .filter(point -> points.stream().noneMatch(other -> beats(other, point)))
            .sorted(Comparator.comparingDouble(Point::cap))
            .toList();
    return new Front(name, minimised, capped, reference, kept);
  }

  private boolean beats(Point one, Point other) {
    double first = one.costs().of(minimised) - other.costs().of(minimised);
    double second = one.costs().of(capped) - other.costs().of(capped);
    boolean tie = first == 0 && second == 0;
    return tie ? one.cap() < other.cap() : first <= 0 && second <= 0;
  }
}
