package io.expertatlas.trace;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;
import java.util.Arrays;
import java.util.Objects;
import java.util.function.IntPredicate;

/**
 * Consecutive tokens of a routing trace: which experts each token visited in each MoE layer, ranked
 * by router weight. Immutable and safe to share between threads.
 *
 * <p>Dense arrays are row-major, {@code [token][layer][rank]}, rank 0 being the router's first
 * choice. Expert ids are layer-local, 0 to {@code experts - 1}.
 */
public final class RoutingTrace implements TokenRows {
  private static final float[] NO_WEIGHTS = {};

  private final ModelShape shape;
  private final int tokens;
  private final short[] experts; // [token][layer][rank], unsigned
  private final float[] weights; // [token][layer][rank], or empty
  private final int[] sequence; // [token]
  private final int[] position; // [token]
  private final byte[] phase; // [token], Phase.code

  private RoutingTrace(
      ModelShape shape,
      short[] experts,
      float[] weights,
      int[] sequence,
      int[] position,
      byte[] phase) {
    this.shape = shape;
    this.tokens = sequence.length;
    this.experts = experts;
    this.weights = weights;
    this.sequence = sequence;
    this.position = position;
    this.phase = phase;
  }

  /**
   * Creates a trace. The arrays are taken over, not copied: the caller must not change them
   * afterwards.
   *
   * @param experts {@code [token][layer][rank]}, unsigned 16-bit layer-local expert ids
   * @param weights {@code [token][layer][rank]} router weights, or empty if the trace has none
   * @param sequence {@code [token]} sequence ids
   * @param position {@code [token]} positions within the sequence
   * @param phase {@code [token]} {@link Phase#code() phase codes}
   * @throws IllegalArgumentException if the lengths do not fit each other, an expert id is not
   *     below {@code shape.experts()}, or a token names an expert twice in one layer
   */
  public static RoutingTrace of(
      ModelShape shape,
      short[] experts,
      float[] weights,
      int[] sequence,
      int[] position,
      byte[] phase) {
    Objects.requireNonNull(shape, "shape is null");
    long choices = (long) sequence.length * shape.choicesPerToken();
    checkLength("experts", experts.length, choices);
    checkLength("positions", position.length, sequence.length);
    checkLength("phases", phase.length, sequence.length);
    if (weights.length != 0) {
      checkLength("weights", weights.length, choices);
    }

    RoutingTrace trace = new RoutingTrace(shape, experts, weights, sequence, position, phase);
    trace.checkChoices();
    return trace;
  }

  /** Creates a prefill trace of one sequence without router weights; see {@link #of}. */
  public static RoutingTrace ofExperts(ModelShape shape, short[] experts) {
    if (experts.length % shape.choicesPerToken() != 0) {
      throw new IllegalArgumentException(
          "Invalid number of expert choices: %d, a multiple of %d"
              .formatted(experts.length, shape.choicesPerToken()));
    }

    int tokens = experts.length / shape.choicesPerToken();
    int[] position = new int[tokens];
    Arrays.setAll(position, t -> t);
    return of(shape, experts, NO_WEIGHTS, new int[tokens], position, new byte[tokens]);
  }

  private static void checkLength(String what, long found, long expected) {
    if (found != expected) {
      throw new IllegalArgumentException(
          "Invalid number of %s: %d, expected %d".formatted(what, found, expected));
    }
  }

  private void checkChoices() {
    if (choicesAreSound()) {
      return;
    }

    int topK = shape.topK();
    for (int at = 0; at < experts.length; at += topK) {
      for (int rank = 0; rank < topK; rank++) {
        int expert = experts[at + rank] & 0xffff;
        if (expert >= shape.experts()) {
          throw new IllegalArgumentException(
              "Invalid expert id %d at token %d, layer %d, rank %d: the model has experts 0 to %d"
                  .formatted(expert, token(at), layer(at), rank, shape.experts() - 1));
        }

        for (int before = 0; before < rank; before++) {
          if (experts[at + before] == experts[at + rank]) {
            throw new IllegalArgumentException(
                "Invalid top-%d at token %d, layer %d: expert %d stands at ranks %d and %d"
                    .formatted(topK, token(at), layer(at), expert, before, rank));
          }
        }
      }
    }
  }

  /**
   * The same check for few experts or a small k, without saying what is wrong; false also if
   * neither is the case.
   */
  private boolean choicesAreSound() {
    if (shape.topK() == 1) {
      return singlesAreSound();
    }

    return shape.topK() == 2 ? pairsAreSound() : shape.experts() <= Long.SIZE && setsAreSound();
  }

  private boolean singlesAreSound() {
    int last = shape.experts() - 1;
    int wrong = 0; // negative if anything is
    for (int at = 0; at < experts.length; at++) {
      wrong |= last - (experts[at] & 0xffff);
    }

    return wrong >= 0;
  }

  private boolean pairsAreSound() {
    int last = shape.experts() - 1;
    int wrong = 0; // negative if anything is
    for (int at = 0; at + 1 < experts.length; at += 2) {
      int first = experts[at] & 0xffff;
      int second = experts[at + 1] & 0xffff;
      wrong |= (last - first) | (last - second) | ((first ^ second) - 1);
    }

    return wrong >= 0;
  }

