package io.expertatlas.predictor.report;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.report.HtmlReport;
import io.expertatlas.predictor.Estimate;
import io.expertatlas.predictor.LayerMetrics;
import io.expertatlas.predictor.PredictionMetrics;
import io.expertatlas.predictor.json.ScoredPredictor;
import java.util.ArrayList;
import java.util.List;

/** The page of predictors scored on the same tokens. */
public final class PredictorReport {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private PredictorReport() {}

  /**
   * The page.
   *
   * @param tokens what they were scored on, in words
   */
  public static HtmlReport of(String tokens, List<ScoredPredictor> predictors) {
    int topK = predictors.get(0).predictor().model().shape().topK();
    HtmlReport report =
        HtmlReport.titled(
            "Which experts come next",
            "Predictors of the experts of later layers, scored on %s.".formatted(tokens));
    report.facts(facts(predictors, topK));
    report.section(
        "Recall of the chosen experts",
        "Share of a token's %d experts that are among the %d that were predicted, all layers together. Layer l predicts layer l + h: the larger h, the earlier an expert can be fetched."
            .formatted(topK, topK));
    report.plot(
        "recall", "Recall at %d by head-out h.".formatted(topK), 380, byHeadOut(predictors));
    report.table(
        "Recall at %d with 95 %% bootstrap intervals over sequences, exact sets at h = 1, and multiply-adds of a token and layer."
            .formatted(topK),
        header(predictors),
        rows(predictors));
    for (int h = 1; h <= heads(predictors); h++) {
      report.section(
          "Layer by layer, h = " + h,
          "The layer on the axis is the one whose experts are predicted.");
      report.plot(
          "layers-" + h,
          "Recall at %d of each layer.".formatted(topK),
          320,
          byLayer(predictors, h));
    }

    report.section(
        "What a cache of predicted experts holds",
        "Share of the chosen experts that are among the C most likely ones, h = 1: what is not there must be fetched on demand.");
    report.plot("caches", "Recall by size of the cache, h = 1.", 320, byCache(predictors));
    return report;
  }

  private static int heads(List<ScoredPredictor> predictors) {
    return predictors.stream().mapToInt(p -> p.headOuts().size()).max().orElse(0);
  }

  private static List<HtmlReport.Fact> facts(List<ScoredPredictor> predictors, int topK) {
    List<HtmlReport.Fact> facts = new ArrayList<>();
    for (int h = 1; h <= heads(predictors); h++) {
      ScoredPredictor best = predictors.get(0);
      for (ScoredPredictor candidate : predictors) {
        if (candidate.headOuts().get(h - 1).recallAtK().value()
            > best.headOuts().get(h - 1).recallAtK().value()) {
          best = candidate;
        }
      }

      facts.add(
          new HtmlReport.Fact(
              "best recall at %d, h = %d (%s)".formatted(topK, h, best.name()),
              percent(best.headOuts().get(h - 1).recallAtK().value())));
    }

    return facts;
  }

  private static String percent(double share) {
    return "%.1f %%".formatted(100 * share);
  }

  private static List<String> header(List<ScoredPredictor> predictors) {
    List<String> header = new ArrayList<>(List.of("predictor"));
    for (int h = 1; h <= heads(predictors); h++) {
      header.add("h = " + h);
      header.add("interval");
    }

    header.addAll(List.of("exact sets", "multiply-adds"));
    return header;
  }

  private static List<List<String>> rows(List<ScoredPredictor> predictors) {
    List<List<String>> rows = new ArrayList<>();
    for (ScoredPredictor one : predictors) {
      List<String> row = new ArrayList<>(List.of(one.name()));
      for (PredictionMetrics metrics : one.headOuts()) {
        Estimate recall = metrics.recallAtK();
        row.add("%.4f".formatted(recall.value()));
        row.add("%.3f to %.3f".formatted(recall.low(), recall.high()));
      }

      List<Estimate> matches = one.headOuts().get(0).overall().matches();
      row.add("%.4f".formatted(matches.get(matches.size() - 1).value()));
      row.add("%,d".formatted(one.multiplyAdds()));
      rows.add(row);
    }

    return rows;
  }

  private static ObjectNode byHeadOut(List<ScoredPredictor> predictors) {
    ObjectNode option = axes("h", "recall");
    ArrayNode names = category(option);
    for (int h = 1; h <= heads(predictors); h++) {
      names.add("h = " + h);
    }

    for (ScoredPredictor one : predictors) {
      ArrayNode data = series(option, one.name(), "bar");
      one.headOuts().forEach(metrics -> data.add(metrics.recallAtK().value()));
    }

    return option;
  }

  private static ObjectNode byLayer(List<ScoredPredictor> predictors, int headOut) {
    ObjectNode option = axes("layer", "recall");
    ArrayNode names = category(option);
    for (LayerMetrics layer : predictors.get(0).headOuts().get(headOut - 1).layers()) {
      names.add(String.valueOf(layer.layer()));
    }

    for (ScoredPredictor one : predictors) {
      ArrayNode data = series(option, one.name(), "line");
      one.headOuts()
          .get(headOut - 1)
          .layers()
          .forEach(layer -> data.add(layer.recall().get(0).value()));
    }

    return option;
  }

  private static ObjectNode byCache(List<ScoredPredictor> predictors) {
    ObjectNode option = axes("experts in the cache", "recall");
    ArrayNode names = category(option);
    predictors.get(0).headOuts().get(0).caches().forEach(size -> names.add(String.valueOf(size)));
    for (ScoredPredictor one : predictors) {
      ArrayNode data = series(option, one.name(), "line");
      one.headOuts().get(0).overall().recall().forEach(share -> data.add(share.value()));
    }

    return option;
  }

  private static ObjectNode axes(String x, String y) {
    ObjectNode option = MAPPER.createObjectNode();
    option.put("color", "$series");
    ObjectNode legend = option.putObject("legend");
    legend.put("top", 0);
    legend.putObject("textStyle").put("color", "$ink");
    option.putObject("grid").put("left", 60).put("right", 24).put("top", 56).put("bottom", 48);
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put("formatter", "@{name}\n{marker} {seriesName}: {value:f3}");
    ObjectNode xAxis = option.putObject("xAxis");
    xAxis.put("type", "category").put("name", x).put("nameLocation", "middle").put("nameGap", 28);
    ObjectNode yAxis = option.putObject("yAxis");
    yAxis.put("type", "value").put("name", y).put("min", 0).put("max", 1);
    option.putArray("series");
    return option;
  }

  private static ArrayNode category(ObjectNode option) {
    return ((ObjectNode) option.get("xAxis")).putArray("data");
  }

  private static ArrayNode series(ObjectNode option, String name, String type) {
    ObjectNode series = ((ArrayNode) option.get("series")).addObject();
    series.put("name", name).put("type", type);
    return series.putArray("data");
  }
}
