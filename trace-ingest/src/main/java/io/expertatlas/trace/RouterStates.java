package io.expertatlas.trace;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;
import java.util.Objects;

/**
 * Consecutive tokens of a trace with what their routers saw: the input of each layer's router (the
 * hidden state), the score that it gave each expert, or both. Immutable and safe to share between
 * threads.
 *
 * <p>Dense arrays are row-major: hidden states {@code [token][layer][hidden]}, scores {@code
 * [token][layer][expert]}.
 */
public final class RouterStates implements TokenRows {
  /** What the scores of experts are. */
  public enum Scores {
    /** There are none. */
    NONE,
    /** What the router's linear map gives, before any softmax or sigmoid. */
    LOGITS,
    /** Not negative; in each layer of a token they sum to 1, or the model gates each by itself. */
    PROBABILITIES
  }

  private static final float[] NOTHING = {};

  private final RoutingTrace routes;
  private final int hiddenSize;
  private final float[] hidden; // [token][layer][hidden], or empty
  private final Scores kind;
  private final float[] scores; // [token][layer][expert], or empty

  private RouterStates(
      RoutingTrace routes, int hiddenSize, float[] hidden, Scores kind, float[] scores) {
    this.routes = routes;
    this.hiddenSize = hiddenSize;
    this.hidden = hidden;
    this.kind = kind;
    this.scores = scores;
  }

  /**
   * Creates a batch. The arrays are taken over, not copied: the caller must not change them
   * afterwards.
   *
   * @param routes of the same tokens
   * @param hiddenSize length of a hidden state; 0: there are none
   * @param hidden {@code [token][layer][hidden]} router inputs, empty if {@code hiddenSize} is 0
   * @param kind what the scores are
   * @param scores {@code [token][layer][expert]}, empty if {@code kind} is {@code NONE}
   * @throws IllegalArgumentException if the lengths do not fit each other, or there is neither
   */
  public static RouterStates of(
      RoutingTrace routes, int hiddenSize, float[] hidden, Scores kind, float[] scores) {
    Objects.requireNonNull(kind, "kind is null");
    if (hiddenSize < 0) {
      throw new IllegalArgumentException(
          "Invalid hidden size: %d, at least 0".formatted(hiddenSize));
    }

    if (hiddenSize == 0 && kind == Scores.NONE) {
      throw new IllegalArgumentException("Neither hidden states nor scores");
    }

    long rows = (long) routes.tokens() * routes.shape().layers();
    checkLength("values of hidden states", hidden.length, rows * hiddenSize);
    checkLength("scores", scores.length, kind == Scores.NONE ? 0 : rows * routes.shape().experts());
    return new RouterStates(routes, hiddenSize, hidden, kind, scores);
  }

  /** A batch with hidden states only; see {@link #of}. */
  public static RouterStates ofHidden(RoutingTrace routes, int hiddenSize, float[] hidden) {
    return of(routes, hiddenSize, hidden, Scores.NONE, NOTHING);
  }

  private static void checkLength(String what, long found, long expected) {
    if (found != expected) {
      throw new IllegalArgumentException(
          "Invalid number of %s: %d, expected %d".formatted(what, found, expected));
    }
  }

  /** The routes of the same tokens. */
  public RoutingTrace routes() {
    return routes;
  }

  @Override
  public int tokens() {
    return routes.tokens();
  }

  /** Length of a hidden state; 0: there are none. */
  public int hiddenSize() {
    return hiddenSize;
  }

  /** What the scores are. */
  public Scores scores() {
    return kind;
  }

  /**
   * One value of a router's input.
   *
   * @throws IndexOutOfBoundsException if there are no hidden states, or an index is out of range
   */
  public float hidden(int token, int layer, int index) {
    Objects.checkIndex(index, hiddenSize);
    return hidden[row(token, layer) * hiddenSize + index];
  }

  /**
   * Copies the input of a layer's router.
   *
   * @param into at least {@link #hiddenSize()} values from {@code at} on
   */
  public void copyHidden(int token, int layer, float[] into, int at) {
    System.arraycopy(hidden, row(token, layer) * hiddenSize, into, at, hiddenSize);
  }

  /**
   * The score that a layer's router gave an expert.
   *
   * @throws IndexOutOfBoundsException if there are no scores, or an index is out of range
   */
  public float score(int token, int layer, int expert) {
    Objects.checkIndex(expert, kind == Scores.NONE ? 0 : routes.shape().experts());
    return scores[row(token, layer) * routes.shape().experts() + expert];
  }

  /**
   * Copies the scores that a layer's router gave its experts.
   *
   * @param into at least as many values as there are experts, from {@code at} on
   */
  public void copyScores(int token, int layer, float[] into, int at) {
    int experts = kind == Scores.NONE ? 0 : routes.shape().experts();
    System.arraycopy(scores, row(token, layer) * experts, into, at, experts);
  }

  @Override
  public int sequence(int token) {
    return routes.sequence(token);
  }

  @Override
  public int position(int token) {
    return routes.position(token);
  }

  @Override
  public void copySequences(int from, int to, IntBuffer into) {
    routes.copySequences(from, to, into);
  }

  @Override
  public void copyPositions(int from, int to, IntBuffer into) {
    routes.copyPositions(from, to, into);
  }

  @Override
  public void copyPhases(int from, int to, ByteBuffer into) {
    routes.copyPhases(from, to, into);
  }

  @Override
  public void copyExperts(int from, int to, LayerSelection layers, ShortBuffer into) {
    routes.copyExperts(from, to, layers, into);
  }

  @Override
  public void copyWeights(int from, int to, LayerSelection layers, FloatBuffer into) {
    routes.copyWeights(from, to, layers, into);
  }

  @Override
  public void copyInputs(int from, int to, LayerSelection layers, FloatBuffer into) {
    if (hiddenSize == 0) {
      throw new IllegalStateException("The trace has no hidden states");
    }

    layers.forEachPiece(hiddenSize, from, to, (at, count) -> into.put(hidden, at, count));
  }

  @Override
  public void copyScores(int from, int to, LayerSelection layers, FloatBuffer into) {
    if (kind == Scores.NONE) {
      throw new IllegalStateException("The trace has no router scores");
    }

    layers.forEachPiece(
        routes.shape().experts(), from, to, (at, count) -> into.put(scores, at, count));
  }

  private int row(int token, int layer) {
    Objects.checkIndex(layer, routes.shape().layers());
    return token * routes.shape().layers() + layer;
  }

  @Override
  public String toString() {
    return "RouterStates[%s, hidden size %d, scores %s]".formatted(routes, hiddenSize, kind);
  }
}
