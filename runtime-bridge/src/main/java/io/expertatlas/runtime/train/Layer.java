package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import java.util.List;

/** A layer of a model: attention, then experts. */
interface Layer {
  /** What backward needs of forward. */
  interface Tape {
    /** {@code [token, H]}, what the layer was given. */
    Matrix x();

    /** {@code [token, H]}, what the layer made. */
    Matrix output();

    /** Of experts. */
    MoeBlock.Tape moe();

    /** Bytes of what is kept besides the input; see {@link Layer#tapeBytes}. */
    long bytes();

    /** The same without what backward can compute again. */
    Tape reduced();

    /** What a reduced tape holds on the device besides input and output. */
    List<Matrix> held();
  }

  /** What attention computes. */
  interface Attended {
    /** {@code [token, H]}, what the experts are given. */
    Matrix given();
  }

  /** Its heads of attention. */
  Heads heads();

  /**
   * Bytes of the tape of so many tokens in doubles, whatever their routing.
   *
   * @param isReduced whether backward computes experts again, one after the other
   */
  long tapeBytes(int tokens, boolean isReduced);

  /** Matrices {@code [token, H]} on a device that a reduced tape keeps there, with the input. */
  int heldMatrices();

  /** Attention with its norms. */
  Block attention();

  /** The router. */
  Block gate();

  /** The experts. */
  List<Block> experts();

  /** What an expert computes. */
  ExpertMath math();

  /** Computes attention, the first half of the layer, of its input. */
  Attended attend(Matrix x, int length, Copies copies);

  /**
   * Computes the layer.
   *
   * @param x {@code [token, H]}, sequences one after the other; stays as it is
   * @param length tokens of each sequence
   */
  Tape forward(Matrix x, int length, Copies copies, ExpertRunner runner)
      throws InterruptedException;

  /**
   * Adds the parameters' gradients and returns that of x. If the tape is reduced, attention is
   * computed again while the CPU is at its experts.
   */
  Matrix backward(Tape tape, int length, Matrix gradient, Copies copies, ExpertRunner runner)
      throws InterruptedException;
}
