package io.expertatlas.predictor.json;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.predictor.Estimate;
import io.expertatlas.predictor.LayerMetrics;
import io.expertatlas.predictor.PredictionMetrics;
import java.util.List;

/** Metrics as JSON, format-version 1; the README defines the figures. */
public final class MetricsParser {
  private static final int FORMAT_VERSION = 1;
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private MetricsParser() {}

  /**
   * The metrics of predictors that were scored on the same tokens.
   *
   * @param trace that they were scored on
   * @param tokens scored
   * @param seed of the intervals
   * @param iterationTokens tokens of an iteration
   * @param expertBytes size of an expert; 0: fetches are not told in bytes
   */
  public static String toJson(
      List<ScoredPredictor> predictors,
      String trace,
      long tokens,
      long seed,
      int iterationTokens,
      long expertBytes) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", FORMAT_VERSION);
    root.put("trace", trace);
    root.put("tokens", tokens);
    root.put("seed", seed);
    root.put("iteration-tokens", iterationTokens);
    root.put("expert-bytes", expertBytes);
    ArrayNode list = root.putArray("predictors");
    for (ScoredPredictor scored : predictors) {
      ObjectNode node = list.addObject();
      node.put("name", scored.name());
      node.put("kind", scored.predictor().kind().word());
      node.put("multiply-adds", scored.multiplyAdds());
      ArrayNode headOuts = node.putArray("head-outs");
      for (PredictionMetrics metrics : scored.headOuts()) {
        put(headOuts.addObject(), metrics, expertBytes);
      }
    }

    return root.toPrettyString() + "\n";
  }

  private static void put(ObjectNode node, PredictionMetrics metrics, long expertBytes) {
    node.put("head-out", metrics.headOut());
    node.put("lead-layers", metrics.leadLayers());
    node.put("sequences", metrics.sequences());
    node.put("iterations", metrics.iterations());
    put(node.putObject("overall"), metrics, metrics.overall(), expertBytes);
    ArrayNode layers = node.putArray("layers");
    for (LayerMetrics layer : metrics.layers()) {
      ObjectNode one = layers.addObject();
      one.put("layer", layer.layer());
      put(one, metrics, layer, expertBytes);
    }
  }

  private static void put(
      ObjectNode node, PredictionMetrics metrics, LayerMetrics layer, long expertBytes) {
    node.put("tokens", layer.tokens());
    ArrayNode matches = node.putArray("matches");
    layer.matches().forEach(share -> put(matches.addObject(), share));
    node.put("expectation", layer.expectation());
    put(node.putObject("recall-at-k"), layer.recall().get(0));
    put(node.putObject("exact-set"), layer.matches().get(layer.matches().size() - 1));
    put(node.putObject("total-variation"), layer.totalVariation());
    ArrayNode caches = node.putArray("caches");
    for (int c = 0; c < metrics.caches().size(); c++) {
      int size = metrics.caches().get(c);
      ObjectNode cache = caches.addObject();
      cache.put("experts", size);
      put(cache.putObject("recall"), layer.recall().get(c));
      cache.put("missed-experts", layer.missed(c));
      cache.put("over-fetched-experts", layer.overFetched(c, size));
      if (expertBytes > 0) {
        cache.put("missed-bytes", layer.missed(c) * expertBytes);
        cache.put("over-fetched-bytes", layer.overFetched(c, size) * expertBytes);
      }
    }

    ArrayNode least = node.putArray("least-n");
    for (double share : layer.least()) {
      put(least, share);
    }

    node.put("least-count", metrics.leastCount());
    ArrayNode within = node.putArray("least-within-m");
    for (double share : layer.leastWithin()) {
      put(within, share);
    }
  }

  private static void put(ObjectNode node, Estimate estimate) {
    put(node, "value", estimate.value());
    put(node, "low", estimate.low());
    put(node, "high", estimate.high());
  }

  private static void put(ObjectNode node, String key, double value) {
    if (Double.isFinite(value)) {
      node.put(key, value);
    } else {
      node.putNull(key); // JSON knows no NaN
    }
  }

  private static void put(ArrayNode array, double value) {
    if (Double.isFinite(value)) {
      array.add(value);
    } else {
      array.addNull();
    }
  }
}
