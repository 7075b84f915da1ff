package io.expertatlas.trace;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;

/**
 * Consecutive tokens whose columns can be copied in bulk, to memory of the heap or outside it.
 * Tokens are counted from 0 here; ranges are {@code from} inclusive to {@code to} exclusive. What a
 * copy appends to its buffer is row-major; the buffer's position moves behind it.
 */
public interface TokenRows {
  /** Number of tokens held here. */
  int tokens();

  /** The sequence that a token belongs to. */
  int sequence(int token);

  /** The position of a token in its sequence. */
  int position(int token);

  /** Appends sequence ids, {@code [token]}. */
  void copySequences(int from, int to, IntBuffer into);

  /** Appends positions, {@code [token]}. */
  void copyPositions(int from, int to, IntBuffer into);

  /** Appends {@link Phase#code() phase codes}, {@code [token]}. */
  void copyPhases(int from, int to, ByteBuffer into);

  /** Appends expert ids of some layers, {@code [token][layer][rank]}, unsigned 16-bit. */
  void copyExperts(int from, int to, LayerSelection layers, ShortBuffer into);

  /**
   * Appends router weights of some layers, {@code [token][layer][rank]}.
   *
   * @throws IllegalStateException if there are none
   */
  void copyWeights(int from, int to, LayerSelection layers, FloatBuffer into);

  /**
   * Appends the inputs of the routers of some layers, {@code [token][layer][hidden]}.
   *
   * @throws IllegalStateException if there are none
   */
  default void copyInputs(int from, int to, LayerSelection layers, FloatBuffer into) {
    throw new IllegalStateException("The trace has no hidden states");
  }

  /**
   * Appends what the routers of some layers gave their experts, {@code [token][layer][expert]}.
   *
   * @throws IllegalStateException if there are no scores
   */
  default void copyScores(int from, int to, LayerSelection layers, FloatBuffer into) {
    throw new IllegalStateException("The trace has no router scores");
  }
}
