package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.cuda.FloatBlas.Operand;
import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice.Scope;

/**
 * Attention of whole sequences: products of all heads in batches, softmax between them. A unit is a
 * key head of a sequence with its query heads; as many units go together as {@value #SCORE_BYTES}
 * bytes hold scores of. Probabilities are computed again by backward.
 */
final class CudaCausalAttention {
  /** Bytes of scores at a time, more if one unit needs more; backward takes them twice. */
  static final long SCORE_BYTES = 256L << 20;

  private static final int MOST_PRODUCTS = 1 << 15; // of a batch
  private static final int ROWS_OF_BLOCK = 8; // of softmax, a warp each

  private final CudaMatrixDevice device;
  private final int length;
  private final int keyHeads;
  private final int group;
  private final int headSize;
  private final int units;
  private final int unitsAtOnce;
  private final int slot; // numbers from one matrix of scores to the next: aligned

  CudaCausalAttention(CudaMatrixDevice device, Heads shape, int rows, int length) {
    this.device = device;
    this.length = length;
    this.keyHeads = shape.keyHeads();
    this.headSize = shape.headSize();
    this.group = shape.heads() / keyHeads;
    if (length < 1 || rows % length != 0 || group * keyHeads != shape.heads()) {
      throw new IllegalArgumentException(
          "Invalid attention of %d rows in sequences of %d with %s".formatted(rows, length, shape));
    }

    this.units = rows / length * keyHeads;
    this.slot = Math.toIntExact(((long) length * length + 63) / 64 * 64);
    long fit = Math.min(SCORE_BYTES / (4L * slot), MOST_PRODUCTS) / group;
    this.unitsAtOnce = (int) Math.max(1, Math.min(units, fit));
  }

  /** Matrices of one kind, a query head each: addresses here and on the GPU. */
  private final class Batch {
    final long[] addresses;
    final int stride;
    long onDevice;

    /** Heads of a matrix {@code [tokens, heads * D]}; those of keys stand for their group. */
    Batch(CudaMatrix matrix, int first, int count, boolean isOfKeys) {
      stride = matrix.columns();
      addresses = new long[count * group];
      for (int unit = 0; unit < count; unit++) {
        long token = (long) ((first + unit) / keyHeads) * length;
        int keyHead = (first + unit) % keyHeads;
        for (int j = 0; j < group; j++) {
          long head = isOfKeys ? keyHead : keyHead * group + j;
          addresses[j * count + unit] = matrix.address() + 4 * (token * stride + head * headSize);
        }
      }
    }

    /** Slots of scores. */
    Batch(CudaMatrix scores, int count) {
      stride = length;
      addresses = new long[count * group];
      for (int i = 0; i < addresses.length; i++) {
        addresses[i] = scores.address() + 4L * i * slot;
      }
    }

    Operand plain() {
      return new Operand(onDevice, stride, false);
    }

    Operand transposed() {
      return new Operand(onDevice, stride, true);
    }
  }

  private void send(Batch... batches) {
    int each = batches[0].addresses.length;
    long[] all = new long[batches.length * each];
    for (int i = 0; i < batches.length; i++) {
      System.arraycopy(batches[i].addresses, 0, all, i * each, each);
    }

    long at = device.uploads().send(all, new double[0]).longs();
    for (int i = 0; i < batches.length; i++) {
      batches[i].onDevice = at + 8L * i * each;
    }
  }

  /** Products of a batch, each {@code c = a b}. */
  private void products(
      int m, int n, int k, Batch a, boolean turnA, Batch b, boolean turnB, Batch c) {
    products(m, n, k, a, turnA, b, turnB, c, false, 0, a.addresses.length);
  }

  /** Those {@code from} to before {@code to}, maybe added to c. */
  private void products(
      int m,
      int n,
      int k,
      Batch a,
      boolean turnA,
      Batch b,
      boolean turnB,
      Batch c,
      boolean add,
      int from,
      int to) {
    Operand left = turnA ? a.transposed() : a.plain();
    Operand right = turnB ? b.transposed() : b.plain();
    Operand out = c.plain();
    if (headSize % 4 == 0) { // addresses that batches of cuBLAS may rely on
      device
          .blas()
          .products(
              m,
              n,
              k,
              left.at(left.address() + 8L * from),
              right.at(right.address() + 8L * from),
              out.at(out.address() + 8L * from),
              add,
              to - from);
      return;
    }

    for (int i = from; i < to; i++) {
      device
          .blas()
          .product(
              m,
              n,
              k,
              left.at(a.addresses[i]),
              right.at(b.addresses[i]),
              out.at(c.addresses[i]),
              add);
    }
  }

