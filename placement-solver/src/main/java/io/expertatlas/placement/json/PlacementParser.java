package io.expertatlas.placement.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.Placement;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.json.PlacementDocument.InSample;
import io.expertatlas.placement.json.PlacementDocument.Source;
import io.expertatlas.placement.solver.SolverOutcome;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.trace.ModelShape;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * {@link PlacementDocument} as JSON, format-version 1. Fields that it does not know are left aside.
 */
public final class PlacementParser {
  private static final int FORMAT_VERSION = 1;
  private static final String MAP = "gpu-of-expert";

  /** Takes the place of {@link #MAP} where an expert has several copies. */
  private static final String COPIES = "gpus-of-expert";

  private static final ObjectMapper MAPPER = new ObjectMapper();

  private PlacementParser() {}

  /** The document as JSON, one line for each layer of the map. */
  public static String toJson(PlacementDocument document) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", FORMAT_VERSION);
    ObjectNode shape = root.putObject("shape");
    shape.put("layers", document.shape().layers());
    shape.put("experts", document.shape().experts());
    shape.put("top-k", document.shape().topK());
    Placement placement = document.placement();
    TopologyParser.put(placement.topology(), root.putObject("topology"));
    root.put("objective", document.objective().word());
    SolverOutcome outcome = document.outcome();
    ObjectNode solver = root.putObject("solver");
    solver.put("name", outcome.solver());
    solver.put("status", outcome.status().word());
    solver.put("objective", outcome.objective());
    solver.put("bound", outcome.bound());
    solver.put("gap", outcome.gap());
    solver.put("seconds", outcome.seconds());
    solver.put("seed", outcome.seed());
    solver.put("note", outcome.note());
    InSample in = document.inSample();
    ObjectNode inSample = root.putObject("in-sample");
    inSample.put("tokens", in.tokens());
    inSample.put("hops", in.hops());
    inSample.put("crossings", in.crossings());
    inSample.put("inter-node", in.interNode());
    inSample.put("gpu-touches", in.gpuTouches());
    inSample.put("node-touches", in.nodeTouches());
    inSample.put("load-mean-max-over-mean", in.loadMeanMaxOverMean());
    inSample.put("load-worst-max-over-mean", in.loadWorstMaxOverMean());
    if (in.estimated()) {
      inSample.put("hops-estimated", true);
    }

    ObjectNode source = root.putObject("source");
    ArrayNode affinity = source.putArray("affinity");
    document.source().affinity().forEach(affinity::add);
    source.put("trace", document.source().trace());
    source.put("tokens", document.source().tokens());
    source.put("sequences", document.source().sequences());
    String head = root.toPrettyString();
    StringBuilder text = new StringBuilder(head.substring(0, head.length() - 1).stripTrailing());
    text.append(",\n  \"%s\" : [".formatted(placement.hasCopies() ? COPIES : MAP));
    for (int layer = 0; layer < placement.layers(); layer++) {
      ArrayNode row = MAPPER.createArrayNode();
      for (int expert = 0; expert < placement.experts(); expert++) {
        if (placement.hasCopies()) {
          ArrayNode gpus = row.addArray();
          for (int copy = 0; copy < placement.copies(layer, expert); copy++) {
            gpus.add(placement.gpu(layer, expert, copy));
          }
        } else {
          row.add(placement.gpu(layer, expert));
        }
      }

      text.append(layer == 0 ? "\n    " : ",\n    ").append(row);
    }

