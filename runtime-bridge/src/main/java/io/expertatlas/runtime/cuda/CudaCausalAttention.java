package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.cuda.FloatBlas.Operand;
import io.expertatlas.runtime.matrix.Heads;
import io.expertatlas.runtime.matrix.Matrix;
import io.expertatlas.runtime.matrix.MatrixDevice.Scope;

/**
 * Attention of whole sequences: products of all heads in batches, softmax between them. A unit is a
 * key head of a sequence with its query heads; as many units go together as {@value #SCORE_BYTES}
 * bytes hold scores of. Probabilities are computed again by backward. Where factors may be rounded,
 * {@link FusedAttention} does what it has kernels for.
 */
final class CudaCausalAttention {
  /** Bytes of scores at a time, more if one unit needs more; backward takes them twice. */
  static final long SCORE_BYTES = 256L << 20;

  private static final int MOST_PRODUCTS = 1 << 15; // of a batch
  private static final int WARPS = 8; // of a block of softmax
  private static final int SHORT = 128; // numbers of a row up to which a warp takes four

  private final CudaMatrixDevice device;
  private final Heads shape;
  private final int length;
  private final int keyHeads;
  private final int group;
  private final int headSize;
  private final int units;
  private final int unitsAtOnce;
  private final int slot; // numbers from one matrix of scores to the next: aligned

  CudaCausalAttention(CudaMatrixDevice device, Heads shape, int rows, int length) {
    this.device = device;
    this.shape = shape;
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

  /** What a matrix holds of heads: as {@code train_head_addresses} numbers it. */
  private enum Holds {
    QUERIES,
    KEYS, // of all query heads of a group the same
    SCORES // a slot each
  }

  /** The heads of some units, matrices of one kind: those of query head j of all units together. */
  private final class Batch {
    final CudaMatrix matrix;
    final Holds holds;
    final int first; // unit
    final int count; // of units
    long addresses; // on the GPU

    Batch(CudaMatrix matrix, Holds holds, int first, int count) {
      this.matrix = matrix;
      this.holds = holds;
      this.first = first;
      this.count = count;
    }

    int heads() {
      return count * group;
    }

    /** Numbers of a row. */
    int stride() {
      return holds == Holds.SCORES ? length : matrix.columns();
    }

    /** Where a head begins. */
    long address(int i) {
      int unit = first + i % count;
      long token = (long) (unit / keyHeads) * length;
      int keyHead = unit % keyHeads;
      long head = holds == Holds.KEYS ? keyHead : (long) keyHead * group + i / count;
      long number =
          holds == Holds.SCORES ? (long) i * slot : token * matrix.columns() + head * headSize;
      return matrix.address() + Float.BYTES * number;
    }

    Operand plain() {
      return new Operand(addresses, stride(), false);
    }

    Operand transposed() {
      return new Operand(addresses, stride(), true);
    }
  }

  /** Lets the GPU compute where the heads of batches, of the same units, begin. */
  private void locate(Batch... batches) {
    if (!isBatched()) {
      return;
    }

    long[] told = new long[3 * batches.length];
    for (int i = 0; i < batches.length; i++) {
      told[3 * i] = batches[i].matrix.address();
      told[3 * i + 1] = batches[i].matrix.columns();
      told[3 * i + 2] = batches[i].holds.ordinal();
    }

    int heads = batches[0].heads();
    CudaMatrix addresses = device.make(2 * batches.length, heads); // 8 bytes each
    long at = device.uploads().send(told, new double[0]).longs();
    device
        .on("train_head_addresses", (heads + 255) / 256, batches.length, 256)
        .with(at)
        .with(addresses.address())
        .with(batches[0].first)
        .with(batches[0].count)
        .with(group)
        .with(keyHeads)
        .with(length)
        .with(headSize)
        .with((long) slot)
        .run();
    for (int i = 0; i < batches.length; i++) {
      batches[i].addresses = addresses.address() + 8L * i * heads;
    }
  }

  /** Whether heads begin where batches of cuBLAS may rely on. */
  private boolean isBatched() {
    return headSize % 4 == 0;
  }

  /** Products of a batch, each {@code c = a b}. */
  private void products(
      int m, int n, int k, Batch a, boolean turnA, Batch b, boolean turnB, Batch c) {
    products(m, n, k, a, turnA, b, turnB, c, false, 0, a.heads());
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
    if (isBatched()) {
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
              m, n, k, left.at(a.address(i)), right.at(b.address(i)), out.at(c.address(i)), add);
    }
  }

