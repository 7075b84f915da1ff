package io.expertatlas.runtime.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.Timeline.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A timeline as bars, a row for each rank and stream; it is zoomed and scrolled. */
final class TimelinePlot {
  /** Neighbours nearer than this part of the whole are drawn as one, more coarsely if many. */
  private static final double FINEST = 1.0 / 20_000;

  private static final int MOST_BARS = 6_000;
  private static final int ROW = 18; // pixels
  private static final String MORE = " and more";

  private final Map<String, List<Span>> rows = new TreeMap<>(); // by rank and stream
  private final List<String> streams;
  private final long begin;
  private final long end;

  /** A timeline with its streams in the order in which they are drawn. */
  TimelinePlot(Timeline timeline, List<String> streams) {
    this.streams = streams;
    long first = timeline.spans().isEmpty() ? 0 : timeline.spans().get(0).beginNanos();
    long last = first;
    for (Span span : timeline.spans()) {
      last = Math.max(last, span.endNanos());
      rows.computeIfAbsent(row(span), key -> new ArrayList<>()).add(span);
    }

    this.begin = first;
    this.end = last;
  }

  private String row(Span span) {
    return "%04d %d".formatted(span.rank(), streams.indexOf(span.stream()));
  }

  int height() {
    return 110 + ROW * rows.size();
  }

  private List<Span> merged(List<Span> spans, double gap) {
    List<Span> merged = new ArrayList<>();
    Span open = spans.get(0);
    for (Span span : spans.subList(1, spans.size())) {
      if (span.beginNanos() - open.endNanos() > gap) {
        merged.add(open);
        open = span;
      } else {
        open =
            new Span(
                open.rank(),
                open.stream(),
                open.work().endsWith(MORE) ? open.work() : open.work() + MORE,
                open.beginNanos(),
                Math.max(open.endNanos(), span.endNanos()));
      }
    }

    merged.add(open);
    return merged;
  }

  private Map<String, List<Span>> bars() {
    for (double gap = FINEST * (end - begin); ; gap *= 2) {
      Map<String, List<Span>> bars = new TreeMap<>();
      int count = 0;
      for (Map.Entry<String, List<Span>> row : rows.entrySet()) {
        bars.put(row.getKey(), merged(row.getValue(), gap));
        count += bars.get(row.getKey()).size();
      }

      if (count <= Math.max(MOST_BARS, rows.size())) {
        return bars;
      }
    }
  }

  ObjectNode option() {
    ObjectNode option = JsonNodeFactory.instance.objectNode();
    option
        .putObject("tooltip")
        .put("trigger", "item")
        .put("formatter", "@{name}\nfrom {data.from:f2} ms for {data.length:f2} ms");
    option.putObject("legend").put("top", 0).put("right", 16);
    option.putObject("grid").put("left", 100).put("right", 20).put("top", 34).put("bottom", 76);
    ObjectNode x = option.putObject("xAxis").put("type", "value").put("min", 0);
    x.put("max", Math.ceil((end - begin) / 1e6))
        .put("name", "Milliseconds")
        .put("nameLocation", "middle");
    x.put("nameGap", 26);
    ObjectNode y = option.putObject("yAxis").put("type", "category").put("inverse", true);
    y.putObject("axisLabel").put("interval", 0).put("fontSize", 11);
    ArrayNode names = y.putArray("data");
    Map<String, List<Span>> bars = bars();
    for (List<Span> row : bars.values()) {
      names.add("GPU %d %s".formatted(row.get(0).rank(), row.get(0).stream()));
    }

    ArrayNode zooms = option.putArray("dataZoom");
    zooms.addObject().put("type", "slider").put("filterMode", "none").put("bottom", 8);
    zooms
        .addObject()
        .put("type", "inside")
        .put("filterMode", "none")
        .put("zoomOnMouseWheel", "ctrl");
    ArrayNode series = option.putArray("series");
    for (int stream = 0; stream < streams.size(); stream++) {
      ObjectNode one = series.addObject().put("type", "lines").put("name", streams.get(stream));
      one.put("coordinateSystem", "cartesian2d").put("clip", true);
      one.putObject("lineStyle")
          .put("color", "$series." + stream)
          .put("width", ROW - 7)
          .put("opacity", 1)
          .put("cap", "butt");
      one.putObject("itemStyle").put("color", "$series." + stream);
      fill(one.putArray("data"), bars, streams.get(stream));
    }

    return option;
  }

  private void fill(ArrayNode data, Map<String, List<Span>> bars, String stream) {
    int at = 0;
    for (List<Span> row : bars.values()) {
      for (Span span : row) {
        if (span.stream().equals(stream)) {
          double from = (span.beginNanos() - begin) / 1e6;
          double to = (span.endNanos() - begin) / 1e6;
          ObjectNode bar = data.addObject().put("name", span.work());
          bar.put("from", rounded(from)).put("length", rounded(to - from));
          ArrayNode coords = bar.putArray("coords");
          coords.addArray().add(rounded(from)).add(at);
          coords.addArray().add(rounded(to)).add(at);
        }
      }

      at++;
    }
  }

  private static double rounded(double value) {
    return Math.rint(value * 1e4) / 1e4;
  }
}
