package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;

/**
 * Attention of short sequences by the kernels of {@code attend.cu}, one a pass, which keep scores
 * in registers and round factors to TF32. Backward makes probabilities again from the sums of their
 * rows and adds up in a fixed order.
 *
 * <p>The method is that of T. Dao, <a href="https://arxiv.org/abs/2307.08691">FlashAttention-2</a>
 * (2023), but that a block has all of a sequence at once: no sums are kept up as keys pass, and
 * queries' gradients are not added up by several blocks.
 */
final class FusedAttention {
  private static final int LONGEST = 128; // tokens of a sequence: constants of attend.cu
  private static final int THREADS = 128;
  private static final int PADDING = 4; // numbers behind a row in shared memory
  private static final int STATS = 2; // numbers of a query that keys need

  private final CudaMatrixDevice device;
  private final Heads shape;
  private final int length;

  FusedAttention(CudaMatrixDevice device, Heads shape, int length) {
    this.device = device;
    this.shape = shape;
    this.length = length;
  }

  /** Whether there are kernels for such heads and sequences. */
  static boolean fits(Heads shape, int length) {
    return (shape.headSize() == 32 || shape.headSize() == 64) && length <= LONGEST;
  }

  /**
   * What heads see.
   *
   * @param q {@code [tokens, heads * D]}
   * @param k {@code [tokens, keyHeads * D]}
   * @param v {@code [tokens, keyHeads * D]}
   * @return {@code [tokens, heads * D]}
   */
  CudaMatrix forward(CudaMatrix q, CudaMatrix k, CudaMatrix v) {
    CudaMatrix out = device.make(q.rows(), q.columns());
    launch("train_attend_", q, shape.heads(), 0)
        .with(q.address())
        .with(k.address())
        .with(v.address())
        .with(out.address())
        .with(shape.heads())
        .with(group())
        .with(length)
        .with(scale())
        .run();
    return out;
  }

  /** Gradients of the operands, shaped as these are, from that of the result. */
  Matrix.AttentionGradients backward(
      CudaMatrix q, CudaMatrix k, CudaMatrix v, CudaMatrix gradient) {
    CudaMatrix queryOut = device.make(q.rows(), q.columns());
    CudaMatrix keyOut = device.make(k.rows(), k.columns());
    CudaMatrix valueOut = device.make(v.rows(), v.columns());
    for (int member = 0; member < group(); member++) { // of heads that share keys: in order
      launch("train_attend_backward_", q, shape.keyHeads(), STATS * LONGEST)
          .with(q.address())
          .with(k.address())
          .with(v.address())
          .with(gradient.address())
          .with(queryOut.address())
          .with(keyOut.address())
          .with(valueOut.address())
          .with(shape.keyHeads())
          .with(group())
          .with(member)
          .with(length)
          .with(scale())
          .run();
    }

    return new Matrix.AttentionGradients(queryOut, keyOut, valueOut);
  }

  /** A block for each of so many heads of each sequence, with two heads' rows in shared memory. */
  private Kernels.Launch launch(String kernel, CudaMatrix q, int heads, int more) {
    int rows = 2 * LONGEST * (shape.headSize() + PADDING);
    return device
        .on(kernel + shape.headSize(), (long) q.rows() / length * heads, THREADS)
        .shared(Float.BYTES * (rows + more));
  }

  private int group() {
    return shape.heads() / shape.keyHeads();
  }

  private float scale() {
    return (float) (1 / Math.sqrt(shape.headSize()));
  }
}
