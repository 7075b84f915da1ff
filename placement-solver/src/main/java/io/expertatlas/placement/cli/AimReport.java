package io.expertatlas.placement.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Caps;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementCost;
import io.expertatlas.placement.Traffic;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Tells how a placement stands to its caps, and what is sent under it. */
final class AimReport {
  private final Caps caps;
  private final Optional<Traffic> traffic;

  /**
   * Prepares to report.
   *
   * @param caps that the placement was found within
   * @param traffic what is sent, if hidden states are known
   */
  AimReport(Caps caps, Optional<Traffic> traffic) {
    this.caps = caps;
    this.traffic = traffic;
  }

  /** Prints a line for each cap, and the bytes of each row. */
  void print(PrintWriter err, PlacementCost cost, List<CostTable.Row> rows) {
    if (caps.hasLoad()) {
      int tightest = 0;
      for (int layer = 1; layer < cost.shape().layers(); layer++) {
        tightest = use(cost, layer) > use(cost, tightest) ? layer : tightest;
      }

      err.printf(
          Locale.ROOT,
          "Cap on load: met in all %d layers; closest in layer %d, %d choices of %d (%.2f %%)%n",
          cost.shape().layers(),
          tightest,
          cost.loads().hottest(tightest),
          caps.load(tightest),
          100 * use(cost, tightest));
    }

    for (Objective objective : Objective.values()) {
      if (caps.total(objective) != Long.MAX_VALUE) {
        err.printf(
            Locale.ROOT,
            "Cap on %s: met, %d of %d in all; a token %.4f of %.4f%n",
            objective.word(),
            objective.total(cost),
            caps.total(objective),
            mean(objective, objective.total(cost), cost),
            mean(objective, caps.total(objective), cost));
      }
    }

    traffic.ifPresent(
        sent -> {
          err.printf(
              "Bytes sent for a token through all layers, %s parallelism, %d numbers of %d bytes:%n",
              sent.parallelism().word(), sent.hiddenSize(), sent.bytesPerNumber());
          for (CostTable.Row row : rows) {
            err.printf(Locale.ROOT, "  %s: %.0f%n", row.label(), sent.bytesPerToken(row.cost()));
          }
        });
  }

  private double use(PlacementCost cost, int layer) {
    long cap = caps.load(layer);
    return cap == 0 ? 1 : cost.loads().hottest(layer) / (double) cap;
  }

  private static double mean(Objective objective, long total, PlacementCost cost) {
    double count = Math.max(1, cost.tokens());
    return total / (objective == Objective.FANOUT ? count * cost.shape().layers() : count);
  }

  /** Adds the same to the object of {@code --json}. */
  void addTo(ObjectNode node, PlacementCost cost) {
    if (!caps.isNone()) {
      ObjectNode all = node.putObject("caps");
      if (caps.hasLoad()) {
        ArrayNode most = all.putObject("load").putArray("most");
        ArrayNode met = ((ObjectNode) all.get("load")).putArray("met");
        for (int layer = 0; layer < cost.shape().layers(); layer++) {
          most.add(caps.load(layer));
          met.add(cost.loads().hottest(layer));
        }
      }

      for (Objective objective : Objective.values()) {
        if (caps.total(objective) != Long.MAX_VALUE) {
          all.putObject(objective.word())
              .put("most", caps.total(objective))
              .put("met", objective.total(cost));
        }
      }
    }

    traffic.ifPresent(
        sent ->
            node.putObject("bytes")
                .put("parallelism", sent.parallelism().word())
                .put("hidden-size", sent.hiddenSize())
                .put("bytes-per-number", sent.bytesPerNumber())
                .put("bytes-per-token", sent.bytesPerToken(cost)));
  }
}