  /** Probabilities of a batch. */
  private void probabilities(Batch q, Batch k, Batch scores, CudaMatrix memory) {
    products(length, length, headSize, q, false, k, true, scores);
    long rows = (long) scores.heads() * length;
    ofRows("train_causal_softmax", rows)
        .with(memory.address())
        .with(rows)
        .with(length)
        .with((long) slot)
        .with(scale())
        .run();
  }

  private Kernels.Launch ofRows(String kernel, long rows) {
    int ofBlock = length % 4 == 0 && length <= SHORT ? 4 * WARPS : WARPS;
    return device.on(kernel, (rows + ofBlock - 1) / ofBlock, 32 * WARPS);
  }

  private float scale() {
    return (float) (1 / Math.sqrt(headSize));
  }

  private boolean isFused() {
    return device.tensorFloat32() && FusedAttention.fits(shape, length);
  }

  CudaMatrix forward(CudaMatrix q, CudaMatrix k, CudaMatrix v) {
    if (isFused()) {
      return new FusedAttention(device, shape, length).forward(q, k, v);
    }

    try (Scope scratch = device.scope()) {
      CudaMatrix out = device.make(q.rows(), q.columns());
      CudaMatrix memory = device.make(Math.min(units, unitsAtOnce) * group, slot);
      for (int first = 0; first < units; first += unitsAtOnce) {
        int count = Math.min(unitsAtOnce, units - first);
        Batch queries = new Batch(q, Holds.QUERIES, first, count);
        Batch keys = new Batch(k, Holds.KEYS, first, count);
        Batch values = new Batch(v, Holds.KEYS, first, count);
        Batch seen = new Batch(out, Holds.QUERIES, first, count);
        Batch scores = new Batch(memory, Holds.SCORES, first, count);
        locate(queries, keys, values, seen, scores);
        probabilities(queries, keys, scores, memory);
        products(length, headSize, length, scores, false, values, false, seen);
      }

      scratch.keep(out);
      return out;
    }
  }

  Matrix.AttentionGradients backward(
      CudaMatrix q, CudaMatrix k, CudaMatrix v, CudaMatrix gradient) {
    if (isFused()) {
      return new FusedAttention(device, shape, length).backward(q, k, v, gradient);
    }

    try (Scope scratch = device.scope()) {
      CudaMatrix queryOut = device.make(q.rows(), q.columns());
      CudaMatrix keyOut = device.make(k.rows(), k.columns());
      CudaMatrix valueOut = device.make(v.rows(), v.columns());
      CudaMatrix memory = device.make(Math.min(units, unitsAtOnce) * group, slot);
      CudaMatrix second = device.make(memory.rows(), slot);
      for (int first = 0; first < units; first += unitsAtOnce) {
        int count = Math.min(unitsAtOnce, units - first);
        Batch queries = new Batch(q, Holds.QUERIES, first, count);
        Batch keys = new Batch(k, Holds.KEYS, first, count);
        Batch values = new Batch(v, Holds.KEYS, first, count);
        Batch down = new Batch(gradient, Holds.QUERIES, first, count);
        Batch queriesOut = new Batch(queryOut, Holds.QUERIES, first, count);
        Batch keysOut = new Batch(keyOut, Holds.KEYS, first, count);
        Batch valuesOut = new Batch(valueOut, Holds.KEYS, first, count);
        Batch shares = new Batch(memory, Holds.SCORES, first, count);
        Batch scores = new Batch(second, Holds.SCORES, first, count);
        locate(queries, keys, values, down, queriesOut, keysOut, valuesOut, shares, scores);
        probabilities(queries, keys, shares, memory);
        products(length, length, headSize, down, false, values, true, scores);
        long rows = (long) scores.heads() * length;
        ofRows("train_causal_softmax_backward", rows)
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
