package io.expertatlas.predictor.cli;

import io.expertatlas.predictor.Estimate;
import io.expertatlas.predictor.LayerMetrics;
import io.expertatlas.predictor.PredictionMetrics;
import io.expertatlas.predictor.json.ScoredPredictor;
import java.util.List;

/** The table of predictors by head-outs. */
final class MetricsTable {
  private MetricsTable() {}

  /** A line for each predictor and head-out. */
  static String of(List<ScoredPredictor> predictors, long expertBytes) {
    int width =
        Math.max(9, predictors.stream().mapToInt(one -> one.name().length()).max().orElse(9));
    StringBuilder text = new StringBuilder();
    String row = "  %-" + width + "s %2s  %-23s %-8s %-8s %-8s %-8s %6s  %s%n";
    text.append(
        row.formatted(
            "predictor",
            "h",
            "recall at k (95 %)",
            "expect.",
            "exact",
            "least",
            "tot.var.",
            "lead",
            expertBytes > 0 ? "missed, over-fetched bytes" : "missed experts"));
    int heads = predictors.stream().mapToInt(one -> one.headOuts().size()).max().orElse(0);
    for (int h = 0; h < heads; h++) {
      for (ScoredPredictor one : predictors) {
        if (h < one.headOuts().size()) {
          text.append(line(row, one.name(), one.headOuts().get(h), expertBytes));
        }
      }
    }

    return text.toString();
  }

  private static String line(String row, String name, PredictionMetrics metrics, long expertBytes) {
    LayerMetrics all = metrics.overall();
    Estimate recall = metrics.recallAtK();
    return row.formatted(
        name,
        metrics.headOut(),
        "%.4f (%.4f, %.4f)".formatted(recall.value(), recall.low(), recall.high()),
        "%.4f".formatted(all.expectation()),
        "%.4f".formatted(all.matches().get(all.matches().size() - 1).value()),
        "%.4f".formatted(all.least()[metrics.leastCount() - 1]),
        "%.4f".formatted(all.totalVariation().value()),
        "%.1f".formatted(metrics.leadLayers()),
        expertBytes > 0
            ? "%.0f, %.0f"
                .formatted(
                    all.missed(0) * expertBytes,
                    all.overFetched(0, metrics.caches().get(0)) * expertBytes)
            : "%.4f".formatted(all.missed(0)));
  }
}
