package io.expertatlas.runtime.model;

import io.expertatlas.trace.ModelShape;
import io.expertatlas.trace.RoutingTrace;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** What the routers chose for each token of a run: observed, or of its recording. */
public final class RecordedRoutes implements RunObserver {
  private final ModelShape shape;
  private final Map<Token, short[]> choices = new HashMap<>(); // [layer][rank], unsigned
  private boolean isOpen = true;

  private record Token(int sequence, int position) {}

  /** Nothing is recorded yet. */
  public RecordedRoutes(ModelShape shape) {
    this.shape = shape;
  }

  /** The layers that are recorded. */
  public ModelShape shape() {
    return shape;
  }

  /** Forgets all, and records what is observed from now on. */
  public void begin() {
    choices.clear();
    isOpen = true;
  }

  /** Records nothing any more. */
  public void end() {
    isOpen = false;
  }

  @Override
  public void routed(Routes routes) {
    if (isOpen) {
      int width = shape.choicesPerToken();
      float[] weights = new float[width];
      for (int t = 0; t < routes.step().tokens(); t++) {
        short[] token = new short[width];
        routes.copy(t, token, weights, 0);
        choices.put(new Token(routes.step().number(t), routes.step().position(t)), token);
      }
    }
  }

  /**
   * Adds tokens of a recording.
   *
   * @throws IllegalArgumentException if its shape is another
   */
  public void add(RoutingTrace trace) {
    if (!trace.shape().equals(shape)) {
      throw new IllegalArgumentException(
          "Invalid routes: of %s, the model has %s".formatted(trace.shape(), shape));
    }

    for (int t = 0; t < trace.tokens(); t++) {
      short[] token = new short[shape.choicesPerToken()];
      for (int i = 0; i < token.length; i++) {
        token[i] = (short) trace.expert(t, i / shape.topK(), i % shape.topK());
      }

      choices.put(new Token(trace.sequence(t), trace.position(t)), token);
    }
  }

  /** A token's choices, {@code [layer][rank]}. */
  Optional<int[]> choices(int sequence, int position) {
    return Optional.ofNullable(choices.get(new Token(sequence, position))).map(this::toInts);
  }

  private int[] toInts(short[] token) {
    int[] ids = new int[token.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = Short.toUnsignedInt(token[i]);
    }

    return ids;
  }
}