  private boolean setsAreSound() {
    int topK = shape.topK();
    int last = shape.experts() - 1;
    int wrong = 0; // negative if an id is out of range
    int missing = 0;
    for (int at = 0; at < experts.length; at += topK) {
      long set = 0;
      for (int i = at; i < at + topK; i++) {
        int expert = experts[i] & 0xffff;
        wrong |= last - expert;
        set |= 1L << expert;
      }

      missing |= topK - Long.bitCount(set);
    }

    return wrong >= 0 && missing == 0;
  }

  private int token(int choice) {
    return choice / shape.choicesPerToken();
  }

  private int layer(int choice) {
    return choice % shape.choicesPerToken() / shape.topK();
  }

  /** The shape of the traced model. */
  public ModelShape shape() {
    return shape;
  }

  /** Number of tokens held here. */
  @Override
  public int tokens() {
    return tokens;
  }

  /** The layer-local id of the expert that a token visited at a rank of a layer. */
  public int expert(int token, int layer, int rank) {
    return experts[(token * shape.layers() + layer) * shape.topK() + rank] & 0xffff;
  }

  /**
   * The choices of tokens {@code from} (inclusive) to {@code to} (exclusive), {@code
   * [token][layer][rank]}, unsigned: a read-only view.
   */
  public ShortBuffer experts(int from, int to) {
    Objects.checkFromToIndex(from, to, tokens);
    int width = shape.choicesPerToken();
    return ShortBuffer.wrap(experts, from * width, (to - from) * width).asReadOnlyBuffer();
  }

  /** Whether router weights were recorded. */
  public boolean hasWeights() {
    return weights.length != 0 || tokens == 0;
  }

  /**
   * The router weight of a choice, as the model applies it.
   *
   * @throws IllegalStateException if the trace has no weights
   */
  public float weight(int token, int layer, int rank) {
    if (weights.length == 0) {
      throw new IllegalStateException("The trace has no router weights");
    }

    return weights[(token * shape.layers() + layer) * shape.topK() + rank];
  }

  /** The sequence (request, document) that a token belongs to. */
  @Override
  public int sequence(int token) {
    return sequence[token];
  }

  /** The position of a token in its sequence. */
  @Override
  public int position(int token) {
    return position[token];
  }

  /** The phase in which a token was processed. */
  public Phase phase(int token) {
    return Phase.ofCode(phase[token]);
  }

  @Override
  public void copySequences(int from, int to, IntBuffer into) {
    into.put(sequence, from, to - from);
  }

  @Override
  public void copyPositions(int from, int to, IntBuffer into) {
    into.put(position, from, to - from);
  }

  @Override
  public void copyPhases(int from, int to, ByteBuffer into) {
    into.put(phase, from, to - from);
  }

  @Override
  public void copyExperts(int from, int to, LayerSelection layers, ShortBuffer into) {
    layers.forEachPiece(from, to, (at, count) -> into.put(experts, at, count));
  }

  @Override
  public void copyWeights(int from, int to, LayerSelection layers, FloatBuffer into) {
    if (weights.length == 0 && from < to) {
      throw new IllegalStateException("The trace has no router weights");
    }

    layers.forEachPiece(from, to, (at, count) -> into.put(weights, at, count));
  }

  /** A copy of the tokens {@code from} (inclusive) to {@code to} (exclusive). */
  public RoutingTrace slice(int from, int to) {
    Objects.checkFromToIndex(from, to, tokens);
    int width = shape.choicesPerToken();
    return new RoutingTrace(
        shape,
        Arrays.copyOfRange(experts, from * width, to * width),
        weights.length == 0 ? NO_WEIGHTS : Arrays.copyOfRange(weights, from * width, to * width),
        Arrays.copyOfRange(sequence, from, to),
        Arrays.copyOfRange(position, from, to),
        Arrays.copyOfRange(phase, from, to));
  }

  /** A copy of the tokens whose index here passes the test, in their order. */
  public RoutingTrace select(IntPredicate tokenIndex) {
    int[] chosen = new int[tokens];
    int count = 0;
    for (int token = 0; token < tokens; token++) {
      if (tokenIndex.test(token)) {
        chosen[count++] = token;
      }
    }

    if (count == tokens) {
      return this;
    }

    int width = shape.choicesPerToken();
    short[] someExperts = new short[count * width];
    float[] someWeights = weights.length == 0 ? NO_WEIGHTS : new float[count * width];
    int[] someSequence = new int[count];
    int[] somePosition = new int[count];
    byte[] somePhase = new byte[count];
    for (int i = 0; i < count; i++) {
      int token = chosen[i];
      System.arraycopy(experts, token * width, someExperts, i * width, width);
      if (weights.length != 0) {
        System.arraycopy(weights, token * width, someWeights, i * width, width);
      }

      someSequence[i] = sequence[token];
      somePosition[i] = position[token];
      somePhase[i] = phase[token];
    }

    return new RoutingTrace(shape, someExperts, someWeights, someSequence, somePosition, somePhase);
  }

  @Override
  public String toString() {
    return "RoutingTrace[%s, %d tokens%s]"
        .formatted(shape, tokens, weights.length == 0 ? "" : ", weights");
  }
}
