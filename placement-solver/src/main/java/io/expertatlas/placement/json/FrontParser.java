package io.expertatlas.placement.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.solver.Front;
import io.expertatlas.placement.solver.Front.Costs;
import io.expertatlas.placement.solver.Front.Point;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** {@link Front} as JSON, the file {@code front.json}, format-version 1. */
public final class FrontParser {
  private static final int FORMAT_VERSION = 1;
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private FrontParser() {}

  /** The front as an object. */
  public static ObjectNode toJson(Front front) {
    ObjectNode root = MAPPER.createObjectNode();
    root.put("format-version", FORMAT_VERSION);
    root.put("name", front.name());
    root.put("minimised", front.minimised().word());
    root.put("capped", front.capped().word());
    put(root.putObject("vanilla"), front.reference());
    ArrayNode points = root.putArray("points");
    for (Point point : front.points()) {
      ObjectNode node = points.addObject();
      if (Double.isFinite(point.cap())) {
        node.put("cap", point.cap());
      }

      put(node, point.costs());
      node.put("bound", point.bound());
      node.put("seconds", point.seconds());
      node.put("placement", point.file());
    }

    return root;
  }

  private static void put(ObjectNode node, Costs costs) {
    node.put("hops", costs.hops());
    node.put("crossings", costs.crossings());
    node.put("gpus-per-token", costs.gpus());
    node.put("nodes-per-token", costs.nodes());
    node.put("load-mean-max-over-mean", costs.load());
    node.put("load-worst-max-over-mean", costs.worstLoad());
  }

  /**
   * Reads a file.
   *
   * @throws PlacementFormatException if it is no front; with file and field
   * @throws IOException if it cannot be read
   */
  public static Front read(Path file) throws IOException {
    try {
      JsonNode root = MAPPER.readTree(Files.readString(file));
      if (root == null || !root.isObject()) {
        throw new IllegalArgumentException("not a JSON object");
      }

      long version = PlacementParser.whole(root, "format-version", FORMAT_VERSION);
      if (version != FORMAT_VERSION) {
        throw new IllegalArgumentException(
            "format-version is %d, expected %d".formatted(version, FORMAT_VERSION));
      }

      List<Point> points = new ArrayList<>();
      for (JsonNode node : PlacementParser.array(root, "points")) {
        PlacementParser.typed(node, node.isObject(), "points", "objects");
        points.add(
            new Point(
                node.has("cap") ? PlacementParser.number(node, "cap") : Double.POSITIVE_INFINITY,
                costs(node),
                PlacementParser.number(node, "bound"),
                PlacementParser.number(node, "seconds"),
                PlacementParser.text(node, "placement")));
      }

      return new Front(
          PlacementParser.text(root, "name"),
          Objective.ofWord(PlacementParser.text(root, "minimised")),
          Objective.ofWord(PlacementParser.text(root, "capped")),
          costs(PlacementParser.object(root, "vanilla")),
          points);
    } catch (CharacterCodingException e) {
      throw new PlacementFormatException("Cannot read %s: not UTF-8".formatted(file), e);
    } catch (JsonProcessingException e) {
      throw new PlacementFormatException(
          "Cannot read %s: not JSON at line %d"
              .formatted(file, e.getLocation() == null ? 0 : e.getLocation().getLineNr()),
          e);
    } catch (IllegalArgumentException e) {
      throw new PlacementFormatException("Cannot read %s: %s".formatted(file, e.getMessage()), e);
    }
  }

  private static Costs costs(JsonNode node) {
    return new Costs(
        PlacementParser.number(node, "hops"),
        PlacementParser.number(node, "crossings"),
        PlacementParser.number(node, "gpus-per-token"),
        PlacementParser.number(node, "nodes-per-token"),
        PlacementParser.number(node, "load-mean-max-over-mean"),
        PlacementParser.number(node, "load-worst-max-over-mean"));
  }
}
