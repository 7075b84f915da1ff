package io.expertatlas.runtime.json;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.expertatlas.runtime.Timeline;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * A timeline as browsers and Perfetto show it (Trace Event Format): a process for each rank, a
 * thread for each stream, complete events in microseconds from the first begin.
 */
public final class ChromeTrace {
  private ChromeTrace() {}

  /** Writes a file. */
  public static void write(Timeline timeline, Path file) throws IOException {
    long start = timeline.spans().isEmpty() ? 0 : timeline.spans().get(0).beginNanos();
    Map<String, Integer> streams = new TreeMap<>();
    timeline.spans().forEach(span -> streams.putIfAbsent(span.stream(), streams.size()));
    try (JsonGenerator json = new JsonFactory().createGenerator(Files.newBufferedWriter(file))) {
      json.writeStartObject();
      json.writeStringField("displayTimeUnit", "ns");
      json.writeArrayFieldStart("traceEvents");
      names(timeline, streams, json);
      for (Timeline.Span span : timeline.spans()) {
        json.writeStartObject();
        json.writeStringField("name", span.work());
        json.writeStringField("ph", "X");
        json.writeNumberField("ts", (span.beginNanos() - start) / 1e3);
        json.writeNumberField("dur", (span.endNanos() - span.beginNanos()) / 1e3);
        json.writeNumberField("pid", span.rank());
        json.writeNumberField("tid", streams.get(span.stream()));
        json.writeEndObject();
      }

      json.writeEndArray();
      json.writeEndObject();
    }
  }

  private static void names(Timeline timeline, Map<String, Integer> streams, JsonGenerator json)
      throws IOException {
    int ranks = timeline.spans().stream().mapToInt(Timeline.Span::rank).max().orElse(-1) + 1;
    for (int rank = 0; rank < ranks; rank++) {
      name(json, "process_name", rank, 0, "rank " + rank);
      for (Map.Entry<String, Integer> stream : streams.entrySet()) {
        name(json, "thread_name", rank, stream.getValue(), stream.getKey());
      }
    }
  }

  private static void name(JsonGenerator json, String what, int rank, int stream, String name)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("name", what);
    json.writeStringField("ph", "M");
    json.writeNumberField("pid", rank);
    json.writeNumberField("tid", stream);
    json.writeObjectFieldStart("args");
    json.writeStringField("name", name);
    json.writeEndObject();
    json.writeEndObject();
  }
}
