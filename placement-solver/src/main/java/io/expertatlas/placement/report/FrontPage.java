package io.expertatlas.placement.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.affinity.report.HtmlReport;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.solver.Front;
import io.expertatlas.placement.solver.Front.Point;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The page of one front or several: a curve each, and a table. */
public final class FrontPage {
  private static final int COLOURS = 8;

  private FrontPage() {}

  /**
   * Builds the page. Several fronts are drawn against their contiguous blocks, as 100 %.
   *
   * @throws IllegalArgumentException if there is none, or they trade different objectives
   */
  public static HtmlReport of(List<Front> fronts) {
    if (fronts.isEmpty()) {
      throw new IllegalArgumentException("Cannot draw fronts: there is none");
    }

    Front first = fronts.get(0);
    for (Front front : fronts) {
      if (front.minimised() != first.minimised() || front.capped() != first.capped()) {
        throw new IllegalArgumentException(
            "Cannot draw fronts together: %s trades %s for %s, %s trades %s for %s"
                .formatted(
                    first.name(),
                    first.minimised().word(),
                    first.capped().word(),
                    front.name(),
                    front.minimised().word(),
                    front.capped().word()));
      }
    }

    HtmlReport page =
        HtmlReport.titled(
            "%s against %s".formatted(title(first.minimised()), noun(first.capped())),
            "What placements cost in %s when %s is capped: each point is a placement, none is better in both. The dashed line is proven: no placement within the cap is below it."
                .formatted(noun(first.minimised()), noun(first.capped())));
    page.section("The front", "Choose the point whose two costs your engine bears best.")
        .plot("front", caption(fronts), 460, plot(fronts));
    for (Front front : fronts) {
      page.section(
              front.name(),
              "Caps are multiples of the least %s known. Contiguous blocks: %s a token, %s GPUs a token and layer, load %s."
                  .formatted(
                      noun(front.capped()),
                      "%s %s".formatted(fixed(front.reference().hops()), "hops"),
                      fixed(front.reference().gpus()),
                      fixed(front.reference().load())))
          .table(
              "Placements of the front, on the tokens they were fitted on.",
              header(front.reference().nodes() > 0),
              rows(front));
    }

    return page;
  }

  private static String caption(List<Front> fronts) {
    return fronts.size() == 1
        ? "A curve goes from the tightest cap, left, to none."
        : "In percent of what contiguous blocks cost. A curve goes from the tightest cap, left, to none.";
  }

  private static String title(Objective objective) {
    return switch (objective) {
      case HOPS -> "Hops";
      case CROSSINGS -> "Changes of GPU";
      case FANOUT -> "GPUs touched";
      case LOAD -> "Load";
      case COPIES -> "Copies sent";
    };
  }

  private static String noun(Objective objective) {
    return title(objective).toLowerCase(Locale.ROOT).replace("gpu", "GPU");
  }

  private static String axis(Objective objective) {
    return switch (objective) {
      case HOPS -> "Hops a token";
      case CROSSINGS -> "Changes of GPU a token";
      case FANOUT -> "GPUs (and nodes) a token and layer";
      case LOAD -> "Load: busiest GPU over mean, mean of layers";
      case COPIES -> "Copies a token";
    };
  }

  private static ObjectNode plot(List<Front> fronts) {
    boolean relative = fronts.size() > 1;
    Front first = fronts.get(0);
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option
        .putObject("tooltip")
        .put("trigger", "item")
        .put(
            "formatter",
            "@{seriesName}, cap {value.2}\n%s <b>{value.0:f3}</b>\n%s <b>{value.1:f3}</b>"
                .formatted(title(first.capped()), title(first.minimised())));
    option.putObject("legend").put("top", 0).put("right", 16);
    option.putObject("grid").put("left", 76).put("right", 24).put("top", 40).put("bottom", 54);
    ObjectNode x = option.putObject("xAxis").put("type", "value").put("scale", true);
    x.put("name", axis(first.capped())).put("nameLocation", "middle").put("nameGap", 30);
    ObjectNode y = option.putObject("yAxis").put("type", "value").put("min", 0);
    y.put("name", axis(first.minimised()) + (relative ? ", % of contiguous blocks" : ""));
    y.put("nameLocation", "middle").put("nameGap", 52);
    ArrayNode series = option.putArray("series");
    for (int i = 0; i < fronts.size(); i++) {
      Front front = fronts.get(i);
      double unit = relative ? front.reference().of(front.minimised()) / 100 : 1;
      String colour = "$series." + i % COLOURS;
      ArrayNode curve = line(series, front.name(), colour, "solid", 8);
      ArrayNode bound = line(series, front.name() + ", bound", colour, "dashed", 0);
      for (Point point : front.points()) {
        double across = rounded(point.costs().of(front.capped()));
        curve
            .addArray()
            .add(across)
            .add(rounded(point.costs().of(front.minimised()) / unit))
            .add(point.capInWords());
        bound.addArray().add(across).add(rounded(point.bound() / unit)).add(point.capInWords());
      }
    }

    return option;
  }

  private static ArrayNode line(
      ArrayNode series, String name, String colour, String type, int symbol) {
    ObjectNode line = series.addObject().put("type", "line").put("name", name);
    line.put("symbolSize", symbol).put("showSymbol", symbol > 0);
    line.putObject("itemStyle").put("color", colour);
    line.putObject("lineStyle")
        .put("width", symbol > 0 ? 2 : 1)
        .put("type", type)
        .put("color", colour);
    return line.putArray("data");
  }

  private static double rounded(double value) {
    return Math.rint(value * 1e6) / 1e6;
  }

  private static List<String> header(boolean nodes) {
    List<String> header = new ArrayList<>(List.of("Cap", "Hops", "GPUs / layer"));
    if (nodes) {
      header.add("Nodes / layer");
    }

    header.addAll(List.of("Load", "Worst layer", "Bound", "Gap", "File"));
    return header;
  }

  private static List<List<String>> rows(Front front) {
    List<List<String>> rows = new ArrayList<>();
    for (Point point : front.points()) {
      double value = point.costs().of(front.minimised());
      List<String> row = new ArrayList<>();
      row.add(point.capInWords());
      row.add(fixed(point.costs().hops()));
      row.add(fixed(point.costs().gpus()));
      if (front.reference().nodes() > 0) {
        row.add(fixed(point.costs().nodes()));
      }

      row.add(fixed(point.costs().load()));
      row.add(fixed(point.costs().worstLoad()));
      row.add(fixed(point.bound()));
      double gap = value == 0 ? 0 : 100 * (value - point.bound()) / value;
      row.add(String.format(Locale.ROOT, "%.1f %%", gap));
      row.add(point.file());
      rows.add(row);
    }

    return rows;
  }

  private static String fixed(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }
}
