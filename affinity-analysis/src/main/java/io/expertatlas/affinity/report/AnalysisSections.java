package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.AnalysisFigures;
import io.expertatlas.affinity.AnalysisPart;
import io.expertatlas.affinity.CachePolicy;
import io.expertatlas.affinity.ExpertGrouping;
import io.expertatlas.affinity.GapMetrics;
import io.expertatlas.affinity.GroupDistance;
import io.expertatlas.affinity.LagMetrics;
import io.expertatlas.affinity.LagTransitions;
import io.expertatlas.affinity.LayerMetrics;
import io.expertatlas.affinity.Locality;
import io.expertatlas.affinity.WindowCounts;
import io.expertatlas.affinity.WindowMetrics;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import java.util.function.IntToDoubleFunction;

/** The sections of the page for windows, lags, locality and groups: those that were asked for. */
final class AnalysisSections {
  private static final int MAX_LAG_LINES = 6;

  private AnalysisSections() {}

  static void add(HtmlReport page, AnalysisFigures figures) {
    AnalysisPart whole = figures.analysis().whole();
    if (!whole.windows().windows().isEmpty()) {
      windows(page, whole.windows(), figures.alpha(), "tokens");
    }

    if (!whole.lags().isEmpty()) {
      lags(page, whole.lags(), figures);
    }

    if (whole.locality().tokens() > 0) {
      locality(page, whole.locality(), figures.summary());
    }

    if (!figures.distances().isEmpty()) {
      groups(page, figures);
    }
  }

  /** The section of popularity over time; {@code unit} is what a window is measured in. */
  static void windows(HtmlReport page, WindowCounts counts, double alpha, String unit) {
    WindowPlots plots = new WindowPlots(counts, alpha);
    int windows = counts.windows().size();
    page.section(
        "Load over time",
        "%,d windows of %,d %s. Drift is the share of a layer's choices that would have to move to make the popularity of a window that of the one before; it is also the error of the forecast that nothing changes. Sampling noise is the drift that two samples of these sizes show if nothing changes, were tokens independent. The moving average gives the newest window the weight %s."
            .formatted(windows, counts.length(), unit, number(alpha, 2)));
    if (windows > 1) {
      page.plot(
              "drift",
              "Drift of popularity between consecutive windows, mean over the layers.%s Means: drift %s, moving average %s, noise %s."
                  .formatted(
                      plots.binned(),
                      percent(plots.mean(WindowMetrics::drift)),
                      percent(plots.mean(WindowMetrics::emaError)),
                      percent(plots.mean(WindowMetrics::driftNoise))),
              320,
              plots.drift())
          .plot(
              "drift-layers",
              "Drift over its sampling noise, by layer and window. Near 1\u00d7 nothing but chance is seen.",
              plots.heatHeight(),
              plots.heat());
    }

    SmallMultiples load = plots.load();
    page.plot(
        "load-windows",
        "Busiest expert over mean load in each window, %s; all on one scale.%s"
            .formatted(load.which(), plots.binned()),
        load.height(),
        load.option(1));
  }

  private static void lags(HtmlReport page, List<LagTransitions> lags, AnalysisFigures figures) {
    int layers = figures.summary().shape().layers();
    List<LagTransitions> shown = lags.subList(0, Math.min(lags.size(), MAX_LAG_LINES));
    ObjectNode information =
        Options.lines(
            Options.counted("Layer", layers),
            Options.values("Information beyond chance (bits)", "f1"),
            "Layer",
            "f3");
    ArrayNode series = information.putArray("series");
    List<List<String>> rows = new ArrayList<>();
    double most = 0;
    for (LagTransitions lag : lags) {
      List<LagMetrics> metrics = LagMetrics.of(lag, figures.summary().seed());
      if (shown.contains(lag)) {
        series.add(
            Options.line(
                "Lag " + lag.lag(),
                metrics.stream().map(layer -> Math.max(0, layer.informationGainBits())).toList(),
                "$series." + shown.indexOf(lag)));
      }

      rows.add(row(lag, metrics, figures.groupings()));
      for (LagMetrics layer : metrics) {
        most = Math.max(most, layer.informationGainBits());
      }
    }

    if (most < 0.5) { // what is next to nothing must not fill the plot
      ((ObjectNode) information.get("yAxis")).put("max", 0.5);
    }

    page.section(
            "Affinity at a distance",
            "How many bits the first choice of a layer tells about the first choice of the layer 1, 2, ... further on, less what a random table with the same sums shows. What lag 1 tells and lag 2 does not is forgotten on the way.")
        .plot(
            "lags",
            "Mutual information beyond the shuffled control, from each layer to the layer so many further on.",
            320,
            information);
    for (ExpertGrouping grouping : figures.groupings()) {
      page.plot(
          "stay",
          "Share of tokens whose first choice stays in its group of experts (%s), and what independent layers would show."
              .formatted(grouping.label()),
          320,
          stay(shown, grouping, layers));
    }

    List<String> header = new ArrayList<>();
    header.addAll(
        List.of(
            "Lag",
            "Information (bits)",
            "Shuffled (bits)",
            "Guessed from this expert",
            "Shuffled",
            "Guessed from popularity",
            "Gain"));
    if (!figures.groupings().isEmpty()) {
      header.addAll(List.of("Stay in group", "Independent"));
    }

    page.table("Means over the layers, by lag", header, rows);
  }

