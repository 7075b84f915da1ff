package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import java.util.List;
import java.util.Optional;

/** A layer of a model: attention, then experts. */
interface Layer {
  /** What backward needs of forward. */
  interface Tape {
    /** {@code [token, H]}, what the layer made. */
    Matrix output();

    /** Bytes of what is kept besides the input; see {@link Layer#tapeBytes}. */
    long bytes();

    /** Of experts. */
    MoeBlock.Tape moe();
  }

  /** Its heads of attention. */
  Heads heads();

  /** Bytes of the tape of so many tokens in doubles, whatever their routing. */
  long tapeBytes(int tokens);

  /** Attention with its norms. */
  Block attention();

  /** The router. */
  Block gate();

  /** The experts. */
  List<Block> experts();

  /** What an expert computes. */
  ExpertMath math();

  /**
   * Computes the layer.
   *
   * @param x {@code [token, H]}, sequences one after the other; stays as it is
   * @param length tokens of each sequence
   * @param kept of a first forward pass of x, {@link MoeBlock.Tape#kept}; empty: this is the first
   */
  Tape forward(
      Matrix x, int length, Optional<MoeBlock.Kept> kept, Copies copies, ExpertRunner runner)
      throws InterruptedException;

  /** Computes the layer, as the first pass. */
  default Tape forward(Matrix x, int length, Copies copies, ExpertRunner runner)
      throws InterruptedException {
    return forward(x, length, Optional.empty(), copies, runner);
  }

  /** Adds the parameters' gradients and returns that of x. */
  Matrix backward(Tape tape, int length, Matrix gradient, Copies copies, ExpertRunner runner)
      throws InterruptedException;
}
