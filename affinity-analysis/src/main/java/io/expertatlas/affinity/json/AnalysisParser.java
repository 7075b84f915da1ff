package io.expertatlas.affinity.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.AnalysisFigures;
import io.expertatlas.affinity.AnalysisPart;
import io.expertatlas.affinity.CachePolicy;
import io.expertatlas.affinity.CountsAnalysis;
import io.expertatlas.affinity.ExpertGrouping;
import io.expertatlas.affinity.GroupDistance;
import io.expertatlas.affinity.LagMetrics;
import io.expertatlas.affinity.LagTransitions;
import io.expertatlas.affinity.LayerMetrics;
import io.expertatlas.affinity.Locality;
import io.expertatlas.affinity.WindowCounts;
import io.expertatlas.affinity.WindowMetrics;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * {@link AnalysisFigures} as JSON: the summary of {@link AffinitySummaryParser} with further keys,
 * each present only if it was asked for. Readers of the summary need not know them. Stateless.
 */
public final class AnalysisParser {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private AnalysisParser() {}

  /** The figures as indented JSON text. */
  public static String toJson(AnalysisFigures figures) {
    return text(toNode(figures));
  }

  /**
   * What counts tell, as indented JSON text. Its key {@code counts} stands in place of {@code
   * trace}; {@code unknown} lists what it has not.
   */
  public static String toJson(CountsAnalysis counts, double alpha) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("format-version", 1);
    root.put("counts", counts.name());
    ObjectNode shape = root.putObject("shape");
    shape.put("layers", counts.popularity().shape().layers());
    shape.put("experts", counts.popularity().shape().experts());
    root.put("visits", counts.visits());
    ArrayNode unknown = root.putArray("unknown");
    CountsAnalysis.UNKNOWN.forEach(unknown::add);
    ArrayNode layers = root.putArray("layers");
    for (LayerMetrics metrics : counts.layers()) {
      layers.add(AffinitySummaryParser.toNode(metrics));
    }

    if (!counts.windows().windows().isEmpty()) {
      root.set("windows", windows(counts.windows(), alpha));
    }

