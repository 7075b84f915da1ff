package io.expertatlas.runtime.finetune;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.report.HtmlReport;
import io.expertatlas.affinity.report.HtmlReport.Fact;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** The page of a training: losses, rates, gradient norms, settings. */
final class LossReport {
  private static final int HEIGHT = 380;
  private static final int SMALL_HEIGHT = 240;

  private LossReport() {}

  static HtmlReport of(FinetuneResult result) {
    List<TrainingState.Point> curve = result.curve();
    HtmlReport page =
        HtmlReport.titled(
                "Fine-tuning of " + result.model(),
                "What a model learnt from a text: the loss of each step, and that of text which it"
                    + " was not trained on, before and after. Losses are cross-entropies in nats a"
                    + " token.")
            .facts(
                List.of(
                    new Fact("Held-out loss before", "%.4f".formatted(result.heldOutBefore())),
                    new Fact("Held-out loss after", "%.4f".formatted(result.heldOutAfter())),
                    new Fact("Steps", "%d".formatted(curve.size())),
                    new Fact("Parameters", "%,d".formatted(result.parameters())),
                    new Fact("Tokens a second", "%.0f".formatted(result.tokensPerSecond()))));
    page.section(
            "Loss",
            "Each step's loss is that of its own batch, before its update, so it varies with the"
                + " text. The two dots are the loss of all held-out text.")
        .plot("loss", "Loss over steps, nats a token.", HEIGHT, loss(result));
    page.section(
            "Rate and gradient",
            "The learning rate follows the schedule; the norm of the gradient is that of all"
                + " parameters together, before it is clipped.")
        .plot(
            "rate",
            "Learning rate over steps.",
            SMALL_HEIGHT,
            single("Learning rate", curve, TrainingState.Point::rate, "", 1))
        .plot(
            "norm",
            "Norm of the gradient over steps.",
            SMALL_HEIGHT,
            single("Gradient norm", curve, TrainingState.Point::gradientNorm, ":f3", 2));
    return page.section(
            "Settings",
            "The first table names all that the weights depend on: the same settings, text and"
                + " weights give the same bits. The second says how they were computed.")
        .table("What the result depends on", List.of("Setting", "Value"), rows(result.training()))
        .table("How it was computed", List.of("Setting", "Value"), rows(execution(result)));
  }

  private static Map<String, String> execution(FinetuneResult result) {
    Map<String, String> all = new LinkedHashMap<>(result.execution());
    all.put("peak-bytes", "%,d".formatted(result.peakBytes()));
    all.put("resumed-from", Integer.toString(result.resumedFrom()));
    return all;
  }

  private static List<List<String>> rows(Map<String, String> settings) {
    List<List<String>> rows = new ArrayList<>();
    settings.forEach((key, value) -> rows.add(List.of(key, value)));
    return rows;
  }

  private static ObjectNode loss(FinetuneResult result) {
    ObjectNode option = axes("Loss", ":f3");
    option.putObject("legend").put("top", 0);
    ArrayNode series = option.putArray("series");
    series.add(line("Batch", result.curve(), TrainingState.Point::loss, 0));
    ObjectNode dots = series.addObject();
    dots.put("name", "Held out").put("type", "scatter").put("symbolSize", 12);
    dots.putObject("itemStyle").put("color", "$series.1");
    ArrayNode data = dots.putArray("data");
    data.addArray().add(0).add(result.heldOutBefore());
    data.addArray().add(result.curve().size()).add(result.heldOutAfter());
    return option;
  }

  private static ObjectNode single(
      String name,
      List<TrainingState.Point> curve,
      ToDoubleFunction<TrainingState.Point> value,
      String format,
      int colour) {
    ObjectNode option = axes(name, format);
    option.putArray("series").add(line(name, curve, value, colour));
    return option;
  }

  private static ObjectNode axes(String name, String format) {
    ObjectNode option = new ObjectMapper().createObjectNode();
    option
        .putObject("tooltip")
        .put("trigger", "axis")
        .put(
            "formatter",
            "@Step {axisValue}\n{marker}{seriesName}: <b>{value.1%s}</b>".formatted(format));
    option.putObject("grid").put("left", 72).put("right", 16).put("top", 34).put("bottom", 48);
    ObjectNode x = option.putObject("xAxis");
    x.put("type", "value").put("name", "Step").put("nameLocation", "middle").put("nameGap", 28);
    ObjectNode y = option.putObject("yAxis");
    y.put("type", "value").put("name", name).put("nameLocation", "middle").put("nameGap", 52);
    y.put("scale", true);
    return option;
  }

  private static ObjectNode line(
      String name,
      List<TrainingState.Point> curve,
      ToDoubleFunction<TrainingState.Point> value,
      int colour) {
    ObjectNode line = new ObjectMapper().createObjectNode();
    line.put("name", name).put("type", "line").put("showSymbol", curve.size() <= 2);
    line.putObject("lineStyle").put("color", "$series." + colour).put("width", 1.5);
    line.putObject("itemStyle").put("color", "$series." + colour);
    ArrayNode data = line.putArray("data");
    for (int step = 0; step < curve.size(); step++) {
      data.addArray().add(step + 1).add(value.applyAsDouble(curve.get(step)));
    }

    return line;
  }
}