  private static ObjectNode stay(List<LagTransitions> lags, ExpertGrouping grouping, int layers) {
    ObjectNode option =
        Options.lines(
            Options.counted("Layer", layers),
            Options.values("Tokens that stay", "pct0"),
            "Layer",
            "pct");
    ArrayNode series = option.putArray("series");
    for (int i = 0; i < lags.size(); i++) {
      LagTransitions lag = lags.get(i);
      series.add(
          Options.line(
              "Lag " + lag.lag(),
              starts(lag, start -> grouping.stayShare(lag, start)),
              "$series." + i));
    }

    LagTransitions first = lags.get(0);
    series.add(
        Options.dashed(
            Options.line(
                "Independent",
                starts(first, start -> grouping.independentStayShare(first, start)),
                "$neutral")));
    return option;
  }

  private static List<Double> starts(LagTransitions lag, IntToDoubleFunction value) {
    List<Double> points = new ArrayList<>();
    for (int start = 0; start < lag.starts(); start++) {
      points.add(value.applyAsDouble(start));
    }

    return points;
  }

  private static List<String> row(
      LagTransitions lag, List<LagMetrics> metrics, List<ExpertGrouping> groupings) {
    List<String> row = new ArrayList<>();
    row.add(Integer.toString(lag.lag()));
    row.add(number(mean(metrics.size(), i -> metrics.get(i).mutualInformationBits()), 3));
    row.add(number(mean(metrics.size(), i -> metrics.get(i).shuffledMutualInformationBits()), 3));
    row.add(percent(mean(metrics.size(), i -> metrics.get(i).topNext())));
    row.add(percent(mean(metrics.size(), i -> metrics.get(i).shuffledTopNext())));
    row.add(percent(mean(metrics.size(), i -> metrics.get(i).independentTopNext())));
    row.add(number(mean(metrics.size(), i -> metrics.get(i).gain()), 2) + "\u00d7");
    for (ExpertGrouping grouping : groupings) {
      row.add(percent(mean(lag.starts(), start -> grouping.stayShare(lag, start))));
      row.add(percent(mean(lag.starts(), start -> grouping.independentStayShare(lag, start))));
    }

    return row;
  }

  private static void locality(HtmlReport page, Locality locality, AffinitySummary summary) {
    LocalityPlots plots = new LocalityPlots(locality);
    SmallMultiples byLayer = plots.cacheByLayer();
    page.section(
            "Reuse between tokens",
            "What a machine that holds only some experts of a layer needs to know. Every run of tokens of a sequence begins with empty caches (%,d runs); a cache that stays warm between them gains at most the first uses. Clairvoyant eviction gives up the expert whose next use is farthest: no policy does better."
                .formatted(locality.runs()))
        .plot(
            "cache",
            "Share of choices that find their expert in a cache of so many experts of their layer, mean over the layers.",
            360,
            plots.cache())
        .plot(
            "cache-layers",
            "The same by layer, %s: entries of the cache from left to right, hit rate upwards."
                .formatted(byLayer.which()),
            byLayer.height(),
            byLayer.option(0))
        .plot(
            "reuse",
            "Tokens since an expert was last chosen in its run, mean over the layers.",
            300,
            plots.reuse())
        .plot(
            "overlap",
            "Share of a token's experts that the token before chose too; in random order, tokens of the same popularity would share k\u00a0\u00b7\u00a0\u03a3\u00a0p\u00b2.",
            300,
            plots.overlap(summary.layers()))
        .table(
            "Hit rates, mean over the layers",
            List.of("Experts in the cache", "Of all experts", "LRU", "Clairvoyant"),
            cacheRows(locality));
  }

