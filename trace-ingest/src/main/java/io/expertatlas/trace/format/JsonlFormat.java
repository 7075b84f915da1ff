package io.expertatlas.trace.format;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import io.expertatlas.trace.FormatOption;
import io.expertatlas.trace.FormatOptions;
import io.expertatlas.trace.TokenSelection.TokenRange;
import io.expertatlas.trace.TraceFormat;
import io.expertatlas.trace.TraceFormatException;
import io.expertatlas.trace.TraceReader;
import io.expertatlas.trace.TraceSource;
import io.expertatlas.trace.input.InputFiles;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Format {@code jsonl}: a JSON object on each line, of a token, or of a token in a layer. Ids are
 * {@code [[k ids] for each layer]}, {@code [id for each layer]} or, of one layer, {@code [k ids]}.
 */
public final class JsonlFormat implements TraceFormat {
  /** For {@link java.util.ServiceLoader}. */
  public JsonlFormat() {}

  @Override
  public String name() {
    return "jsonl";
  }

  @Override
  public boolean recognizes(TraceSource source) {
    String name = InputFiles.plainName(source.path());
    if (!name.endsWith(".jsonl") && !name.endsWith(".ndjson")) {
      return false;
    }

    String experts = source.options().find(TableOptions.EXPERTS).orElse("experts");
    return JsonDocuments.keysOfFirst(source.path(), Set.of(experts)).contains(experts);
  }

  @Override
  public List<FormatOption<?>> options() {
    return TableOptions.OPTIONS;
  }

  @Override
  public TraceReader open(TraceSource source, TokenRange range) {
    TableTrace table = TableTrace.open(source, new Parser(source.options()), 0);
    return new BlockTraceReader(table, range, table.shape().choicesPerToken());
  }

  private static final class Parser implements TableRow.Parser {
    private final String experts;
    private final Optional<String> weights;
    private final Optional<String> sequence;
    private final Optional<String> position;
    private final Optional<String> phase;
    private final Optional<String> layer;

    Parser(FormatOptions options) {
      this.experts = options.find(TableOptions.EXPERTS).orElse("experts");
      this.weights = options.find(TableOptions.WEIGHTS);
      this.sequence = options.find(TableOptions.SEQUENCE);
      this.position = options.find(TableOptions.POSITION);
      this.phase = options.find(TableOptions.PHASE);
      this.layer = options.find(TableOptions.LAYER);
    }

    @Override
    public TableRow parse(String line, String place) {
      JsonNode object;
      try {
        object = Json.MAPPER.readTree(line);
      } catch (JsonProcessingException e) {
        throw new TraceFormatException(
            "Invalid JSON in %s: %s".formatted(place, e.getOriginalMessage()), e);
      }

      JsonNode[][] ids = lists(object, experts, place);
      long[][] numbers = new long[ids.length][];
      for (int i = 0; i < ids.length; i++) {
        numbers[i] = new long[ids[i].length];
        for (int rank = 0; rank < ids[i].length; rank++) {
          JsonNode id = ids[i][rank];
          if (!id.isIntegralNumber() || !id.canConvertToLong()) {
            throw new TraceFormatException(
                "Invalid expert id %s in %s: expected a whole number"
                    .formatted(Json.shorten(id), place));
          }

          numbers[i][rank] = id.asLong();
        }
      }

      return new TableRow(
          layer.isPresent() ? whole(object, layer, place) : TableRow.ALL,
          numbers,
          weights.isPresent() ? weights(object, place) : new float[0][],
          whole(object, sequence, place),
          whole(object, position, place),
          phase.isPresent()
              ? TableOptions.phase(require(object, phase.get(), place).asText(), phase.get(), place)
              : TableRow.ABSENT);
    }

    private float[][] weights(JsonNode object, String place) {
      JsonNode[][] found = lists(object, weights.get(), place);
      float[][] numbers = new float[found.length][];
      for (int i = 0; i < found.length; i++) {
        numbers[i] = new float[found[i].length];
        for (int rank = 0; rank < found[i].length; rank++) {
          if (!found[i][rank].isNumber()) {
            throw new TraceFormatException(
                "Invalid weight %s in %s: expected a number"
                    .formatted(Json.shorten(found[i][rank]), place));
          }

          numbers[i][rank] = found[i][rank].floatValue();
        }
      }

      return numbers;
    }

    private static int whole(JsonNode object, Optional<String> key, String place) {
      return key.isEmpty()
          ? TableRow.ABSENT
          : TableOptions.number(require(object, key.get(), place).asText(), key.get(), place);
    }

    private static JsonNode require(JsonNode object, String key, String place) {
      JsonNode value = object.path(key);
      if (value.isMissingNode() || value.isNull()) {
        throw new TraceFormatException("Missing %s in %s".formatted(key, place));
      }

      return value;
    }

    private JsonNode[][] lists(JsonNode object, String key, String place) {
      JsonNode value = require(object, key, place);
      if (!value.isArray() || value.isEmpty()) {
        throw new TraceFormatException(
            "Invalid %s in %s: %s, expected a list that is not empty"
                .formatted(key, place, Json.shorten(value)));
      }

      if (layer.isPresent()) {
        return new JsonNode[][] {list(value)};
      }

      JsonNode[][] lists = new JsonNode[value.size()][];
      for (int i = 0; i < lists.length; i++) {
        JsonNode child = value.get(i);
        if (child.isArray() && child.isEmpty()) {
          throw new TraceFormatException(
              "Invalid %s in %s: the list of layer %d is empty".formatted(key, place, i));
        }

        lists[i] = child.isArray() ? list(child) : new JsonNode[] {child};
      }

      return lists;
    }

    private static JsonNode[] list(JsonNode array) {
      JsonNode[] list = new JsonNode[array.size()];
      for (int i = 0; i < list.length; i++) {
        list[i] = array.get(i);
      }

      return list;
    }
  }
}