    return text.append("\n  ]\n}\n").toString();
  }

  /**
   * Reads a file.
   *
   * @throws PlacementFormatException if it is not such a document; with file and field
   * @throws IOException if it cannot be read
   */
  public static PlacementDocument read(Path file) throws IOException {
    try {
      return fromJson(Files.readString(file), file.toString());
    } catch (CharacterCodingException e) {
      throw new PlacementFormatException("Cannot read %s: not UTF-8".formatted(file), e);
    }
  }

  /**
   * Parses a document.
   *
   * @param name of the file, for messages
   * @throws PlacementFormatException if it is not such a document; with name and field
   */
  public static PlacementDocument fromJson(String json, String name) {
    try {
      JsonNode root = MAPPER.readTree(json);
      if (root == null || !root.isObject()) {
        throw new IllegalArgumentException("not a JSON object");
      }

      long version = whole(root, "format-version", FORMAT_VERSION);
      if (version != FORMAT_VERSION) {
        throw new IllegalArgumentException(
            "format-version is %d, expected %d".formatted(version, FORMAT_VERSION));
      }

      return document(root);
    } catch (JsonProcessingException e) {
      throw new PlacementFormatException(
          "Cannot read %s: not JSON at line %d, column %d"
              .formatted(
                  name,
                  e.getLocation() == null ? 0 : e.getLocation().getLineNr(),
                  e.getLocation() == null ? 0 : e.getLocation().getColumnNr()),
          e);
    } catch (IllegalArgumentException e) {
      throw new PlacementFormatException("Cannot read %s: %s".formatted(name, e.getMessage()), e);
    }
  }

  private static PlacementDocument document(JsonNode root) {
    JsonNode shapeNode = object(root, "shape");
    ModelShape shape =
        new ModelShape(
            (int) whole(shapeNode, "layers", 1 << 16),
            (int) whole(shapeNode, "experts", 1 << 16),
            (int) whole(shapeNode, "top-k", 1 << 16));
    Placement placement = placement(root, shape, TopologyParser.topology(object(root, "topology")));
    JsonNode solver = object(root, "solver");
    SolverOutcome outcome =
        new SolverOutcome(
            text(solver, "name"),
            status(text(solver, "status")),
            Optional.of(placement),
            whole(solver, "objective", Long.MAX_VALUE),
            whole(solver, "bound", Long.MAX_VALUE),
            number(solver, "seconds"),
            anyWhole(solver, "seed"),
            text(solver, "note"));
    JsonNode in = object(root, "in-sample");
    InSample inSample =
        new InSample(
            whole(in, "tokens", Long.MAX_VALUE),
            whole(in, "hops", Long.MAX_VALUE),
            whole(in, "crossings", Long.MAX_VALUE),
            whole(in, "inter-node", Long.MAX_VALUE),
            whole(in, "gpu-touches", Long.MAX_VALUE),
            whole(in, "node-touches", Long.MAX_VALUE),
            number(in, "load-mean-max-over-mean"),
            number(in, "load-worst-max-over-mean"),
            in.has("hops-estimated") && truth(in, "hops-estimated"));
    JsonNode source = object(root, "source");
    List<String> affinity = new ArrayList<>();
    for (JsonNode folder : array(source, "affinity")) {
      affinity.add(folder.asText());
    }

    return new PlacementDocument(
        shape,
        Objective.ofWord(text(root, "objective")),
        outcome,
        inSample,
        new Source(
            affinity, text(source, "trace"), text(source, "tokens"), text(source, "sequences")));
  }

  private static Placement placement(JsonNode root, ModelShape shape, Topology topology) {
    if (root.has(MAP) && root.has(COPIES)) {
      throw new IllegalArgumentException("both %s and %s are there".formatted(MAP, COPIES));
    }

    String name = root.has(COPIES) ? COPIES : MAP;
    JsonNode rows = array(root, name);
    if (rows.size() != shape.layers()) {
      throw new IllegalArgumentException(
          "%s has %d rows, the shape has %d layers".formatted(name, rows.size(), shape.layers()));
    }

    int[][] map = new int[shape.layers()][shape.experts()];
    int[][][] copies = new int[shape.layers()][shape.experts()][];
    for (int layer = 0; layer < map.length; layer++) {
      JsonNode row = rows.get(layer);
      if (!row.isArray() || row.size() != shape.experts()) {
        throw new IllegalArgumentException(
            "%s[%d] has %d entries, the shape has %d experts"
                .formatted(name, layer, row.size(), shape.experts()));
      }

      for (int expert = 0; expert < map[layer].length; expert++) {
        String where = "%s[%d][%d]".formatted(name, layer, expert);
        if (name.equals(COPIES)) {
          copies[layer][expert] = gpus(row.get(expert), where);
        } else {
          map[layer][expert] = gpu(row.get(expert), where);
        }
      }
    }

    return name.equals(COPIES)
        ? Placement.ofCopies(topology, copies)
        : new Placement(topology, map);
  }

  private static int[] gpus(JsonNode node, String where) {
    if (!node.isArray()) {
      throw new IllegalArgumentException(
          "%s is %s, expected a list of GPUs".formatted(where, node));
    }

    int[] gpus = new int[node.size()];
    for (int copy = 0; copy < gpus.length; copy++) {
      gpus[copy] = gpu(node.get(copy), "%s[%d]".formatted(where, copy));
    }

    return gpus;
  }

  private static int gpu(JsonNode node, String where) {
    if (!node.isIntegralNumber() || !node.canConvertToInt()) {
      throw new IllegalArgumentException("%s is %s, expected a GPU".formatted(where, node));
    }

    return node.intValue();
  }

  private static SolverStatus status(String word) {
    for (SolverStatus status : SolverStatus.values()) {
      if (status.word().equals(word) && status.hasPlacement()) {
        return status;
      }
    }

    throw new IllegalArgumentException(
        "status is %s, expected optimal or feasible".formatted(word));
  }

  static JsonNode field(JsonNode parent, String name) {
    JsonNode node = parent.get(name);
    if (node == null || node.isNull()) {
      throw new IllegalArgumentException(
          "%s is %s".formatted(name, node == null ? "missing" : "null"));
    }

    return node;
  }

  static JsonNode object(JsonNode parent, String name) {
    return typed(field(parent, name), field(parent, name).isObject(), name, "an object");
  }

  static JsonNode array(JsonNode parent, String name) {
    return typed(field(parent, name), field(parent, name).isArray(), name, "an array");
  }

  static String text(JsonNode parent, String name) {
    return typed(field(parent, name), field(parent, name).isTextual(), name, "a text").asText();
  }

  private static boolean truth(JsonNode parent, String name) {
    return typed(field(parent, name), field(parent, name).isBoolean(), name, "true or false")
        .asBoolean();
  }

  static double number(JsonNode parent, String name) {
    return typed(field(parent, name), field(parent, name).isNumber(), name, "a number").asDouble();
  }

  static long whole(JsonNode parent, String name, long most) {
    long value = anyWhole(parent, name);
    if (value < 0 || (value > most && !name.equals("format-version"))) {
      throw new IllegalArgumentException("%s is %d, expected 0 to %d".formatted(name, value, most));
    }

    return value;
  }

  private static long anyWhole(JsonNode parent, String name) {
    JsonNode node = field(parent, name);
    return typed(node, node.isIntegralNumber() && node.canConvertToLong(), name, "a whole number")
        .asLong();
  }

  static JsonNode typed(JsonNode node, boolean fits, String name, String expected) {
    if (!fits) {
      throw new IllegalArgumentException("%s is %s, expected %s".formatted(name, node, expected));
    }

    return node;
  }
}
