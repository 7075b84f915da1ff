package io.expertatlas.runtime.matrix;

import java.nio.FloatBuffer;
import java.util.function.Consumer;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Rows of numbers on a device, and what training computes of them. Operands are of one device;
 * results too, and new unless said otherwise. Operations run in the order in which they are called;
 * only {@link #toHost} and what else returns plain numbers waits for them.
 */
public interface Matrix {
  /** Number of rows. */
  int rows();

  /** Numbers of a row. */
  int columns();

  /** Where it is. */
  MatrixDevice device();

  /** Bytes that it takes there. */
  default long bytes() {
    return (long) rows() * columns() * device().numberBytes();
  }

  /** The numbers, row by row. */
  double[] toHost();

  /**
   * The largest numbers of rows.
   *
   * @param columns {@code [row * k]}, of equal numbers the lower column first
   * @param numbers {@code [row * k]}, falling; any thread may read them
   * @param all the numbers, row by row, to be read only if they were asked for
   */
  record Largest(int[] columns, IntToDoubleFunction numbers, IntToDoubleFunction all) {}

  /**
   * The k largest numbers of each row, k at most as many as it has.
   *
   * @param withAll whether all numbers are asked for, which come in the same copy
   */
  default Largest largest(int k, boolean withAll) {
    double[] all = toHost();
    int[] best = new int[rows() * k];
    double[] numbers = new double[rows() * k];
    for (int row = 0; row < rows(); row++) {
      boolean[] isTaken = new boolean[columns()];
      int first = row * columns();
      for (int j = row * k; j < (row + 1) * k; j++) {
        best[j] = -1;
        for (int column = 0; column < columns(); column++) {
          if (!isTaken[column] && (best[j] < 0 || all[first + column] > all[first + best[j]])) {
            best[j] = column;
          }
        }

        isTaken[best[j]] = true;
        numbers[j] = all[first + best[j]];
      }
    }

    return new Largest(best, i -> numbers[i], i -> all[i]);
  }

  /**
   * Writes numbers from the {@code first}-th on, rounded to floats, to a buffer's rest, whose
   * position stays.
   */
  default void copyInto(FloatBuffer into, int first) {
    double[] numbers = toHost();
    for (int i = 0; i < into.remaining(); i++) {
      into.put(into.position() + i, (float) numbers[first + i]);
    }
  }

  /**
   * Begins to copy all numbers to the host, behind what was called: the device may go on, and give
   * this up. What is returned waits for them and writes them, rounded to floats, to a buffer's
   * rest, whose position stays; any thread may call it, and somebody must, once.
   */
  default Consumer<FloatBuffer> beginCopy() {
    return into -> copyInto(into, 0);
  }

  /** This [t, in] through a linear layer [n, in]: [t, n]. */
  Matrix linear(Matrix weight);

  /** This [t, in] through a linear layer [n, in] with a bias [1, n], added to each row: [t, n]. */
  Matrix linear(Matrix weight, Matrix bias);

  /** {@code linear(weight, bias).add(more)}, of which more [t, n] stays as it is. */
  default Matrix linear(Matrix weight, Matrix bias, Matrix more) {
    return linear(weight, bias).add(more);
  }

  /** {@link #linear(Matrix, Matrix)} with 0 for what is below. */
  Matrix linearRelu(Matrix weight, Matrix bias);

  /** This [t, n] times [n, in]: [t, in]; a linear layer's gradient of its input. */
  Matrix times(Matrix other);

  /** Adds transposed(gradient [t, n]) input [t, in] to this [n, in]: that of a linear layer. */
  void addOuter(Matrix gradient, Matrix input);

  /** Adds another of the same shape to this one, which is returned. */
  Matrix add(Matrix other);

  /** Adds left [rows, k] times right [k, columns] to this one, which is returned. */
  default Matrix addTimes(Matrix left, Matrix right) {
    return add(left.times(right));
  }

  /** Adds the sum of another's rows to this row [1, columns]: a bias's gradient. */
  void addRowsOf(Matrix other);

  /** Rows by their index: [indices, columns]. */
  Matrix gather(int[] indices);

  /** Rows by their index, each times a weight. */
  Matrix gather(int[] indices, double[] weights);

  /**
   * Consecutive rows: [count, columns]. A copy, or a view of this one's numbers, so that neither is
   * written while the other is in use.
   */
  default Matrix rows(int first, int count) {
    return gather(IntStream.range(first, first + count).toArray());
  }

  /** Adds each row of another to a row of this one, in order: the gradient of {@link #gather}. */
  void addRowsAt(int[] indices, Matrix rows);

  /** Products of rows with those of another, or with its only row: [rows, 1]. */
  Matrix rowProducts(Matrix other);

  /** Adds {@code left.rowProducts(right)} to this one [rows, 1], which is returned. */
  default Matrix addRowProducts(Matrix left, Matrix right) {
    return add(left.rowProducts(right));
  }

  /**
   * Backward of {@link #linearRelu}'s end: clears this gradient where the result is 0, then adds
   * the sum of its rows to the bias's.
   *
   * @param biasGradient {@code [1, columns]}
   * @return products of this gradient's rows with those of the result: [rows, 1]
   */
  Matrix linearReluBackward(Matrix result, Matrix biasGradient);

  /** {@code silu(this) * up}; silu(x) is x / (1 + exp(-x)). */
  Matrix swiglu(Matrix up);

  /** Gradients of {@link #swiglu}'s operands. */
  record SwigluGradients(Matrix gate, Matrix up) {}

  /**
   * Backward of {@link #swiglu}; this is the gate.
   *
   * @param gradient of the result
   */
  SwigluGradients swigluBackward(Matrix up, Matrix gradient);

  /** RMSNorm of each row: {@code gain x / sqrt(mean(x^2) + epsilon)}. */
  Matrix rmsNorm(Matrix gain, double epsilon);

  /** The gradient of this row's numbers; adds that of the gain. */
  Matrix rmsNormBackward(Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient);

  /** LayerNorm of each row: {@code gain (x - mean(x)) / sqrt(var(x) + epsilon) + bias}. */
  Matrix layerNorm(Matrix gain, Matrix bias, double epsilon);

  /** The gradient of this row's numbers; adds those of gain and bias. */
  Matrix layerNormBackward(
      Matrix gain, double epsilon, Matrix gradient, Matrix gainGradient, Matrix biasGradient);

  /** Turns queries or keys {@code [tokens, heads * D]} by their positions, in place. */
  void turn(Rotary rotary, int length, boolean backwards);

  /**
   * What heads see: {@code softmax(q k' / sqrt(D)) v} over the places up to a token's own, within
   * each sequence. This is q, {@code [tokens, heads * D]}, sequences one after the other.
   *
   * @param keys {@code [tokens, keyHeads * D]}
   * @param values {@code [tokens, keyHeads * D]}
   * @param length tokens of each sequence
   */
  Matrix attend(Heads heads, Matrix keys, Matrix values, int length);

  /** Gradients of {@link #attend}'s operands. */
  record AttentionGradients(Matrix queries, Matrix keys, Matrix values) {}

  /**
   * Backward of {@link #attend}; this is q.
   *
   * @param gradient of the result
   */
  AttentionGradients attendBackward(
      Heads heads, Matrix keys, Matrix values, int length, Matrix gradient);

  /**
   * Turns logits {@code [token, V]} into the gradient of their cross-entropy {@code -log
   * softmax(logits)[target]}, times a scale, in place: {@code scale (softmax - one at the target)},
   * 0 where there is no target.
   *
   * @param targets {@code [token]}, below 0: none
   * @return the sum of losses, nats, without the scale
   */
  double crossEntropy(int[] targets, double scale);

  /** {@link #crossEntropy} without the sum, which nobody waits for. */
  default void crossEntropyGradient(int[] targets, double scale) {
    crossEntropy(targets, scale);
  }
}
