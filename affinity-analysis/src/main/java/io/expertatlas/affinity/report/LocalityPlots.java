package io.expertatlas.affinity.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.CachePolicy;
import io.expertatlas.affinity.LayerMetrics;
import io.expertatlas.affinity.Locality;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntToDoubleFunction;

/** Plots of reuse between tokens and of expert caches. */
final class LocalityPlots {
  private final Locality locality;
  private final int layers;
  private final int experts;

  LocalityPlots(Locality locality) {
    this.locality = locality;
    layers = locality.shape().layers();
    experts = locality.shape().experts();
  }

  private List<String> capacities() {
    List<String> names = new ArrayList<>();
    for (int capacity = 0; capacity <= experts; capacity++) {
      names.add(Integer.toString(capacity));
    }

    return names;
  }

  private List<Double> curve(IntToDoubleFunction hitRate) {
    List<Double> points = new ArrayList<>();
    for (int capacity = 0; capacity <= experts; capacity++) {
      points.add(hitRate.applyAsDouble(capacity));
    }

    return points;
  }

  private double extreme(int capacity, boolean best) {
    double extreme = best ? 0 : 1;
    for (int layer = 0; layer < layers; layer++) {
      double rate = locality.hitRate(CachePolicy.LRU, layer, capacity);
      extreme = best ? Math.max(extreme, rate) : Math.min(extreme, rate);
    }

    return extreme;
  }

  /** Hit rate by entries of a layer's cache: means over layers, best and worst layer. */
  ObjectNode cache() {
    ObjectNode option =
        Options.lines(
            Options.names("Experts of a layer in the cache", capacities())
                .put("boundaryGap", false),
            Options.values("Hit rate", "pct0").put("max", 1),
            "Cache of",
            "pct");
    ArrayNode series = option.putArray("series");
    series.add(
        bare("Clairvoyant", curve(c -> locality.hitRate(CachePolicy.CLAIRVOYANT, c)), "$series.1"));
    series.add(bare("LRU", curve(c -> locality.hitRate(CachePolicy.LRU, c)), "$series.0"));
    series.add(Options.dashed(bare("LRU, best layer", curve(c -> extreme(c, true)), "$series.2")));
    series.add(
        Options.dashed(bare("LRU, worst layer", curve(c -> extreme(c, false)), "$series.3")));
    series.add(
        Options.dashed(
            bare("Fixed experts, even load", curve(c -> c / (double) experts), "$neutral")));
    return option;
  }

  private static ObjectNode bare(String name, List<Double> points, String color) {
    return Options.line(name, points, color).put("showSymbol", points.size() <= 33);
  }

  /** The curves by layer. */
  SmallMultiples cacheByLayer() {
    SmallMultiples plots = new SmallMultiples(layers, capacities(), "Cache of", "pct");
    for (int panel = 0; panel < plots.panels(); panel++) {
      int layer = plots.layer(panel);
      plots.line(
          panel,
          "Clairvoyant",
          curve(c -> locality.hitRate(CachePolicy.CLAIRVOYANT, layer, c)),
          "$series.1",
          false);
      plots.line(
          panel,
          "LRU",
          curve(c -> locality.hitRate(CachePolicy.LRU, layer, c)),
          "$series.0",
          false);
    }

    return plots;
  }

  /** Histogram of the reuse distance, mean over the layers. */
  ObjectNode reuse() {
    List<String> names = new ArrayList<>();
    List<Double> shares = new ArrayList<>();
    int last = 0;
    for (int bin = 0; bin < Locality.GAP_BINS; bin++) {
      double share = 0;
      for (int layer = 0; layer < layers; layer++) {
        share += locality.reuses(layer, bin) / (double) (layers * locality.choices());
      }

      names.add(bin == 0 ? "1" : "%,d\u2013%,d".formatted(1 << bin, (2 << bin) - 1));
      shares.add(share);
      last = share > 0 ? bin + 1 : last;
    }

    double first = 0;
    for (int layer = 0; layer < layers; layer++) {
      first += locality.firstUses(layer) / (double) (layers * locality.choices());
    }

    names = new ArrayList<>(names.subList(0, last));
    shares = new ArrayList<>(shares.subList(0, last));
    names.add("first use");
    shares.add(first);
    ObjectNode option = Options.object();
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put("formatter", "@{axisValue}: <b>{value:pct}</b> of the choices");
    option.putObject("grid").put("left", 66).put("right", 24).put("top", 16).put("bottom", 54);
    ObjectNode bins = Options.names("Tokens since the expert was last chosen", names);
    bins.withObject("/axisLabel") // the last bin is of another kind: its name must stand
        .put("interval", 0)
        .put("hideOverlap", true)
        .put("showMaxLabel", true);
    option.set("xAxis", bins);
    option.set("yAxis", Options.values("Share of choices", "pct0").put("nameGap", 46));
    ObjectNode bars = option.putArray("series").addObject();
    bars.put("type", "bar").put("name", "Share");
    bars.putObject("itemStyle").put("color", "$series.0");
    ArrayNode data = bars.putArray("data");
    shares.forEach(share -> data.add(Options.rounded(share)));
    ((ObjectNode) option.get("tooltip"))
        .put("formatter", "@{axisValue}\n<b>{value:pct}</b> of the choices");
    return option;
  }

  /** Overlap with the token before, by layer, and what independent tokens would show. */
  ObjectNode overlap(List<LayerMetrics> metrics) {
    ObjectNode option =
        Options.lines(
            Options.counted("Layer", layers),
            Options.values("Share of experts kept", "pct0"),
            "Layer",
            "pct");
    List<Double> kept = new ArrayList<>();
    List<Double> chance = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      kept.add(locality.overlap(layer));
      double squares = 0;
      for (double share : metrics.get(layer).shares()) {
        squares += share * share;
      }

      chance.add(Math.min(1, squares * locality.shape().topK()));
    }

    ArrayNode series = option.putArray("series");
    series.add(Options.line("Trace", kept, "$series.0"));
    series.add(Options.dashed(Options.line("Tokens in random order", chance, "$neutral")));
    return option;
  }
}
