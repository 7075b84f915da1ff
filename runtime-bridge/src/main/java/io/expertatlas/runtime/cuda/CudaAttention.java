package io.expertatlas.runtime.cuda;

import io.expertatlas.runtime.Batch;
import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.Tensor;

/** Attention over a cache, which kernel for which rows; and what fills the cache. */
final class CudaAttention {
  private static final int MOST_HEAD_SIZE = 256; // attention.cu
  private static final int PART = 64; // keys of one block of attend_group
  private static final long MOST_PARTS = 1 << 14; // rows times parts that attend_group is used for
  private static final int FEW_ROWS = 64; // so many do not keep a GPU busy without parts
  private static final int LONG_RUN = 16; // rows of a run from which tensor cores pay

  private final CudaDevice device;
  private final Kernels kernels;

  CudaAttention(CudaDevice device, Kernels kernels) {
    this.device = device;
    this.kernels = kernels;
  }

  /** Rows times parts at most, of steps of so many rows that see so much. */
  static long mostParts(int rows, int capacity) {
    long parts = (capacity + PART - 1) / PART;
    return Math.min(rows * parts, Math.max(rows, Math.max(MOST_PARTS, FEW_ROWS * parts)));
  }

  void rotary(Tensor x, Tensor frequency, Tensor positions) {
    CudaTensor tensor = (CudaTensor) x;
    int dim = Math.toIntExact(2 * frequency.elements());
    kernels
        .on("rotary_" + tensor.letter(), tensor.columns() / dim, tensor.rows(), 1, 64)
        .with(tensor)
        .with((CudaTensor) frequency)
        .with((CudaTensor) positions)
        .with(dim)
        .run();
  }

  void append(Tensor in, Tensor slots, Tensor positions, Tensor cache) {
    CudaTensor from = (CudaTensor) in;
    CudaTensor to = (CudaTensor) cache;
    Shapes.sameType("append", from, to);
    int unit = RowKernels.unit(from);
    kernels
        .on("append_" + unit, from.rows(), 256)
        .with(from)
        .with((CudaTensor) slots)
        .with((CudaTensor) positions)
        .with(to)
        .with(Math.toIntExact(to.size(1)))
        .with(from.columns() * from.type().bytes() / unit)
        .run();
  }

  /**
   * Queries, keys and values that lie side by side: the first two are turned, the last two
   * appended.
   */
  void split(Tensor together, Tensor frequency, Batch batch, Tensor q, Tensor keys, Tensor values) {
    CudaTensor all = (CudaTensor) together;
    CudaTensor cache = (CudaTensor) keys;
    int headSize = Math.toIntExact(2 * frequency.elements());
    int heads = ((CudaTensor) q).columns() / headSize;
    int keyHeads = Math.toIntExact(cache.size(2)) / headSize;
    Shapes.expect(
        "queriesKeysValues", all.columns() == (heads + 2 * keyHeads) * headSize, all, q, cache);
    kernels
        .on("split_heads_" + all.letter(), heads + 2L * keyHeads, all.rows(), 1, 64)
        .with(all)
        .with((CudaTensor) batch.slots())
        .with((CudaTensor) batch.positions())
        .with((CudaTensor) frequency)
        .with((CudaTensor) q)
        .with(cache)
        .with((CudaTensor) values)
        .with(heads)
        .with(keyHeads)
        .with(Math.toIntExact(cache.size(1)))
        .with(headSize)
        .run();
  }

  void run(
      CudaTensor q,
      CudaTensor keys,
      CudaTensor values,
      Batch batch,
      int headSize,
      float scale,
      CudaTensor out) {
    Shapes.atMost("head size", headSize, MOST_HEAD_SIZE);
    int heads = q.columns() / headSize;
    int keyHeads = Math.toIntExact(keys.size(2)) / headSize;
    int capacity = Math.toIntExact(keys.size(1));
    if (batch.rows() == 0) {
      return;
    }

    boolean half = q.type() == DType.BF16;
    if (half
        && batch.longestRun() >= LONG_RUN
        && (headSize == 32 || headSize == 64 || headSize == 128)) {
      kernels
          .on(
              "attend_prefill_" + headSize,
              (batch.longestRun() + 63) / 64,
              heads,
              batch.runs(),
              128)
          .with(q)
          .with(keys)
          .with(values)
          .with((CudaTensor) batch.slots())
          .with((CudaTensor) batch.visible())
          .with((CudaTensor) batch.runStarts())
          .with(out)
          .with(scale)
          .with(heads)
          .with(keyHeads)
          .with(capacity)
          .run();
      return;
    }

    int group = heads / keyHeads;
    boolean grouped =
        half
            && group <= 8
            && (headSize == 64 || headSize == 128)
            && batch.rows() * ((batch.longestContext() + PART - 1L) / PART) <= MOST_PARTS;
    // Parts of 64 keys keep a GPU busy in decode; a step of many rows does that by itself.
    int chunk = grouped || batch.rows() <= FEW_ROWS ? PART : Math.max(1, batch.longestContext());
    int parts = Math.max(1, (batch.longestContext() + chunk - 1) / chunk);
    long all = (long) batch.rows() * heads * parts;
    CudaTensor partial = device.scratch("partial attention", DType.F32, all, headSize);
    CudaTensor stats = device.scratch("attention weights", DType.F32, all, 2);
    Kernels.Launch launch =
        grouped
            ? kernels.on(
                "attend_group_" + (group <= 4 ? 4 : 8) + "_" + headSize,
                parts,
                keyHeads,
                batch.rows(),
                128)
            : kernels
                .on("attend_" + q.letter(), parts, heads, batch.rows(), 32)
                .shared(headSize * Float.BYTES);
    launch
        .with(q)
        .with(keys)
        .with(values)
        .with((CudaTensor) batch.slots())
        .with((CudaTensor) batch.visible())
        .with(partial)
        .with(stats)
        .with(scale)
        .with(heads)
        .with(keyHeads)
        .with(capacity);
    if (!grouped) {
      launch.with(headSize).with(chunk);
    }

    launch.run();
    kernels
        .on("attend_join_" + q.letter(), heads, batch.rows(), 1, 128)
        .with(partial)
        .with(stats)
        .with(out)
        .with(parts)
        .with(heads)
        .with(headSize)
        .run();
  }
}
