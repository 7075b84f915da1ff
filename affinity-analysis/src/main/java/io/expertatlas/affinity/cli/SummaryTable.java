package io.expertatlas.affinity.cli;

import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.CountsAnalysis;
import io.expertatlas.affinity.GapMetrics;
import io.expertatlas.affinity.LayerMetrics;
import java.util.Locale;

/** The summary as a table of plain text, a line for each layer. */
final class SummaryTable {
  private SummaryTable() {}

  static String of(AffinitySummary summary) {
    StringBuilder text = new StringBuilder();
    line(text, "%s: %s, %,d tokens", summary.trace(), summary.shape(), summary.tokens());
    line(text, "       load of choices           first choice of the next layer");
    line(text, "layer  max/mean   gini  entropy  information  shuffled  max P(next)  shuffled");
    for (LayerMetrics layer : summary.layers()) {
      text.append(
          String.format(
              Locale.ROOT,
              "%5d  %8.2f  %5.3f  %7.2f",
              layer.layer(),
              layer.maxOverMean(),
              layer.gini(),
              layer.entropyBits()));
      if (layer.layer() < summary.gaps().size()) {
        GapMetrics gap = summary.gaps().get(layer.layer());
        text.append(
            String.format(
                Locale.ROOT,
                "  %11.3f  %8.3f  %11.3f  %8.3f",
                gap.mutualInformationBits(),
                gap.shuffledMutualInformationBits(),
                gap.meanMaxNext(),
                gap.shuffledMeanMaxNext()));
      }

      text.append(System.lineSeparator());
    }

    return text.toString();
  }

  static String of(CountsAnalysis counts) {
    StringBuilder text = new StringBuilder();
    line(
        text,
        "%s: %d MoE layers x %d experts, %,d visits a layer in %,d windows; counts tell no affinity",
        counts.name(),
        counts.popularity().shape().layers(),
        counts.popularity().shape().experts(),
        counts.visits(),
        counts.windows().windows().size());
    line(text, "layer  max/mean   gini  entropy");
    for (LayerMetrics layer : counts.layers()) {
      line(
          text,
          "%5d  %8.2f  %5.3f  %7.2f",
          layer.layer(),
          layer.maxOverMean(),
          layer.gini(),
          layer.entropyBits());
    }

    return text.toString();
  }

  private static void line(StringBuilder text, String format, Object... values) {
    text.append(String.format(Locale.ROOT, format, values)).append(System.lineSeparator());
  }
}
