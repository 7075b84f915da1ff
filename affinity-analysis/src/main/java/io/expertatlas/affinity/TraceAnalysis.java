package io.expertatlas.affinity;

import java.util.List;
import java.util.Objects;

/**
 * Everything that one pass over a trace counted.
 *
 * @param plan what was asked for
 * @param whole all tokens
 * @param groups the groups of tokens, in the order of their ids; empty if they were not split
 * @param folds {@code [fold]} the routes of each fold of the sequences, some maybe of no token;
 *     they sum to the whole; empty if none were asked for
 */
public record TraceAnalysis(
    AnalysisPlan plan, AnalysisPart whole, List<AnalysisPart> groups, List<RouteCounts> folds) {
  /** Copies the lists. */
  public TraceAnalysis {
    Objects.requireNonNull(plan, "plan is null");
    Objects.requireNonNull(whole, "whole is null");
    groups = List.copyOf(groups);
    folds = List.copyOf(folds);
  }

  /** The routes of all tokens. */
  public RouteCounts counts() {
    return whole.counts();
  }
}
