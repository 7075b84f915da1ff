package io.expertatlas.runtime.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.report.HtmlReport;
import io.expertatlas.affinity.report.HtmlReport.Fact;
import io.expertatlas.runtime.pipeline.PipelineKind;
import io.expertatlas.runtime.sim.PaperClaims.Claim;
import io.expertatlas.runtime.sim.SweepPoint;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.TreeMap;

/** The page of {@code simulate --sweep}: the paper's claims, and all that was simulated. */
public final class SweepReport {
  private SweepReport() {}

  /** Pipelines of one place, by kind. */
  private record Place(String model, double skew, String topology, int gpus, int batch) {}

  /**
   * Builds the page.
   *
   * @param machine in words
   * @param policy of APTMoE
   * @param fidelity of its predictor
   */
  public static HtmlReport of(
      List<SweepPoint> points, List<Claim> claims, String machine, String policy, double fidelity) {
    HtmlReport page =
        HtmlReport.titled(
            "APTMoE's comparison, simulated",
            "64 layers on %s. Policy %s, %s."
                .formatted(
                    machine,
                    policy,
                    Double.isNaN(fidelity)
                        ? "no predictor"
                        : "a predictor right for %s of the tokens".formatted(fidelity)));
    long agree = claims.stream().filter(Claim::agrees).count();
    page.facts(
        List.of(
            new Fact("Steps simulated", Integer.toString(points.size())),
            new Fact("Claims that agree", agree + " of " + claims.size())));
    page.section(
        "Claims of the paper",
        "A gain agrees if it has the paper's sign and differs by 10 percentage points at most, a speedup by 15 %.");
    page.table(
        "Throughput against Mobius; the paper's figures are its own measurements.",
        List.of("Claim", "Paper", "Simulated", "Agrees"),
        claims.stream()
            .map(
                claim ->
                    List.of(
                        claim.text(), claim.paper(), claim.ours(), claim.agrees() ? "yes" : "no"))
            .toList());
    page.section(
        "Gain over Mobius",
        "Throughput of APTMoE over that of Mobius on 4 GPUs, by the skew of the routing; C1+Gn: n GPUs share a CPU of 28 cores.");
    List<String> models = points.stream().map(SweepPoint::model).distinct().toList();
    for (String model : models) {
      page.plot(
          "gain-" + model.toLowerCase(Locale.ROOT),
          model + ": percent more sequences a second than Mobius.",
          260,
          gains(points, model));
    }

    page.section("All steps", "Seconds of a step; empty: it does not fit.");
    page.table(
        "Median of two steps after one to warm up.",
        List.of(
            "Model",
            "Skew",
            "Topology",
            "GPUs",
            "Batch",
            "gpipe",
            "gpipe-offload",
            "mobius",
            "aptmoe",
            "Over mobius"),
        rows(points));
    return page;
  }

  private static OptionalDouble seconds(List<SweepPoint> points, Place place, PipelineKind kind) {
    return points.stream()
        .filter(point -> place(point).equals(place) && point.kind() == kind)
        .mapToDouble(SweepPoint::seconds)
        .filter(value -> !Double.isNaN(value))
        .findFirst();
  }

  private static Place place(SweepPoint point) {
    return new Place(
        point.model(), point.skew(), point.topology(), point.gpus(), point.batchSize());
  }

  private static OptionalDouble gain(List<SweepPoint> points, Place place) {
    OptionalDouble mobius = seconds(points, place, PipelineKind.MOBIUS);
    OptionalDouble ours = seconds(points, place, PipelineKind.APTMOE);
    return mobius.isPresent() && ours.isPresent()
        ? OptionalDouble.of(100 * (mobius.getAsDouble() / ours.getAsDouble() - 1))
        : OptionalDouble.empty();
  }

  private static List<List<String>> rows(List<SweepPoint> points) {
    List<List<String>> rows = new ArrayList<>();
    for (Place place : points.stream().map(SweepReport::place).distinct().toList()) {
      List<String> row = new ArrayList<>();
      row.add(place.model());
      row.add(Double.toString(place.skew()));
      row.add(place.topology());
      row.add(Integer.toString(place.gpus()));
      row.add(Integer.toString(place.batch()));
      for (PipelineKind kind : PipelineKind.values()) {
        OptionalDouble seconds = seconds(points, place, kind);
        row.add(seconds.isPresent() ? SimulationReport.fixed(seconds.getAsDouble(), 3) : "");
      }

      OptionalDouble gain = gain(points, place);
      row.add(gain.isPresent() ? "%+.1f %%".formatted(gain.getAsDouble()) : "");
      rows.add(row);
    }

    return rows;
  }

  private static ObjectNode gains(List<SweepPoint> points, String model) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option
        .putObject("tooltip")
        .put("trigger", "item")
        .put("formatter", "@{seriesName}, skew {value.0}\n{value.1:f1} %");
    option.putObject("legend").put("top", 0).put("right", 16);
    option.putObject("grid").put("left", 66).put("right", 30).put("top", 36).put("bottom", 46);
    ObjectNode x = option.putObject("xAxis").put("type", "value").put("scale", true);
    x.put("name", "Sum of squared shares").put("nameLocation", "middle").put("nameGap", 28);
    ObjectNode y = option.putObject("yAxis").put("type", "value");
    y.put("name", "% over Mobius").put("nameLocation", "middle").put("nameGap", 42);
    ArrayNode series = option.putArray("series");
    int batch =
        points.stream()
            .filter(point -> point.model().equals(model))
            .findFirst()
            .orElseThrow()
            .batchSize();
    TreeMap<String, TreeMap<Double, Double>> byTopology = new TreeMap<>();
    for (SweepPoint point : points) {
      if (point.model().equals(model) && point.gpus() == 4 && point.batchSize() == batch) {
        gain(points, place(point))
            .ifPresent(
                gain ->
                    byTopology
                        .computeIfAbsent(point.topology(), key -> new TreeMap<>())
                        .put(point.skew(), gain));
      }
    }

    int color = 0;
    for (String topology : byTopology.keySet()) {
      ObjectNode one = series.addObject().put("type", "line").put("name", topology);
      one.put("symbolSize", 7);
      one.putObject("lineStyle").put("color", "$series." + color);
      one.putObject("itemStyle").put("color", "$series." + color++);
      ArrayNode data = one.putArray("data");
      byTopology
          .get(topology)
          .forEach((skew, gain) -> data.addArray().add(skew).add(Math.rint(gain * 100) / 100));
    }

    return option;
  }
}
