package io.expertatlas.placement.cli;

import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementCost;
import java.util.List;
import java.util.Locale;

/** Costs on the tokens fitted and on tokens held out, beside each other, as a table in text. */
final class HeldOutTable {
  /** A row: what the placement is called, and the placement. */
  record Plan(String label, Placement placement) {}

  private HeldOutTable() {}

  static String of(List<Plan> plans, RouteCounts fit, RouteCounts heldOut) {
    int width = 9;
    for (Plan plan : plans) {
      width = Math.max(width, plan.label().length());
    }

    String form = "%-" + width + "s";
    StringBuilder text =
        new StringBuilder(
            (form + "  %9s %9s %8s  %9s %9s  %9s %9s%n")
                .formatted(
                    "placement",
                    "hops",
                    "held out",
                    "rise",
                    "GPUs/tok",
                    "held out",
                    "load",
                    "held out"));
    for (Plan plan : plans) {
      PlacementCost in = PlacementCost.of(fit, plan.placement());
      PlacementCost out = PlacementCost.of(heldOut, plan.placement());
      text.append(
          String.format(
              Locale.ROOT,
              form + "  %9.4f %9.4f %8s  %9.4f %9.4f  %9.4f %9.4f%n",
              plan.label(),
              in.hopsPerToken(),
              out.hopsPerToken(),
              rise(in, out),
              in.gpusPerToken(),
              out.gpusPerToken(),
              in.loadMeanMaxOverMean(),
              out.loadMeanMaxOverMean()));
    }

    return text.toString();
  }

  private static String rise(PlacementCost in, PlacementCost out) {
    return in.hops() == 0
        ? "-"
        : String.format(
            Locale.ROOT, "%+.1f %%", 100 * (out.hopsPerToken() / in.hopsPerToken() - 1));
  }
}