    return text(root);
  }

  private static String text(ObjectNode node) {
    try {
      return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(node) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A tree of numbers and strings is always JSON", e);
    }
  }

  /** The figures as a JSON object. */
  public static ObjectNode toNode(AnalysisFigures figures) {
    ObjectNode root = AffinitySummaryParser.toNode(figures.summary());
    putPart(root, figures.analysis().whole(), figures, figures.summary().seed());
    List<AnalysisPart> groups = figures.analysis().groups();
    if (groups.isEmpty()) {
      return root;
    }

    root.put("group-by", figures.analysis().plan().groups().label());
    ArrayNode nodes = root.putArray("groups");
    for (int group = 0; group < groups.size(); group++) {
      AffinitySummary summary = figures.groupSummaries().get(group);
      ObjectNode node = nodes.addObject();
      node.put("group", groups.get(group).name());
      node.put("tokens", summary.tokens());
      node.set("layers", AffinitySummaryParser.toNode(summary).get("layers"));
      putPart(node, groups.get(group), figures, summary.seed());
    }

    ArrayNode distances = root.putArray("group-distances");
    for (GroupDistance distance : figures.distances()) {
      ObjectNode node = distances.addObject();
      node.put("group", groups.get(distance.group()).name());
      node.put("other", groups.get(distance.other()).name());
      node.put("popularity", distance.popularity());
      node.put("popularity-noise", distance.popularityNoise());
      node.put("popularity-bits", distance.popularityBits());
      node.put("transitions", distance.transitions());
      node.put("transitions-noise", distance.transitionsNoise());
    }

    return root;
  }

  private static void putPart(
      ObjectNode root, AnalysisPart part, AnalysisFigures figures, long seed) {
    if (!part.windows().windows().isEmpty()) {
      root.set("windows", windows(part.windows(), figures.alpha()));
    }

    if (!part.lags().isEmpty()) {
      putLags(root, part.lags(), figures.groupings(), seed);
    }

    if (part.locality().tokens() > 0) {
      root.set("locality", locality(part.locality()));
    }
  }

  /** The key {@code windows}. */
  static ObjectNode windows(WindowCounts counts, double alpha) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("window", counts.length());
    root.put("ema-alpha", alpha);
    ArrayNode indices = root.putArray("index");
    ArrayNode tokens = root.putArray("tokens");
    counts.windows().forEach(window -> indices.add(window.index()));
    counts.windows().forEach(window -> tokens.add(window.tokens()));
    ArrayNode layers = root.putArray("layers");
    for (int layer = 0; layer < counts.shape().layers(); layer++) {
      List<WindowMetrics> metrics = WindowMetrics.of(counts, layer, alpha);
      ObjectNode node = layers.addObject();
      node.put("layer", layer);
      put(node, "gini", metrics, window -> window.load().gini());
      put(node, "cv", metrics, window -> window.load().coefficientOfVariation());
      put(node, "max-over-mean", metrics, window -> window.load().maxOverMean());
      put(node, "entropy-bits", metrics, window -> window.load().entropyBits());
      // a window without one before it has none of these
      List<WindowMetrics> later = metrics.subList(1, metrics.size());
      put(node, "drift", later, WindowMetrics::drift);
      put(node, "drift-noise", later, WindowMetrics::driftNoise);
      put(node, "ema-error", later, WindowMetrics::emaError);
    }

    return root;
  }

  private static void put(
      ObjectNode node,
      String name,
      List<WindowMetrics> windows,
      ToDoubleFunction<WindowMetrics> value) {
    ArrayNode values = node.putArray(name);
    windows.forEach(window -> values.add(value.applyAsDouble(window)));
  }

  private static void putLags(
      ObjectNode root, List<LagTransitions> lags, List<ExpertGrouping> groupings, long seed) {
    groupings.forEach(grouping -> root.put("grouping", grouping.label()));
    ArrayNode nodes = root.putArray("lags");
    for (LagTransitions lag : lags) {
      ObjectNode node = nodes.addObject();
      node.put("lag", lag.lag());
      ArrayNode layers = node.putArray("layers");
      for (LagMetrics metrics : LagMetrics.of(lag, seed)) {
        ObjectNode layer = layers.addObject();
        layer.put("layer", metrics.start());
        layer.put("mutual-information-bits", metrics.mutualInformationBits());
        layer.put("mutual-information-bits-shuffled", metrics.shuffledMutualInformationBits());
        layer.put("top-next", metrics.topNext());
        layer.put("top-next-shuffled", metrics.shuffledTopNext());
        layer.put("top-next-independent", metrics.independentTopNext());
        layer.put("gain", metrics.gain());
        for (ExpertGrouping grouping : groupings) {
          layer.put("stay", grouping.stayShare(lag, metrics.start()));
          layer.put("stay-independent", grouping.independentStayShare(lag, metrics.start()));
        }
      }
    }
  }

  private static ObjectNode locality(Locality locality) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("runs", locality.runs());
    root.put("run-limit-tokens", Locality.RUN_TOKENS);
    ArrayNode layers = root.putArray("layers");
    for (int layer = 0; layer < locality.shape().layers(); layer++) {
      ObjectNode node = layers.addObject();
      node.put("layer", layer);
      node.put("overlap", locality.overlap(layer));
      double choices = locality.choices();
      node.put("first-uses", locality.firstUses(layer) / choices);
      ArrayNode reuses = node.putArray("reuse");
      for (int bin = 0; bin < Locality.GAP_BINS; bin++) {
        reuses.add(locality.reuses(layer, bin) / choices);
      }

      ArrayNode lru = node.putArray("lru-hit-rate");
      ArrayNode clairvoyant = node.putArray("clairvoyant-hit-rate");
      for (int capacity = 1; capacity <= locality.shape().experts(); capacity++) {
        lru.add(locality.hitRate(CachePolicy.LRU, layer, capacity));
        clairvoyant.add(locality.hitRate(CachePolicy.CLAIRVOYANT, layer, capacity));
      }
    }

    return root;
  }
}
