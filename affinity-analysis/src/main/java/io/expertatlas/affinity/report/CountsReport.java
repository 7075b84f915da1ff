package io.expertatlas.affinity.report;

import io.expertatlas.affinity.CountsAnalysis;
import io.expertatlas.affinity.LayerMetrics;
import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The page of counts without routes: popularity and how it drifts, and what is not known. */
public final class CountsReport {
  private CountsReport() {}

  /** Builds the page. */
  public static HtmlReport of(CountsAnalysis counts, double alpha) {
    ModelShape shape = counts.popularity().shape();
    List<LayerMetrics> layers = counts.layers();
    double load = layers.stream().mapToDouble(LayerMetrics::maxOverMean).max().orElse(0);
    HtmlReport page =
        HtmlReport.titled(
            "How busy the experts are",
            "Counts %s: how many visits each expert got. Counts do not say which experts a token visited together or one after the other: affinity, distinct sets of experts and reuse between tokens need a trace of routes."
                .formatted(counts.name()));
    page.facts(
            List.of(
                new HtmlReport.Fact("Visits of a layer", "%,d".formatted(counts.visits())),
                new HtmlReport.Fact(
                    "MoE layers \u00d7 experts",
                    "%d \u00d7 %d".formatted(shape.layers(), shape.experts())),
                new HtmlReport.Fact("Windows", "%,d".formatted(counts.windows().windows().size())),
                new HtmlReport.Fact("Busiest expert over mean", number(load, 2) + "\u00d7")))
        .section(
            "Popularity",
            "How many visits each expert got, against an even split over its layer's %d experts; the scale goes by doublings."
                .formatted(shape.experts()))
        .plot(
            "popularity",
            "Visits over the even share, by layer and expert.",
            AffinityPlots.popularityHeight(shape),
            AffinityPlots.popularity(counts.popularity()))
        .section(
            "Load balance",
            "Max / mean is 1\u00d7 for an even layer; the Gini coefficient is 0 for an even layer and near 1 when one expert does all.")
        .plot(
            "load",
            "Imbalance of each layer: the busiest expert's load over the mean, and how unevenly load is spread.",
            300,
            AffinityPlots.load(layers));
    if (!counts.windows().windows().isEmpty()) {
      AnalysisSections.windows(page, counts.windows(), alpha, "steps");
    }

    List<List<String>> rows = new ArrayList<>();
    for (LayerMetrics layer : layers) {
      rows.add(
          List.of(
              Integer.toString(layer.layer()),
              number(layer.maxOverMean(), 2),
              number(layer.gini(), 3),
              number(layer.coefficientOfVariation(), 3),
              number(layer.entropyBits(), 2)));
    }

    return page.section("Figures", "Every layer in numbers, over all windows.")
        .table("Layers", List.of("Layer", "Max / mean", "Gini", "CV", "Entropy (bits)"), rows);
  }

  private static String number(double value, int decimals) {
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }
}
