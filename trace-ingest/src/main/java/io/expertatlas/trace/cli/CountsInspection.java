package io.expertatlas.trace.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.expertatlas.trace.CountsReader;
import io.expertatlas.trace.ExpertCounts;
import java.io.PrintWriter;
import java.util.Optional;
import java.util.TreeSet;

/** What one pass over counts finds. */
final class CountsInspection {
  private static final String CANNOT_TELL =
      "counts only: popularity and its drift, no token's route, so no affinity and no placement by it";

  private final int layers;
  private final int experts;
  private final long[][] visits; // [layer][expert]
  private final TreeSet<Integer> ranks = new TreeSet<>();
  private long windows;
  private long firstStep = Long.MAX_VALUE;
  private long lastStep = Long.MIN_VALUE;

  private CountsInspection(int layers, int experts) {
    this.layers = layers;
    this.experts = experts;
    this.visits = new long[layers][experts];
  }

  /** Reads all windows, which checks them too. */
  static CountsInspection of(CountsReader reader) {
    CountsInspection inspection = new CountsInspection(reader.layers(), reader.experts());
    for (Optional<ExpertCounts> next = reader.next(); next.isPresent(); next = reader.next()) {
      inspection.add(next.get());
    }

    return inspection;
  }

  private void add(ExpertCounts window) {
    windows++;
    firstStep = Math.min(firstStep, window.step());
    lastStep = Math.max(lastStep, window.step());
    window.rank().ifPresent(ranks::add);
    for (int layer = 0; layer < layers; layer++) {
      for (int expert = 0; expert < experts; expert++) {
        visits[layer][expert] = Math.addExact(visits[layer][expert], window.count(layer, expert));
      }
    }
  }

  private long sum(int layer) {
    long sum = 0;
    for (long count : visits[layer]) {
      sum = Math.addExact(sum, count);
    }

    return sum;
  }

  private int usedExperts(int layer) {
    int used = 0;
    for (long count : visits[layer]) {
      used += count > 0 ? 1 : 0;
    }

    return used;
  }

  /** Visits of the busiest expert of a layer, in units of an even share; 0 without visits. */
  private double maxOverMean(int layer) {
    long max = 0;
    for (long count : visits[layer]) {
      max = Math.max(max, count);
    }

    return max == 0 ? 0 : max * (double) experts / sum(layer);
  }

  void addTo(ObjectNode root) {
    root.put("kind", "counts");
    root.put("cannot-tell", "affinity, co-activation, expert sets");
    root.put("layers", layers);
    root.put("experts", experts);
    root.put("windows", windows);
    root.put("ranks", ranks.size());
    if (windows > 0) {
      root.put("first-step", firstStep);
      root.put("last-step", lastStep);
    }

    ArrayNode load = root.putArray("load");
    for (int layer = 0; layer < layers; layer++) {
      ObjectNode node = load.addObject();
      node.put("layer", layer);
      node.put("visits", sum(layer));
      node.put("used-experts", usedExperts(layer));
      node.put("max-over-mean", maxOverMean(layer));
    }
  }

  void print(PrintWriter err) {
    err.printf("  holds      %s%n", CANNOT_TELL);
    err.printf("  use        atlas analyze --counts%n");
    err.printf("  model      %d MoE layers x %d experts%n", layers, experts);
    err.printf(
        "  windows    %,d%s%s%n",
        windows,
        windows == 0 ? "" : ", steps %d to %d".formatted(firstStep, lastStep),
        ranks.isEmpty() ? "" : ", %d ranks".formatted(ranks.size()));
    err.printf("  layer         visits  used experts  busiest / mean%n");
    for (int layer = 0; layer < layers; layer++) {
      err.printf(
          "  %5d  %,13d  %5d of %4d  %14.2f%n",
          layer, sum(layer), usedExperts(layer), experts, maxOverMean(layer));
    }
  }
}
