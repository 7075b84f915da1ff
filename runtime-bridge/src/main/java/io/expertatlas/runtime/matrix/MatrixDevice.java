package io.expertatlas.runtime.matrix;

import java.nio.FloatBuffer;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Where matrices are made and computed. Its operations run in the order in which they are called,
 * maybe behind the caller. One thread computes; {@link #load} may run beside it on another, and
 * {@link #release} on any.
 *
 * <p>What operations make belongs to the innermost {@link Scope} that is open, and is given up with
 * it; without one, with {@link #release}. On devices whose memory is the JVM's both do nothing.
 */
public interface MatrixDevice extends AutoCloseable {
  /** Its name in messages. */
  String name();

  /** Bytes of a number. */
  int numberBytes();

  /**
   * Rows that sums over rows, as of {@link Matrix#addOuter}, take together: they are fastest over a
   * multiple of them.
   */
  default int rowsOfSum() {
    return 1;
  }

  /**
   * A list of rows that several gather parts of.
   *
   * @param indices from 0; they and the weights may change afterwards
   * @param weights one for each index, or none if nobody asks for weighted rows
   */
  default RowList rowList(int[] indices, double[] weights) {
    return new HostRowList(indices, weights);
  }

  /** Lasting zeros: no scope's, to be released. A device may write them when they are used. */
  Matrix zeros(int rows, int columns);

  /** A matrix of given numbers, row by row, rounded to the device's. */
  Matrix of(int rows, int columns, double[] values);

  /** The matrix itself if it is here, else a copy; what its device was asked for must be done. */
  Matrix take(Matrix matrix);

  /**
   * Begins to {@link #take} a matrix behind what its device was asked for, which may go on, and
   * give it up; what is returned must be called, once, and waits for the copy. A copy from a device
   * is begun by the thread that computes there, and waited for by any; a copy to a device is begun
   * by any, and waited for by the thread that computes there.
   */
  default Supplier<Matrix> beginTake(Matrix matrix) {
    Matrix taken = take(matrix);
    return () -> taken;
  }

  /**
   * Begins a lasting copy of a host's numbers, once there is memory; it is there when {@link
   * #awaitLoads} returns. The host's stay as they are while it is in use: a device that computes
   * from them directly makes none.
   *
   * @param values from position 0
   * @throws InterruptedException if the thread is interrupted while it waits
   */
  Matrix load(FloatBuffer values, int rows, int columns) throws InterruptedException;

  /** Waits until all copies that were begun are there. */
  default void awaitLoads() {}

  /**
   * The host's numbers themselves as a lasting matrix, which writes to them; nothing if the device
   * cannot compute on them.
   *
   * @param values from position 0
   */
  default Optional<Matrix> view(FloatBuffer values, int rows, int columns) {
    return Optional.empty();
  }

  /**
   * {@link Matrix#addOuter} of several: gradients of layers that were all given the same input.
   *
   * @param sums here
   * @param gradients of each
   */
  default void addOuters(List<Matrix> sums, List<Matrix> gradients, Matrix input) {
    for (int i = 0; i < sums.size(); i++) {
      sums.get(i).addOuter(gradients.get(i), input);
    }
  }

  /** Gives a lasting matrix up: its memory is free when what was called before is done. */
  void release(Matrix matrix);

  /** Gives lasting matrices up together. */
  default void release(List<Matrix> matrices) {
    matrices.forEach(this::release);
  }

  /**
   * Writes a lasting matrix to the host behind what was called, and gives it up. Complete after
   * {@link #synchronize}.
   *
   * @param into from position 0
   */
  void store(Matrix matrix, FloatBuffer into);

  /**
   * Writes lasting matrices to the host together; see {@link #store(Matrix, FloatBuffer)}.
   *
   * @param into of each
   */
  default void store(List<Matrix> matrices, List<FloatBuffer> into) {
    for (int i = 0; i < matrices.size(); i++) {
      store(matrices.get(i), into.get(i));
    }
  }

  /**
   * Waits, when run, until all that was stored before this call is there; it may be run by any
   * thread, and must be.
   */
  default Runnable stored() {
    return () -> {};
  }

  /** Waits until all that was called is done, stores too. */
  void synchronize();

  /** Matrices of a computation, given up together. */
  interface Scope extends AutoCloseable {
    /** Hands a matrix to the scope around this one; if there is none, it is lasting. */
    void keep(Matrix matrix);

    /** Gives up what was made since it was opened, but what was kept. */
    @Override
    void close();
  }

  /** Opens a scope within the last one that is open. */
  Scope scope();

  /**
   * Each token's sum of its choices' rows, in their order.
   *
   * @param sources of one width, here; null where nothing is taken from
   * @param weights of each choice; null: 1 each
   */
  Matrix combine(Matrix[] sources, int columns, Choices choices, double[] weights);

  /**
   * What a router's logits are told, {@code [token, expert]}: those of a token's choices get their
   * numbers, and all lose their share of the sum of the token's.
   *
   * @param along {@code [expert]} of {@code [row, 1]}: numbers of choices, of which no two of a
   *     token are of one expert; null where nothing is taken from
   * @param shares {@code [token * experts]}, or of each choice if they are of the chosen
   * @param ofChosen whether the shares of others are 0
   */
  Matrix logitsGradient(Matrix[] along, Choices choices, double[] shares, boolean ofChosen);

  /**
   * Checks the shares of {@link #logitsGradient}.
   *
   * @throws IllegalArgumentException if they are too few or too many
   */
  static void checkShares(int experts, Choices choices, double[] shares, boolean ofChosen) {
    int expected = choices.tokens() * (ofChosen ? choices.each() : experts);
    if (shares.length != expected) {
      throw new IllegalArgumentException(
          "Invalid shares: %d, expected %d".formatted(shares.length, expected));
    }
  }

  /** Bytes in use at their most so far; 0 where the memory is the JVM's. */
  default long peakBytes() {
    return 0;
  }

  /** Gives everything up. */
  @Override
  void close();
}
