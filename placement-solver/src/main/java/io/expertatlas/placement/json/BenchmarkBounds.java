package io.expertatlas.placement.json;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.placement.Objective;
import io.expertatlas.placement.PlacementFormatException;
import io.expertatlas.placement.solver.BenchmarkBound;
import io.expertatlas.placement.solver.BenchmarkBound.Key;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * The file {@code bounds.jsonl} of a benchmark: a JSON object a line for each instance whose bound
 * was proven. Stateless.
 */
public final class BenchmarkBounds {
  private BenchmarkBounds() {}

  /** A bound as a JSON object. */
  public static ObjectNode toNode(BenchmarkBound bound) {
    ObjectNode node = JsonLines.line();
    Key key = bound.key();
    node.put("dataset", key.dataset());
    node.put("tokens", key.tokens());
    node.put("nodes", key.topology().nodes());
    node.put("gpus-per-node", key.topology().gpusPerNode());
    node.put("objective", key.objective().word());
    key.maxLoad().ifPresent(cap -> node.put("max-load", cap));
    node.put("bound-limit-ms", key.limit().toMillis());
    node.put("threads", key.threads());
    node.put("bound", bound.value());
    node.put("method", bound.method());
    node.put("seconds", bound.seconds());
    return node;
  }

  /** Writes all bounds; a file that exists is replaced once the new one is complete. */
  public static void write(List<BenchmarkBound> bounds, Path file) throws IOException {
    JsonLines.write(bounds.stream().map(BenchmarkBounds::toNode).toList(), file);
  }

  /**
   * Reads a file; no bound if there is none.
   *
   * @throws PlacementFormatException if a line is no bound; with file and line
   */
  public static List<BenchmarkBound> read(Path file) throws IOException {
    return JsonLines.read(file, BenchmarkBounds::fromNode);
  }

  private static BenchmarkBound fromNode(JsonNode node) {
    return new BenchmarkBound(
        new Key(
            JsonLines.text(node, "dataset"),
            JsonLines.whole(node, "tokens"),
            JsonLines.cluster(node),
            Objective.ofWord(JsonLines.text(node, "objective")),
            JsonLines.optional(node, "max-load"),
            Duration.ofMillis(JsonLines.whole(node, "bound-limit-ms")),
            Math.toIntExact(JsonLines.whole(node, "threads"))),
        JsonLines.number(node, "bound"),
        JsonLines.text(node, "method"),
        JsonLines.number(node, "seconds"));
  }
}
