package io.expertatlas.runtime.model;

import io.expertatlas.trace.Phase;
import java.util.List;

/**
 * The tokens that go through the model together, on all ranks: those of a sequence next to each
 * other, in order of position.
 */
public final class Step {
  private final Phase phase;
  private final int firstSequence;
  private final int[] sequence; // [token]
  private final int[] position; // [token]
  private final int[] id; // [token]
  private final int[] visible; // [token]
  private final boolean[] last; // [token]

  private Step(Phase phase, int firstSequence, int tokens) {
    this.phase = phase;
    this.firstSequence = firstSequence;
    this.sequence = new int[tokens];
    this.position = new int[tokens];
    this.id = new int[tokens];
    this.visible = new int[tokens];
    this.last = new boolean[tokens];
  }

  /**
   * Some consecutive tokens of sequences that follow each other.
   *
   * @param phase of all of them
   * @param firstSequence number in the whole run of the sequence that is 0 here
   * @param pieces of one sequence each, ascending
   */
  public static Step of(Phase phase, int firstSequence, List<Piece> pieces) {
    Step step =
        new Step(phase, firstSequence, pieces.stream().mapToInt(piece -> piece.ids().length).sum());
    int token = 0;
    for (Piece piece : pieces) {
      for (int i = 0; i < piece.ids().length; i++) {
        step.sequence[token] = piece.sequence();
        step.position[token] = piece.firstPosition() + i;
        step.id[token] = piece.ids()[i];
        step.visible[token] = piece.sees() == 0 ? piece.firstPosition() + i + 1 : piece.sees();
        step.last[token] = piece.wantsLogits() && i == piece.ids().length - 1;
        token++;
      }
    }

    return step;
  }

  /**
   * Tokens of one sequence.
   *
   * @param sequence its number among those that run together
   * @param firstPosition position of the first id
   * @param ids the tokens
   * @param wantsLogits whether the logits after the last id are wanted
   * @param sees entries of the cache that each token attends to; 0 for those up to itself
   */
  public record Piece(int sequence, int firstPosition, int[] ids, boolean wantsLogits, int sees) {}

  /** The phase of all tokens. */
  public Phase phase() {
    return phase;
  }

  /** Number of tokens. */
  public int tokens() {
    return id.length;
  }

  /** The sequence of a token among those that run together. */
  public int sequence(int token) {
    return sequence[token];
  }

  /**
   * The sequence of a token in the whole run, however the run is cut into batches: what traces
   * hold, what says where a token is at home and which copy of an expert it takes.
   */
  public int number(int token) {
    return firstSequence + sequence[token];
  }

  /** The number in the whole run of the sequence that is 0 here. */
  public int firstSequence() {
    return firstSequence;
  }

  /** The position of a token in its sequence. */
  public int position(int token) {
    return position[token];
  }

  int id(int token) {
    return id[token];
  }

  int visible(int token) {
    return visible[token];
  }

  boolean isLast(int token) {
    return last[token];
  }

  /** Whether no token of the step sees another one of it. */
  boolean isDecode() {
    return phase == Phase.DECODE;
  }
}