  private static List<List<String>> cacheRows(Locality locality) {
    int experts = locality.shape().experts();
    TreeSet<Integer> capacities = new TreeSet<>();
    capacities.add(locality.shape().topK());
    for (int eighth = 1; eighth <= 8; eighth++) {
      capacities.add((experts * eighth + 7) / 8);
    }

    List<List<String>> rows = new ArrayList<>();
    for (int capacity : capacities) {
      rows.add(
          List.of(
              Integer.toString(capacity),
              percent(capacity / (double) experts),
              percent(locality.hitRate(CachePolicy.LRU, capacity)),
              percent(locality.hitRate(CachePolicy.CLAIRVOYANT, capacity))));
    }

    return rows;
  }

  private static void groups(HtmlReport page, AnalysisFigures figures) {
    List<AnalysisPart> groups = figures.analysis().groups();
    GroupPlots plots = new GroupPlots(groups, figures.distances());
    page.section(
            "Groups of tokens",
            "%d groups by %s. Distance is total variation, mean over the layers: the share of choices that would have to move to make one group's load that of the other. Far groups want different placements; distances near their noise, which grows as groups get small, say nothing."
                .formatted(groups.size(), figures.analysis().plan().groups().label()))
        .plot(
            "group-popularity",
            "Distances of popularity, of choices at any rank.%s".formatted(plots.which()),
            plots.height(),
            plots.heat(GroupDistance::popularity, GroupDistance::popularityNoise));
    if (!figures.summary().gaps().isEmpty()) {
      page.plot(
          "group-transitions",
          "Distances of transitions: pairs of first choices of adjacent layers.%s"
              .formatted(plots.which()),
          plots.height(),
          plots.heat(GroupDistance::transitions, GroupDistance::transitionsNoise));
    }

    page.table("Groups; figures are means over the layers", header(figures), rows(figures, plots));
  }

  private static List<String> header(AnalysisFigures figures) {
    List<String> header =
        new ArrayList<>(
            List.of("Group", "Tokens", "Max / mean", "Gini", "Information beyond chance (bits)"));
    if (figures.analysis().plan().locality()) {
      header.add("LRU hits, a quarter of the experts");
    }

    header.addAll(List.of("Nearest group", "Distance", "Noise"));
    return header;
  }

  private static List<List<String>> rows(AnalysisFigures figures, GroupPlots plots) {
    List<AnalysisPart> groups = figures.analysis().groups();
    List<List<String>> rows = new ArrayList<>();
    for (int group = 0; group < groups.size(); group++) {
      AffinitySummary summary = figures.groupSummaries().get(group);
      int nearest = plots.nearest(group);
      List<String> row =
          new ArrayList<>(
              List.of(
                  groups.get(group).name(),
                  "%,d".formatted(summary.tokens()),
                  number(mean(summary.layers().size(), i -> load(summary, i).maxOverMean()), 2),
                  number(mean(summary.layers().size(), i -> load(summary, i).gini()), 3),
                  number(mean(summary.gaps().size(), i -> gap(summary, i).gainBits()), 2)));
      if (figures.analysis().plan().locality()) {
        Locality locality = groups.get(group).locality();
        int quarter = (locality.shape().experts() + 3) / 4;
        row.add(percent(locality.hitRate(CachePolicy.LRU, quarter)));
      }

      row.add(groups.get(nearest).name());
      row.add(percent(plots.pair(group, nearest).popularity()));
      row.add(percent(plots.pair(group, nearest).popularityNoise()));
      rows.add(row);
    }

    return rows;
  }

  private static LayerMetrics load(AffinitySummary summary, int layer) {
    return summary.layers().get(layer);
  }

  private static GapMetrics gap(AffinitySummary summary, int gap) {
    return summary.gaps().get(gap);
  }

  private static double mean(int count, IntToDoubleFunction value) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += value.applyAsDouble(i);
    }

    return count == 0 ? 0 : sum / count;
  }

  private static String percent(double share) {
    return number(100 * share, 1) + " %";
  }

  private static String number(double value, int decimals) {
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }
}
