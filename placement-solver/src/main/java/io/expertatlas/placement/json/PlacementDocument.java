package io.expertatlas.placement.json;

import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.trace.ModelShape;
import java.util.List;
import java.util.Objects;

/**
 * What {@code placement.json} holds.
 *
 * @param shape the model's shape
 * @param objective what the placement was chosen for
 * @param outcome the placement, and how it was found
 * @param inSample what the tokens pay that it was fitted on
 * @param source what it was fitted on
 */
public record PlacementDocument(
    ModelShape shape,
    Objective objective,
    SolverOutcome outcome,
    InSample inSample,
    Source source) {
  /**
   * Checks that there is a placement and that it is of the shape.
   *
   * @throws IllegalArgumentException if not
   */
  public PlacementDocument {
    Objects.requireNonNull(objective, "objective is null");
    Objects.requireNonNull(inSample, "inSample is null");
    Objects.requireNonNull(source, "source is null");
    if (outcome.placement().isEmpty()
        || outcome.placement().get().layers() != shape.layers()
        || outcome.placement().get().experts() != shape.experts()) {
      throw new IllegalArgumentException("Invalid placement document: no placement of " + shape);
    }
  }

  /** The placement. */
  public Placement placement() {
    return outcome.placement().orElseThrow();
  }

  /**
   * Costs on the tokens that the placement was fitted on: totals, and the loads' ratios.
   *
   * @param tokens number of tokens
   * @param hops see {@link PlacementCost#hops()}
   * @param crossings see {@link PlacementCost#crossings()}
   * @param interNode see {@link PlacementCost#interNode()}
   * @param gpuTouches see {@link PlacementCost#gpuTouches()}
   * @param nodeTouches see {@link PlacementCost#nodeTouches()}
   * @param loadMeanMaxOverMean see {@link PlacementCost#loadMeanMaxOverMean()}
   * @param loadWorstMaxOverMean see {@link PlacementCost#loadWorstMaxOverMean()}
   * @param estimated see {@link PlacementCost#estimated()}
   */
  public record InSample(
      long tokens,
      long hops,
      long crossings,
      long interNode,
      long gpuTouches,
      long nodeTouches,
      double loadMeanMaxOverMean,
      double loadWorstMaxOverMean,
      boolean estimated) {
    /** The totals of a cost. */
    public static InSample of(PlacementCost cost) {
      return new InSample(
          cost.tokens(),
          cost.hops(),
          cost.crossings(),
          cost.interNode(),
          cost.gpuTouches(),
          cost.nodeTouches(),
          cost.loadMeanMaxOverMean(),
          cost.loadWorstMaxOverMean(),
          cost.estimated());
    }
  }

  /**
   * What a placement was fitted on.
   *
   * @param affinity the affinity folders, the last one decisive
   * @param trace the trace that was counted there; empty if the folder does not say
   * @param tokens the tokens of it, {@code FROM:TO}; empty if the folder does not say
   * @param sequences the sequences of it; empty if the folder does not say
   */
  public record Source(List<String> affinity, String trace, String tokens, String sequences) {
    /** Copies the list. */
    public Source {
      affinity = List.copyOf(affinity);
      Objects.requireNonNull(trace, "trace is null");
      Objects.requireNonNull(tokens, "tokens is null");
      Objects.requireNonNull(sequences, "sequences is null");
    }
  }
}