  /** Probabilities of a batch. */
  private void probabilities(Batch q, Batch k, Batch scores, CudaMatrix memory) {
    products(length, length, headSize, q, false, k, true, scores);
    long rows = (long) scores.addresses.length * length;
    device
        .on("train_causal_softmax", (rows + ROWS_OF_BLOCK - 1) / ROWS_OF_BLOCK, 32 * ROWS_OF_BLOCK)
        .with(memory.address())
        .with(rows)
        .with(length)
        .with((long) slot)
        .with(scale())
        .run();
  }

  private float scale() {
    return (float) (1 / Math.sqrt(headSize));
  }

  CudaMatrix forward(CudaMatrix q, CudaMatrix k, CudaMatrix v) {
    try (Scope scratch = device.scope()) {
      CudaMatrix out = device.make(q.rows(), q.columns());
      CudaMatrix memory = device.make(Math.min(units, unitsAtOnce) * group, slot);
      for (int first = 0; first < units; first += unitsAtOnce) {
        int count = Math.min(unitsAtOnce, units - first);
        Batch queries = new Batch(q, first, count, false);
        Batch keys = new Batch(k, first, count, true);
        Batch values = new Batch(v, first, count, true);
        Batch seen = new Batch(out, first, count, false);
        Batch scores = new Batch(memory, count);
        send(queries, keys, values, seen, scores);
        probabilities(queries, keys, scores, memory);
        products(length, headSize, length, scores, false, values, false, seen);
      }

      scratch.keep(out);
      return out;
    }
  }

  Matrix.AttentionGradients backward(
      CudaMatrix q, CudaMatrix k, CudaMatrix v, CudaMatrix gradient) {
    try (Scope scratch = device.scope()) {
      CudaMatrix queryOut = device.make(q.rows(), q.columns());
      CudaMatrix keyOut = device.make(k.rows(), k.columns());
      CudaMatrix valueOut = device.make(v.rows(), v.columns());
      CudaMatrix memory = device.make(Math.min(units, unitsAtOnce) * group, slot);
      CudaMatrix second = device.make(memory.rows(), slot);
      for (int first = 0; first < units; first += unitsAtOnce) {
        int count = Math.min(unitsAtOnce, units - first);
        Batch queries = new Batch(q, first, count, false);
        Batch keys = new Batch(k, first, count, true);
        Batch values = new Batch(v, first, count, true);
        Batch down = new Batch(gradient, first, count, false);
        Batch queriesOut = new Batch(queryOut, first, count, false);
        Batch keysOut = new Batch(keyOut, first, count, true);
        Batch valuesOut = new Batch(valueOut, first, count, true);
        Batch shares = new Batch(memory, count);
        Batch scores = new Batch(second, count);
        send(queries, keys, values, down, queriesOut, keysOut, valuesOut, shares, scores);
        probabilities(queries, keys, shares, memory);
        products(length, length, headSize, down, false, values, true, scores);
        long rows = (long) scores.addresses.length * length;
        device
            .on(
                "train_causal_softmax_backward",
                (rows + ROWS_OF_BLOCK - 1) / ROWS_OF_BLOCK,
                32 * ROWS_OF_BLOCK)
            .with(memory.address())
            .with(second.address())
            .with(rows)
            .with(length)
            .with((long) slot)
            .with(scale())
            .run();
        products(length, headSize, length, scores, false, keys, false, queriesOut);
        for (int j = 0; j < group; j++) { // of shared keys: in order of the query heads
          int from = j * count;
          int to = from + count;
          products(length, headSize, length, shares, true, down, false, valuesOut, j > 0, from, to);
          products(
              length, headSize, length, scores, true, queries, false, keysOut, j > 0, from, to);
        }
      }

      scratch.keep(queryOut);
      scratch.keep(keyOut);
      scratch.keep(valueOut);
      return new Matrix.AttentionGradients(queryOut, keyOut, valueOut);
    }
  }
}
