package io.expertatlas.runtime.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.report.HtmlReport;
import io.expertatlas.affinity.report.HtmlReport.Fact;
import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.sim.MemoryNeed;
import io.expertatlas.runtime.sim.PipelineRun;
import io.expertatlas.runtime.sim.PipelineSimulator;
import io.expertatlas.runtime.sim.Scenario;
import io.expertatlas.runtime.sim.StepResult.DeviceResult;
import java.util.List;
import java.util.Locale;
import java.util.function.ToLongFunction;

/** The page of {@code simulate}: pipelines side by side, and what each device did when. */
public final class SimulationReport {
  private static final List<String> STREAMS =
      List.of(
          PipelineSimulator.GPU,
          PipelineSimulator.CPU,
          PipelineSimulator.LOAD,
          PipelineSimulator.STORE,
          PipelineSimulator.SEND);

  private SimulationReport() {}

  /**
   * Builds the page.
   *
   * @param runs with the timeline of their last step
   * @param profile where the times are from
   * @param routing where the tokens go
   */
  public static HtmlReport of(
      Scenario scenario, List<PipelineRun> runs, String profile, String routing) {
    HtmlReport page =
        HtmlReport.titled(
            "Pipelines of a model that does not fit",
            "Simulated training steps on %s. Times of %s; routing: %s."
                .formatted(scenario.machine().name(), profile, routing));
    page.facts(
        List.of(
            new Fact("Parameters", fixed(scenario.parameters() / 1e9, 2) + " B"),
            new Fact("Layers x experts", scenario.layers() + " x " + scenario.experts()),
            new Fact("GPUs", Integer.toString(scenario.devices())),
            new Fact(
                "Memory of each",
                scenario.isBounded() ? fixed(scenario.budgetBytes() / 1e9, 1) + " GB" : "any"),
            new Fact("CPU cores of each", Integer.toString(scenario.machine().coresPerProcess())),
            new Fact(
                "Tokens of a step",
                "%,d".formatted((long) scenario.tokens() * scenario.chunks()))));
    List<PipelineRun> ran = runs.stream().filter(PipelineRun::ran).toList();
    page.section(
        "A step",
        "The median step of each pipeline, and how long its parts were busy, mean of the GPUs.");
    page.plot("steps", "Seconds of a step.", 80 + 40 * ran.size(), seconds(ran));
    page.plot(
        "busy",
        "Share of the step in which a GPU computed, its CPU cores computed experts, and its link loaded weights.",
        100 + 62 * ran.size(),
        busy(ran));
    page.table(
        "Memory is what the fullest GPU holds at once. Expert there: tokens whose expert was on the GPU when their gate spoke.",
        List.of("Pipeline", "Seconds", "Sequences/s", "Memory GB", "Tokens on CPU", "Expert there"),
        runs.stream().map(run -> row(scenario, run)).toList());
    for (int i = 0; i < ran.size(); i++) {
      PipelineRun run = ran.get(i);
      Timeline timeline = run.steps().get(run.steps().size() - 1).timeline();
      if (!timeline.spans().isEmpty()) {
        TimelinePlot plot = new TimelinePlot(timeline, STREAMS);
        page.section("Timeline of " + run.name(), "The last step. " + run.plan() + ".");
        page.plot(
            "timeline-" + i,
            "Drag the handles to zoom, the bar between them to scroll. Bars that almost touch are drawn as one.",
            plot.height(),
            plot.option());
      }
    }

    return page;
  }

  private static List<String> row(Scenario scenario, PipelineRun run) {
    if (!run.ran()) {
      String name = run.name() + ", which does not fit";
      return List.of(name, "", "", fixed(MemoryNeed.gigabytes(run.need().bytes()), 2), "", "");
    }

    return List.of(
        run.name(),
        fixed(run.stepSeconds(), 4),
        fixed(scenario.batchSize() / run.stepSeconds(), 3),
        fixed(MemoryNeed.gigabytes(run.need().bytes()), 2),
        fixed(100 * run.cpuShare(), 1) + " %",
        fixed(100 * run.hitRate(), 1) + " %");
  }

  private static ObjectNode bars(List<PipelineRun> runs, String axis) {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option.putObject("grid").put("left", 170).put("right", 80).put("top", 34).put("bottom", 46);
    ObjectNode x = option.putObject("xAxis").put("type", "value").put("min", 0);
    x.put("name", axis).put("nameLocation", "middle").put("nameGap", 28);
    ObjectNode y = option.putObject("yAxis").put("type", "category").put("inverse", true);
    ArrayNode names = y.putArray("data");
    runs.forEach(run -> names.add(run.name()));
    return option;
  }

  private static ObjectNode seconds(List<PipelineRun> runs) {
    ObjectNode option = bars(runs, "Seconds");
    ArrayNode data = series(option.putArray("series"), "Step", 0, "@{value:f3}");
    runs.forEach(run -> data.add(Math.rint(run.stepSeconds() * 1e6) / 1e6));
    return option;
  }

  private static ObjectNode busy(List<PipelineRun> runs) {
    ObjectNode option = bars(runs, "Share of the step");
    option.putObject("legend").put("top", 0).put("right", 16);
    ((ObjectNode) option.get("xAxis")).put("max", 1);
    ArrayNode series = option.putArray("series");
    busy(series, "GPU", 0, runs, DeviceResult::gpuNanos);
    busy(series, "CPU", 1, runs, DeviceResult::cpuNanos);
    busy(series, "Loading", 2, runs, DeviceResult::loadNanos);
    return option;
  }

  private static void busy(
      ArrayNode series,
      String name,
      int color,
      List<PipelineRun> runs,
      ToLongFunction<DeviceResult> of) {
    ArrayNode data = series(series, name, color, "@{value:pct0}");
    runs.forEach(run -> data.add(Math.rint(run.share(of) * 1e4) / 1e4));
  }

  private static ArrayNode series(ArrayNode series, String name, int color, String label) {
    ObjectNode bar = series.addObject().put("type", "bar").put("name", name).put("barMaxWidth", 16);
    bar.putObject("itemStyle").put("color", "$series." + color);
    bar.putObject("label")
        .put("show", true)
        .put("position", "right")
        .put("color", "$ink")
        .put("formatter", label);
    return bar.putArray("data");
  }

  static String fixed(double value, int decimals) {
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }
}
