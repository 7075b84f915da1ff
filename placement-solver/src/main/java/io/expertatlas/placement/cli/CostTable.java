package io.expertatlas.placement.cli;

import io.expertatlas.placement.PlacementCost;
import java.util.List;
import java.util.Locale;

/** Costs of several placements as a table in text. */
final class CostTable {
  /** A row: what the placement is called, and what it costs. */
  record Row(String label, PlacementCost cost) {}

  private CostTable() {}

  /** The table; changes are against the cost of contiguous blocks. A ~ marks an estimate. */
  static String of(List<Row> rows, PlacementCost vanilla) {
    int width = 9;
    for (Row row : rows) {
      width = Math.max(width, row.label().length());
    }

    String form = "%-" + width + "s";
    StringBuilder text =
        new StringBuilder(
            (form + "  %9s %10s %9s %10s %8s %9s %7s %7s  %s%n")
                .formatted(
                    "placement",
                    "hops",
                    "vs vanilla",
                    "crossings",
                    "inter-node",
                    "GPUs/tok",
                    "nodes/tok",
                    "load",
                    "worst",
                    "balanced"));
    for (Row row : rows) {
      PlacementCost cost = row.cost();
      text.append(
          String.format(
              Locale.ROOT,
              form + "  %9s %10s %9.4f %10.4f %8.4f %9.4f %7.4f %7.4f  %s%n",
              row.label(),
              String.format(Locale.ROOT, cost.estimated() ? "~%.4f" : "%.4f", cost.hopsPerToken()),
              change(cost, vanilla),
              cost.crossingsPerToken(),
              cost.interNodePerToken(),
              cost.gpusPerToken(),
              cost.nodesPerToken(),
              cost.loadMeanMaxOverMean(),
              cost.loadWorstMaxOverMean(),
              cost.balanced() ? "yes" : "no"));
    }

    return text.toString();
  }

  private static String change(PlacementCost cost, PlacementCost vanilla) {
    return vanilla.hops() == 0
        ? "-"
        : String.format(Locale.ROOT, "%+.1f %%", changePercent(cost, vanilla));
  }

  /** Hops against contiguous blocks, in percent; negative is better. */
  static double changePercent(PlacementCost cost, PlacementCost vanilla) {
    return vanilla.hops() == 0 ? 0 : 100.0 * (cost.hops() - vanilla.hops()) / vanilla.hops();
  }
}
