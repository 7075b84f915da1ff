package io.expertatlas.trace.cli;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.Phase;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceReader;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** What one pass over a trace finds. */
final class Inspection {
  private final ModelShape shape;
  private final boolean weights;
  private final long[][] visits; // [layer][expert], over all ranks
  private final long[] phases = new long[Phase.values().length];
  private final Map<Integer, Sequence> sequences = new HashMap<>(); // order reaches no result
  private long tokens;
  private long jumps;
  private long risingWeights;

  private static final class Sequence {
    private long tokens;
    private int lastPosition;
  }

  private Inspection(ModelShape shape, boolean weights) {
    this.shape = shape;
    this.weights = weights;
    this.visits = new long[shape.layers()][shape.experts()];
  }

  /** Reads the whole trace, which checks it too. */
  static Inspection of(TraceReader reader) {
    Inspection inspection = new Inspection(reader.shape(), reader.hasWeights());
    for (Optional<RoutingTrace> batch = reader.next(); batch.isPresent(); batch = reader.next()) {
      inspection.add(batch.get());
    }

    return inspection;
  }

  private void add(RoutingTrace batch) {
    Sequence current = null;
    for (int token = 0; token < batch.tokens(); token++) {
      int id = batch.sequence(token);
      if (current == null || id != batch.sequence(token - 1)) {
        current = sequences.computeIfAbsent(id, any -> new Sequence());
      }

      int position = batch.position(token);
      if (current.tokens > 0 && position != current.lastPosition + 1) {
        jumps++;
      }

      current.lastPosition = position;
      current.tokens++;
      phases[batch.phase(token).code()]++;
      addChoices(batch, token);
    }

    tokens += batch.tokens();
  }

  private void addChoices(RoutingTrace batch, int token) {
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (int rank = 0; rank < shape.topK(); rank++) {
        visits[layer][batch.expert(token, layer, rank)]++;
        if (weights
            && rank > 0
            && batch.weight(token, layer, rank) > batch.weight(token, layer, rank - 1)) {
          risingWeights++;
        }
      }
    }
  }

  ModelShape shape() {
    return shape;
  }

  boolean weights() {
    return weights;
  }

  long tokens() {
    return tokens;
  }

  int sequences() {
    return sequences.size();
  }

  long shortestSequence() {
    return sequences.values().stream().mapToLong(s -> s.tokens).min().orElse(0);
  }

  long longestSequence() {
    return sequences.values().stream().mapToLong(s -> s.tokens).max().orElse(0);
  }

  long tokens(Phase phase) {
    return phases[phase.code()];
  }

  /** Tokens whose position does not follow that of the token before in their sequence. */
  long jumps() {
    return jumps;
  }

  /** Choices that weigh more than the one ranked before them. */
  long risingWeights() {
    return risingWeights;
  }

  /** Experts of a layer that any token visits. */
  int usedExperts(int layer) {
    int used = 0;
    for (long count : visits[layer]) {
      used += count > 0 ? 1 : 0;
    }

    return used;
  }

  /** Visits of the busiest expert of a layer, in units of an even share; 0 without tokens. */
  double maxOverMean(int layer) {
    long max = 0;
    for (long count : visits[layer]) {
      max = Math.max(max, count);
    }

    return tokens == 0 ? 0 : max * (double) shape.experts() / (tokens * (double) shape.topK());
  }
}
