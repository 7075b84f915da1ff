package io.expertatlas.affinity;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * The figures of an analysis: what {@code summary.json} and the page show beside {@link
 * AffinitySummary}.
 *
 * @param analysis the counts
 * @param summary of the whole
 * @param groupSummaries {@code [group]}
 * @param distances of all pairs of groups
 * @param groupings the grouping of experts by which stay shares are reported: none or one
 * @param alpha weight of the newest window in the moving average
 */
public record AnalysisFigures(
    TraceAnalysis analysis,
    AffinitySummary summary,
    List<AffinitySummary> groupSummaries,
    List<GroupDistance> distances,
    List<ExpertGrouping> groupings,
    double alpha) {
  /** Copies the lists. */
  public AnalysisFigures {
    Objects.requireNonNull(analysis, "analysis is null");
    Objects.requireNonNull(summary, "summary is null");
    groupSummaries = List.copyOf(groupSummaries);
    distances = List.copyOf(distances);
    groupings = List.copyOf(groupings);
  }

  /** Computes the figures; seed and names are those of the summary. */
  public static AnalysisFigures of(
      TraceAnalysis analysis,
      AffinitySummary summary,
      List<ExpertGrouping> groupings,
      double alpha) {
    List<AffinitySummary> groups = new ArrayList<>();
    for (AnalysisPart group : analysis.groups()) {
      groups.add(
          AffinitySummary.of(group.counts(), summary.trace(), summary.selection(), summary.seed()));
    }

    return new AnalysisFigures(
        analysis, summary, groups, GroupDistance.of(analysis.groups()), groupings, alpha);
  }
}
