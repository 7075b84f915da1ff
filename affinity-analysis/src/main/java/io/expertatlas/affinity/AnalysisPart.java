package io.expertatlas.affinity;

import java.util.List;
import java.util.Objects;

/**
 * What was counted of a trace or of one group of its tokens.
 *
 * @param name of the group; "all" for the whole
 * @param counts the routes
 * @param lags transitions at the lags asked for, ascending
 * @param windows popularity over time; no windows if not asked for
 * @param locality reuse between tokens; no tokens if not asked for
 */
public record AnalysisPart(
    String name,
    RouteCounts counts,
    List<LagTransitions> lags,
    WindowCounts windows,
    Locality locality) {
  /** Copies the list. */
  public AnalysisPart {
    Objects.requireNonNull(name, "name is null");
    Objects.requireNonNull(counts, "counts is null");
    Objects.requireNonNull(windows, "windows is null");
    Objects.requireNonNull(locality, "locality is null");
    lags = List.copyOf(lags);
  }
}
