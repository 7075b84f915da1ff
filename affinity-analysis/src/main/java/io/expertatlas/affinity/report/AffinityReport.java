package io.expertatlas.affinity.report;

import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.AnalysisFigures;
import io.expertatlas.affinity.GapMetrics;
import io.expertatlas.affinity.LayerMetrics;
import io.expertatlas.affinity.RouteCounts;
import io.expertatlas.affinity.Transitions;
import io.expertatlas.trace.ModelShape;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** The page that {@code analyze} writes: popularity, load and affinity of a trace. */
public final class AffinityReport {
  private static final int STRONGEST_LINKS = 20;

  private AffinityReport() {}

  /** Builds the page of an analysis. */
  public static HtmlReport of(AnalysisFigures figures) {
    HtmlReport page = start(figures.analysis().counts(), figures.summary());
    AnalysisSections.add(page, figures);
    return table(page, figures.summary());
  }

  /** Builds the page of the routes alone. */
  public static HtmlReport of(RouteCounts counts, AffinitySummary summary) {
    return table(start(counts, summary), summary);
  }

  private static HtmlReport start(RouteCounts counts, AffinitySummary summary) {
    ModelShape shape = summary.shape();
    HtmlReport page =
        HtmlReport.titled(
            "How tokens travel through the experts",
            "Trace %s (%s): which experts are busy, and how surely the expert of one layer tells that of the next."
                .formatted(
                    summary.trace(),
                    summary.selection().isAll() ? "all tokens" : summary.selection().toString()));
    page.facts(facts(summary));
    page.section(
            "Popularity",
            "How many choices each expert got, at any rank, against an even split over its layer's"
                + " %d experts. Orange experts are busier than even, blue ones idler; the scale goes by doublings."
                    .formatted(shape.experts()))
        .plot(
            "popularity",
            "Choices over the even share, by layer and expert. 1\u00d7 is an even load; experts at or"
                + " beyond 1/8\u00d7 and 8\u00d7, unused ones too, would share the last colours.",
            AffinityPlots.popularityHeight(shape),
            AffinityPlots.popularity(counts.popularity()));
    page.section(
            "Load balance",
            "With equal numbers of experts on each GPU, the busiest expert makes the others wait."
                + " Max / mean is 1\u00d7 for an even layer; the Gini coefficient is 0 for an even layer and near 1 when one expert does all.")
        .plot(
            "load",
            "Imbalance of each layer: the busiest expert's load over the mean, and how unevenly load is spread.",
            300,
            AffinityPlots.load(summary));
    if (!summary.gaps().isEmpty()) {
      affinity(page, counts, summary);
    }

    return page;
  }

  private static HtmlReport table(HtmlReport page, AffinitySummary summary) {
    page.section(
            "Figures",
            "Every layer in numbers. The shuffled control is what a trace of this length shows by"
                + " chance, drawn with seed %d; only what exceeds it is affinity."
                    .formatted(summary.seed()))
        .table("Layers", tableHeader(), tableRows(summary));
    return page;
  }

  private static void affinity(HtmlReport page, RouteCounts counts, AffinitySummary summary) {
    page.section(
            "Affinity between layers",
            "Mutual information is how many bits the first choice of a layer tells about the first"
                + " choice of the next, of at most log2(%d) = %s. Shuffling the tokens of each layer keeps every expert's popularity and destroys the paths: that is the dashed control."
                    .formatted(
                        summary.shape().experts(),
                        number(Math.log(summary.shape().experts()) / Math.log(2), 2)))
        .plot(
            "mutual-information",
            "Mutual information of adjacent layers' first choices. The distance between the two curves is real affinity.",
            320,
            AffinityPlots.mutualInformation(summary))
        .plot(
            "certainty",
            "Share of an expert's tokens that go on to its favourite successor, averaged over the"
                + " experts that occur. Independent layers would all name the next layer's most popular expert.",
            320,
            AffinityPlots.certainty(summary));
    TransitionPanels panels = TransitionPanels.of(counts.transitions());
    String which =
        panels.panels() == counts.transitions().gaps()
            ? "every pair of adjacent layers"
            : "%d of %d pairs of adjacent layers, evenly spread"
                .formatted(panels.panels(), counts.transitions().gaps());
    String cell =
        panels.block() == 1
            ? ""
            : " One cell stands for %1$d x %1$d experts and shows the strongest of its pairs."
                .formatted(panels.block());
    page.section(
            "Paths from layer to layer",
            "Each row is an expert, each column an expert of the next layer; the colour is the share"
                + " of the row's tokens that go there. A strongly coloured cell is a pair of experts that belong on one GPU.")
        .plot(
            "transitions",
            "P(next expert | this expert) of first choices, for %s.%s".formatted(which, cell),
            panels.height(),
            panels.option())
        .table(
            "Strongest links: pairs with the most tokens beyond what independent layers would show",
            List.of(
                "Layers",
                "Expert",
                "Next expert",
                "P(next | this)",
                "P(next)",
                "Tokens",
                "Beyond chance"),
            links(counts.transitions(), counts.tokens()));
  }

