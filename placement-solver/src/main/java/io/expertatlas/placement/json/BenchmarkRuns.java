package io.expertatlas.placement.json;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.Topology;
import io.expertatlas.placement.solver.BenchmarkRun;
import io.expertatlas.placement.solver.BenchmarkRun.Key;
import io.expertatlas.placement.solver.BenchmarkRun.Point;
import io.expertatlas.placement.solver.SolverStatus;
import io.expertatlas.trace.files.WrittenAside;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.Predicate;

/**
 * The file {@code runs.jsonl} of a benchmark: a JSON object a line for each run that is done, so
 * that a benchmark that was stopped goes on where it was. Stateless.
 */
public final class BenchmarkRuns {
  private static final int FORMAT_VERSION = 1;
  private static final ObjectMapper MAPPER =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private BenchmarkRuns() {}

  /** A run as a JSON object. */
  public static ObjectNode toNode(BenchmarkRun run) {
    ObjectNode node = MAPPER.createObjectNode();
    Key key = run.key();
    node.put("format-version", FORMAT_VERSION);
    node.put("dataset", key.dataset());
    node.put("tokens", key.tokens());
    node.put("held-out-tokens", key.heldOutTokens());
    node.put("nodes", key.topology().nodes());
    node.put("gpus-per-node", key.topology().gpusPerNode());
    node.put("objective", key.objective().word());
    key.maxLoad().ifPresent(cap -> node.put("max-load", cap));
    node.put("solver", key.solver());
    node.put("time-limit-ms", key.timeLimit().toMillis());
    node.put("threads", key.threads());
    node.put("seed", key.seed());
    node.put("status", run.status().word());
    node.put("value", run.value());
    node.put("bound", run.bound());
    node.put("gap", run.gap());
    node.put("seconds", run.seconds());
    run.heldOut().ifPresent(value -> node.put("held-out", value));
    node.put("gpus-per-token", run.gpusPerToken());
    node.put("load-mean-max-over-mean", run.loadMean());
    node.put("load-held-out", run.loadHeldOut());
    node.put("note", run.note());
    ArrayNode points = node.putArray("points");
    for (Point point : run.points()) {
      points.addArray().add(point.seconds()).add(point.value());
    }

    return node;
  }

  /** Writes all runs; a file that exists is replaced once the new one is complete. */
  public static void write(List<BenchmarkRun> runs, Path file) throws IOException {
    List<String> lines = runs.stream().map(run -> toNode(run).toString()).toList();
    WrittenAside.file(file, aside -> Files.write(aside, lines));
  }

  /**
   * Reads a file; no run if there is none.
   *
   * @throws PlacementFormatException if a line is no run; with file and line
   */
  public static List<BenchmarkRun> read(Path file) throws IOException {
    if (!Files.exists(file)) {
      return List.of();
    }

    List<String> lines;
    try {
      lines = Files.readAllLines(file);
    } catch (CharacterCodingException e) {
      throw new PlacementFormatException("Cannot read %s: not UTF-8".formatted(file), e);
    }

    List<BenchmarkRun> runs = new ArrayList<>();
    for (int line = 0; line < lines.size(); line++) {
      try {
        runs.add(fromNode(MAPPER.readTree(lines.get(line))));
      } catch (JsonProcessingException e) {
        throw new PlacementFormatException(
            "Cannot read %s:%d: not JSON".formatted(file, line + 1), e);
      } catch (IllegalArgumentException | ArithmeticException e) {
        throw new PlacementFormatException(
            "Cannot read %s:%d: %s".formatted(file, line + 1, e.getMessage()), e);
      }
    }

    return runs;
  }

  private static BenchmarkRun fromNode(JsonNode node) {
    long version = whole(node, "format-version");
    if (version != FORMAT_VERSION) {
      throw new IllegalArgumentException(
          "format-version is %d, expected %d".formatted(version, FORMAT_VERSION));
    }

    List<Point> points = new ArrayList<>();
    for (JsonNode point : field(node, "points", JsonNode::isArray, "an array")) {
      if (point.size() != 2 || !point.get(0).isNumber() || !point.get(1).isNumber()) {
        throw new IllegalArgumentException(
            "points has %s, expected [seconds, value]".formatted(point));
      }

      points.add(new Point(point.get(0).asDouble(), point.get(1).asDouble()));
    }

    String status = text(node, "status");
    return new BenchmarkRun(
        new Key(
            text(node, "dataset"),
            whole(node, "tokens"),
            whole(node, "held-out-tokens"),
            new Topology(
                Math.toIntExact(whole(node, "nodes")),
                Math.toIntExact(whole(node, "gpus-per-node"))),
            Objective.ofWord(text(node, "objective")),
            optional(node, "max-load"),
            text(node, "solver"),
            Duration.ofMillis(whole(node, "time-limit-ms")),
            Math.toIntExact(whole(node, "threads")),
            whole(node, "seed")),
        Arrays.stream(SolverStatus.values())
            .filter(one -> one.word().equals(status))
            .findFirst()
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "status is %s, expected one of %s"
                            .formatted(
                                status,
                                Arrays.toString(SolverStatus.values()).toLowerCase(Locale.ROOT)))),
        number(node, "value"),
        number(node, "bound"),
        number(node, "seconds"),
        optional(node, "held-out"),
        number(node, "gpus-per-token"),
        number(node, "load-mean-max-over-mean"),
        number(node, "load-held-out"),
        text(node, "note"),
        points);
  }

  private static String text(JsonNode node, String name) {
    return field(node, name, JsonNode::isTextual, "a text").asText();
  }

  private static long whole(JsonNode node, String name) {
    return field(
            node,
            name,
            value -> value.isIntegralNumber() && value.canConvertToLong(),
            "a whole number")
        .asLong();
  }

  private static OptionalDouble optional(JsonNode node, String name) {
    return node.has(name) ? OptionalDouble.of(number(node, name)) : OptionalDouble.empty();
  }

  private static double number(JsonNode node, String name) {
    return field(node, name, JsonNode::isNumber, "a number").asDouble();
  }

  private static JsonNode field(
      JsonNode node, String name, Predicate<JsonNode> fits, String expected) {
    JsonNode value = node.get(name);
    if (value == null || !fits.test(value)) {
      throw new IllegalArgumentException(
          "%s is %s, expected %s".formatted(name, value == null ? "missing" : value, expected));
    }

    return value;
  }
}
