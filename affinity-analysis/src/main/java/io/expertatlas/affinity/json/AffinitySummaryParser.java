package io.expertatlas.affinity.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.AffinityFormatException;
import io.expertatlas.affinity.AffinitySummary;
import io.expertatlas.affinity.GapMetrics;
import io.expertatlas.affinity.LayerMetrics;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TokenSelection;
import io.expertatlas.trace.TokenSelection.Sequences;
import io.expertatlas.trace.TokenSelection.TokenRange;
import java.util.ArrayList;
import java.util.List;

/**
 * {@link AffinitySummary} as JSON: the file {@code summary.json} of an affinity folder and what
 * {@code analyze --json} prints. Stateless.
 */
public final class AffinitySummaryParser {
  private static final int FORMAT_VERSION = 1;
  private static final ObjectMapper MAPPER =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private AffinitySummaryParser() {}

  /** The summary as a JSON object. */
  public static ObjectNode toNode(AffinitySummary summary) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("format-version", FORMAT_VERSION);
    root.put("trace", summary.trace());
    ObjectNode selection = root.putObject("selection");
    selection.put("tokens", summary.selection().tokens().toString());
    selection.put("sequences", summary.selection().sequences().toString());
    ObjectNode shape = root.putObject("shape");
    shape.put("layers", summary.shape().layers());
    shape.put("experts", summary.shape().experts());
    shape.put("top-k", summary.shape().topK());
    root.put("tokens", summary.tokens());
    root.put("seed", summary.seed());
    ArrayNode layers = root.putArray("layers");
    for (LayerMetrics metrics : summary.layers()) {
      ObjectNode layer = toNode(metrics);
      layers.add(layer);
      if (metrics.layer() < summary.gaps().size()) {
        layer.set("next-layer", toNode(summary.gaps().get(metrics.layer())));
      }
    }

    return root;
  }

  static ObjectNode toNode(LayerMetrics metrics) {
    ObjectNode layer = JsonNodeFactory.instance.objectNode();
    layer.put("layer", metrics.layer());
    ArrayNode shares = layer.putArray("popularity");
    metrics.shares().forEach(shares::add);
    layer.put("gini", metrics.gini());
    layer.put("cv", metrics.coefficientOfVariation());
    layer.put("max-over-mean", metrics.maxOverMean());
    layer.put("entropy-bits", metrics.entropyBits());
    return layer;
  }

  private static ObjectNode toNode(GapMetrics gap) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("mutual-information-bits", gap.mutualInformationBits());
    node.put("mutual-information-bits-shuffled", gap.shuffledMutualInformationBits());
    node.put("mean-max-next", gap.meanMaxNext());
    node.put("mean-max-next-independent", gap.independentMaxNext());
    node.put("mean-max-next-shuffled", gap.shuffledMeanMaxNext());
    return node;
  }

  /** The summary as indented JSON text. */
  public static String toJson(AffinitySummary summary) {
    try {
      return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(toNode(summary)) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A tree of numbers and strings is always JSON", e);
    }
  }

  /**
   * Parses a summary.
   *
   * @throws AffinityFormatException if the text is not JSON, of another version, or a field is
   *     missing or of another kind
   */
  public static AffinitySummary fromJson(String json) {
    JsonNode root;
    try {
      root = MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw new AffinityFormatException(
          "Cannot parse summary: not JSON at line %d, column %d"
              .formatted(e.getLocation().getLineNr(), e.getLocation().getColumnNr()),
          e);
    }

    long version = integer(root, "format-version");
    if (version != FORMAT_VERSION) {
      throw new AffinityFormatException(
          "Cannot parse summary: format-version %d, expected %d"
              .formatted(version, FORMAT_VERSION));
    }

    try {
      JsonNode shape = field(root, "shape");
      JsonNode selection = field(root, "selection");
      List<LayerMetrics> layers = new ArrayList<>();
      List<GapMetrics> gaps = new ArrayList<>();
      for (JsonNode layer : field(root, "layers")) {
        layers.add(layer(layer, layers.size()));
        if (layer.has("next-layer")) {
          gaps.add(gap(layer.get("next-layer"), gaps.size()));
        }
      }

      return new AffinitySummary(
          text(root, "trace"),
          new TokenSelection(
              TokenRange.parse(text(selection, "tokens")),
              Sequences.parse(text(selection, "sequences"))),
          new ModelShape(
              Math.toIntExact(integer(shape, "layers")),
              Math.toIntExact(integer(shape, "experts")),
              Math.toIntExact(integer(shape, "top-k"))),
          integer(root, "tokens"),
          integer(root, "seed"),
          layers,
          gaps);
    } catch (IllegalArgumentException | ArithmeticException e) {
      throw new AffinityFormatException("Cannot parse summary: " + e.getMessage(), e);
    }
  }

  private static LayerMetrics layer(JsonNode node, int expected) {
    if (integer(node, "layer") != expected) {
      throw new AffinityFormatException(
          "Cannot parse summary: layer %d stands in place of layer %d"
              .formatted(integer(node, "layer"), expected));
    }

    List<Double> shares = new ArrayList<>();
    for (JsonNode share : field(node, "popularity")) {
      shares.add(share.asDouble());
    }

    return new LayerMetrics(
        expected,
        shares,
        number(node, "gini"),
        number(node, "max-over-mean"),
        number(node, "entropy-bits"));
  }

  private static GapMetrics gap(JsonNode node, int gap) {
    return new GapMetrics(
        gap,
        number(node, "mutual-information-bits"),
        number(node, "mutual-information-bits-shuffled"),
        number(node, "mean-max-next"),
        number(node, "mean-max-next-independent"),
        number(node, "mean-max-next-shuffled"));
  }

  private static JsonNode field(JsonNode node, String name) {
    if (!node.has(name)) {
      throw new AffinityFormatException(
          "Cannot parse summary: field %s is missing".formatted(name));
    }

    return node.get(name);
  }

  private static long integer(JsonNode node, String name) {
    JsonNode value = field(node, name);
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw new AffinityFormatException(
          "Cannot parse summary: field %s is %s, expected an integer".formatted(name, value));
    }

    return value.longValue();
  }

  private static double number(JsonNode node, String name) {
    JsonNode value = field(node, name);
    if (!value.isNumber()) {
      throw new AffinityFormatException(
          "Cannot parse summary: field %s is %s, expected a number".formatted(name, value));
    }

    return value.doubleValue();
  }

  private static String text(JsonNode node, String name) {
    JsonNode value = field(node, name);
    if (!value.isTextual()) {
      throw new AffinityFormatException(
          "Cannot parse summary: field %s is %s, expected text".formatted(name, value));
    }

    return value.textValue();
  }
}
