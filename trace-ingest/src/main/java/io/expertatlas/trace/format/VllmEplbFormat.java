package io.expertatlas.trace.format;

import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.CountsFormat;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.format.JsonDocuments.Place;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Format {@code vllm-eplb}: load statistics of vLLM's expert balancer, JSON Lines of version 1. A
 * line of type {@code eplb_load_stats} counts physical experts, {@code expert_load} {@code [layer]
 * [slot]}; its {@code p2l_map} says which logical expert each is, and counts are added up so. One
 * window for each line.
 */
public final class VllmEplbFormat implements CountsFormat {
  private static final int MAX_COUNTS = 1 << 26; // of a window: 512 MB
  private static final String STATS = "eplb_load_stats";
  private static final String MAPPING = "eplb_initial_mapping";

  /** For {@link java.util.ServiceLoader}. */
  public VllmEplbFormat() {}

  @Override
  public String name() {
    return "vllm-eplb";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    List<String> keys =
        JsonDocuments.keysOfFirst(
            source.path(), Set.of("record_type", "expert_load", "initial_global_assignments"));
    return keys.contains("record_type") && keys.size() > 1;
  }

  @Override
  public CountsReader open(TraceSource source) {
    Sources.refuseColumns(source);
    Reader reader = new Reader(source);
    reader.documents.forEach(reader::survey);
    if (reader.places.isEmpty()) {
      throw new TraceFormatException(
          "Cannot read counts from %s: it holds no record of type %s"
              .formatted(source.path(), STATS));
    }

    return reader;
  }

  private static final class Reader implements CountsReader {
    private final JsonDocuments documents;
    private final List<Place> places = new ArrayList<>();
    private final boolean declared;
    private int experts;
    private int layers;
    private int next;

    Reader(TraceSource source) {
      this.documents = new JsonDocuments(source.path());
      this.declared = source.experts().isPresent();
      this.experts = declared ? Sources.experts(source, 1) : 0;
    }

    /** Remembers where a record is, and learns the shape of the model from all of them. */
    void survey(Place place, JsonNode record) {
      String type = record.path("record_type").asText();
      Json.whole(record, "version", 1, 1, place);
      if (type.equals(MAPPING)) {
        return;
      }

      if (!type.equals(STATS)) {
        throw new TraceFormatException(
            "Invalid record_type in %s: %s, expected %s or %s"
                .formatted(place, Json.shorten(record.path("record_type")), STATS, MAPPING));
      }

      Json.whole(record, "step", 0, Long.MAX_VALUE, place);
      int found = record.path("expert_load").size();
      layers = places.isEmpty() ? found : layers;
      if (found != layers || found < 1 || record.path("p2l_map").size() != found) {
        throw new TraceFormatException(
            "Invalid record in %s: expert_load of %d layers, p2l_map of %d, expected %d, at least 1"
                .formatted(place, found, record.path("p2l_map").size(), layers));
      }

      for (int layer = 0; layer < layers; layer++) {
        int slots = record.path("expert_load").path(layer).size();
        JsonNode map = record.path("p2l_map").path(layer);
        if (slots != map.size() || slots < 1) {
          throw new TraceFormatException(
              "Invalid record in %s, layer %d: %d loads, but p2l_map has %d slots, at least 1"
                  .formatted(place, layer, slots, map.size()));
        }

        for (int slot = 0; slot < slots; slot++) {
          int expert = logical(place, map, layer, slot);
          experts = declared ? experts : Math.max(experts, expert + 1);
        }
      }

      if ((long) layers * experts > MAX_COUNTS) {
        throw new TraceFormatException(
            "Invalid record in %s: %d layers with %d experts, at most %d counts"
                .formatted(place, layers, experts, MAX_COUNTS));
      }

      places.add(place);
    }

    private int logical(Place place, JsonNode map, int layer, int slot) {
      JsonNode id = map.get(slot);
      int bound = declared ? experts : ModelShape.MAX_EXPERTS;
      if (!id.isIntegralNumber()
          || !id.canConvertToInt()
          || id.asInt() < 0
          || id.asInt() >= bound) {
        throw new TraceFormatException(
            "Invalid expert id %s in p2l_map in %s, layer %d, slot %d: the model has experts 0 to %d"
                .formatted(Json.shorten(id), place, layer, slot, bound - 1));
      }

      return id.asInt();
    }

    @Override
    public int layers() {
      return layers;
    }

    @Override
    public int experts() {
      return experts;
    }

    @Override
    public Optional<ExpertCounts> next() {
      if (next == places.size()) {
        return Optional.empty();
      }

      Place place = places.get(next++);
      JsonNode record = documents.read(place);
      long step = Json.whole(record, "step", 0, Long.MAX_VALUE, place);
      long[] counts = new long[layers * experts];
      for (int layer = 0; layer < layers; layer++) {
        JsonNode map = record.path("p2l_map").path(layer);
        JsonNode loads = record.path("expert_load").path(layer);
        for (int slot = 0; slot < loads.size(); slot++) {
          int expert = logical(place, map, layer, slot);
          counts[layer * experts + expert] +=
              WholeCounts.of(loads.get(slot), place, "slot", slot, layer, expert);
        }
      }

      return Optional.of(
          ExpertCounts.of(layers, experts, "step " + step, step, OptionalInt.empty(), counts));
    }

    @Override
    public void close() {
      next = places.size();
      documents.close();
    }
  }
}