  private static List<HtmlReport.Fact> facts(AffinitySummary summary) {
    ModelShape shape = summary.shape();
    List<HtmlReport.Fact> facts = new ArrayList<>();
    facts.add(new HtmlReport.Fact("Tokens", "%,d".formatted(summary.tokens())));
    facts.add(
        new HtmlReport.Fact(
            "MoE layers \u00d7 experts",
            "%d \u00d7 %d".formatted(shape.layers(), shape.experts())));
    facts.add(new HtmlReport.Fact("Experts a token and layer", "top-" + shape.topK()));
    double load = summary.layers().stream().mapToDouble(LayerMetrics::maxOverMean).max().orElse(0);
    facts.add(new HtmlReport.Fact("Busiest expert over mean", number(load, 2) + "\u00d7"));
    if (!summary.gaps().isEmpty()) {
      double gain = summary.gaps().stream().mapToDouble(GapMetrics::gainBits).average().orElse(0);
      double next =
          summary.gaps().stream().mapToDouble(GapMetrics::meanMaxNext).average().orElse(0);
      facts.add(new HtmlReport.Fact("Affinity, mean beyond chance", number(gain, 2) + " bits"));
      facts.add(
          new HtmlReport.Fact("Favourite next expert, mean share", number(100 * next, 0) + " %"));
    }

    return facts;
  }

  private static List<String> tableHeader() {
    return List.of(
        "Layer",
        "Busiest expert",
        "Its share",
        "Max / mean",
        "Gini",
        "Entropy (bits)",
        "Unused experts",
        "Information on next (bits)",
        "Shuffled (bits)",
        "Mean max P(next)",
        "Shuffled");
  }

  private static List<List<String>> tableRows(AffinitySummary summary) {
    List<List<String>> rows = new ArrayList<>();
    for (LayerMetrics layer : summary.layers()) {
      int busiest = 0;
      int unused = 0;
      for (int expert = 0; expert < layer.shares().size(); expert++) {
        busiest = layer.shares().get(expert) > layer.shares().get(busiest) ? expert : busiest;
        unused += layer.shares().get(expert) == 0 ? 1 : 0;
      }

      List<String> row = new ArrayList<>();
      row.add(Integer.toString(layer.layer()));
      row.add(Integer.toString(busiest));
      row.add(number(100 * layer.shares().get(busiest), 1) + " %");
      row.add(number(layer.maxOverMean(), 2));
      row.add(number(layer.gini(), 3));
      row.add(number(layer.entropyBits(), 2));
      row.add(Integer.toString(unused));
      if (layer.layer() < summary.gaps().size()) {
        GapMetrics gap = summary.gaps().get(layer.layer());
        row.add(number(gap.mutualInformationBits(), 3));
        row.add(number(gap.shuffledMutualInformationBits(), 3));
        row.add(number(100 * gap.meanMaxNext(), 1) + " %");
        row.add(number(100 * gap.shuffledMeanMaxNext(), 1) + " %");
      } else {
        row.addAll(List.of("", "", "", ""));
      }

      rows.add(row);
    }

    return rows;
  }

  private record Link(
      int gap, int from, int to, long tokens, long leaving, long arriving, double beyond) {}

  private static List<List<String>> links(Transitions transitions, long tokens) {
    int experts = transitions.shape().experts();
    List<Link> best = new ArrayList<>();
    for (int gap = 0; gap < transitions.gaps(); gap++) {
      long[] leaving = new long[experts];
      long[] arriving = new long[experts];
      for (int e = 0; e < experts; e++) {
        for (int f = 0; f < experts; f++) {
          leaving[e] += transitions.firstChoices(gap, e, f);
          arriving[f] += transitions.firstChoices(gap, e, f);
        }
      }

      for (int e = 0; e < experts; e++) {
        for (int f = 0; f < experts; f++) {
          long both = transitions.firstChoices(gap, e, f);
          double beyond = both - leaving[e] * (double) arriving[f] / Math.max(1, tokens);
          if (beyond >= 0.5) {
            best.add(new Link(gap, e, f, both, leaving[e], arriving[f], beyond));
          }
        }
      }

      best.sort(Comparator.comparingDouble(Link::beyond).reversed());
      best.subList(Math.min(best.size(), STRONGEST_LINKS), best.size()).clear();
    }

    List<List<String>> rows = new ArrayList<>();
    for (Link link : best) {
      rows.add(
          List.of(
              "%d \u2192 %d".formatted(link.gap(), link.gap() + 1),
              Integer.toString(link.from()),
              Integer.toString(link.to()),
              number(100.0 * link.tokens() / link.leaving(), 1) + " %",
              number(100.0 * link.arriving() / tokens, 1) + " %",
              "%,d".formatted(link.tokens()),
              "%,d".formatted(Math.round(link.beyond()))));
    }

    return rows;
  }

  private static String number(double value, int decimals) {
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }
}
