package io.expertatlas.placement.json;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.solver.BenchmarkRun;
import io.expertatlas.placement.solver.BenchmarkRun.Key;
import io.expertatlas.placement.solver.BenchmarkRun.Point;
import io.expertatlas.placement.solver.SolverStatus;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * The file {@code runs.jsonl} of a benchmark: a JSON object a line for each run that is done, so
 * that a benchmark that was stopped goes on where it was. Stateless.
 */
public final class BenchmarkRuns {
  private BenchmarkRuns() {}

  /** A run as a JSON object. */
  public static ObjectNode toNode(BenchmarkRun run) {
    ObjectNode node = JsonLines.line();
    Key key = run.key();
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
    JsonLines.write(runs.stream().map(BenchmarkRuns::toNode).toList(), file);
  }

  /**
   * Reads a file; no run if there is none.
   *
   * @throws PlacementFormatException if a line is no run; with file and line
   */
  public static List<BenchmarkRun> read(Path file) throws IOException {
    return JsonLines.read(file, BenchmarkRuns::fromNode);
  }

  private static BenchmarkRun fromNode(JsonNode node) {
    List<Point> points = new ArrayList<>();
    for (JsonNode point : JsonLines.field(node, "points", JsonNode::isArray, "an array")) {
      if (point.size() != 2 || !point.get(0).isNumber() || !point.get(1).isNumber()) {
        throw new IllegalArgumentException(
            "points has %s, expected [seconds, value]".formatted(point));
      }

      points.add(new Point(point.get(0).asDouble(), point.get(1).asDouble()));
    }

    String status = JsonLines.text(node, "status");
    return new BenchmarkRun(
        new Key(
            JsonLines.text(node, "dataset"),
            JsonLines.whole(node, "tokens"),
            JsonLines.whole(node, "held-out-tokens"),
            JsonLines.cluster(node),
            Objective.ofWord(JsonLines.text(node, "objective")),
            JsonLines.optional(node, "max-load"),
            JsonLines.text(node, "solver"),
            Duration.ofMillis(JsonLines.whole(node, "time-limit-ms")),
            Math.toIntExact(JsonLines.whole(node, "threads")),
            JsonLines.whole(node, "seed")),
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
        JsonLines.number(node, "value"),
        JsonLines.number(node, "bound"),
        JsonLines.number(node, "seconds"),
        JsonLines.optional(node, "held-out"),
        JsonLines.number(node, "gpus-per-token"),
        JsonLines.number(node, "load-mean-max-over-mean"),
        JsonLines.number(node, "load-held-out"),
        JsonLines.text(node, "note"),
        points);
  }
}
