package io.expertatlas.trace.format;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import io.expertatlas.trace.TraceFormatException;
import java.nio.file.Path;
import java.util.function.IntFunction;

/** Takes the choices of some tokens one by one, and checks each where its place is known. */
final class RouteBuffer {
  final int[] sequence; // [token]
  final int[] position; // [token]
  final byte[] phase; // [token]
  private final ModelShape shape;
  private final short[] experts; // [token][layer][rank]
  private final float[] weights; // the same, or empty
  private final Path file;
  private final IntFunction<String> place;

  /**
   * Creates the buffer.
   *
   * @param file where the choices come from
   * @param place of a token in it, such as {@code "line 3, token 5"}
   */
  RouteBuffer(ModelShape shape, int tokens, boolean weights, Path file, IntFunction<String> place) {
    this.shape = shape;
    this.experts = new short[Math.multiplyExact(tokens, shape.choicesPerToken())];
    this.weights = new float[weights ? experts.length : 0];
    this.sequence = new int[tokens];
    this.position = new int[tokens];
    this.phase = new byte[tokens];
    this.file = file;
    this.place = place;
  }

  /** Takes a choice; ranks of a layer come in order. */
  void put(int token, int layer, int rank, long expert) {
    if (expert < 0 || expert >= shape.experts()) {
      throw new TraceFormatException(
          "Invalid expert id %d in %s at %s, layer %d, rank %d: the model has experts 0 to %d"
              .formatted(expert, file, place.apply(token), layer, rank, shape.experts() - 1));
    }

    int at = (token * shape.layers() + layer) * shape.topK();
    for (int before = 0; before < rank; before++) {
      if (experts[at + before] == (short) expert) {
        throw new TraceFormatException(
            "Invalid top-%d in %s at %s, layer %d, rank %d: expert %d stands at rank %d too"
                .formatted(shape.topK(), file, place.apply(token), layer, rank, expert, before));
      }
    }

    experts[at + rank] = (short) expert;
  }

  /** Takes the weight of a choice. */
  void weigh(int token, int layer, int rank, float weight) {
    if (!Float.isFinite(weight)) {
      throw new TraceFormatException(
          "Invalid router weight %s in %s at %s, layer %d, rank %d: it must be finite"
              .formatted(weight, file, place.apply(token), layer, rank));
    }

    weights[(token * shape.layers() + layer) * shape.topK() + rank] = weight;
  }

  /** What was taken. The buffer must not be used afterwards. */
  RoutingTrace build() {
    return RoutingTrace.of(shape, experts, weights, sequence, position, phase);
  }
}
