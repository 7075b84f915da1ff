package io.expertatlas.runtime.cpu;

import io.expertatlas.runtime.DType;
import io.expertatlas.runtime.cpu.Bf16Kernels.Shape;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.ShortPointer;

/**
 * Products with bf16 weights by oneDNN: x is rounded to bf16, sums are F32. Weights stay as
 * checkpoints hold them, row by row (README, "Measured").
 *
 * <p>A product is cut by outputs, so that threads can share it; the cut depends on the shape alone.
 */
final class Bf16Products {
  /** Weights of a piece: 2 MB. */
  private static final int PIECE = 1 << 20;

  private static final int LEAST_OUTPUTS = 256;

  /** Numbers rounded at a time. */
  private static final int ROUNDED = 1 << 14;

  /** Multiplications that are worth waking other threads for. */
  private static final long LARGE = 8_000_000;

  private static final Queue<Bf16Kernels> FREE = new ConcurrentLinkedQueue<>();

  private final CpuMemory memory;
  private final float[] values = new float[ROUNDED];
  private final short[] rounded = new short[ROUNDED];
  private Pointer x;
  private long room;

  Bf16Products(CpuMemory memory) {
    this.memory = memory;
  }

  /** {@code out[t] = beta * out[t] + weight x[t]}; x [rows, in], weight [n, in], beta 0 or 1. */
  void linear(
      FloatPointer input,
      ShortPointer weight,
      int rows,
      int in,
      int n,
      float beta,
      FloatPointer out) {
    round(input, rows, in);
    boolean adds = beta != 0;
    int each = Math.min(n, Math.max(LEAST_OUTPUTS, PIECE / in));
    int pieces = (n + each - 1) / each;
    if (pieces == 1 || (long) rows * in * n < LARGE) {
      pieces(weight, rows, in, n, each, 0, pieces, adds, out);
    } else {
      ProductThreads.split(
          pieces, (from, to) -> pieces(weight, rows, in, n, each, from, to, adds, out));
    }
  }

  private void pieces(
      ShortPointer weight,
      int rows,
      int in,
      int n,
      int each,
      int from,
      int to,
      boolean adds,
      FloatPointer out) {
    Bf16Kernels free = FREE.poll();
    Bf16Kernels kernels = free == null ? new Bf16Kernels() : free;
    for (int piece = from; piece < to; piece++) {
      int first = piece * each;
      kernels.run(
          new Shape(in, Math.min(each, n - first), n, adds),
          x.address(),
          weight.address() + (weight.position() + (long) first * in) * Short.BYTES,
          rows,
          out.address() + (out.position() + first) * Float.BYTES);
    }

    FREE.add(kernels);
  }

  private void round(FloatPointer input, int rows, int in) {
    long bytes = (long) rows * in * DType.BF16.bytes();
    if (room < bytes) {
      room = Math.max(bytes, 2 * room);
      x = memory.allocate("rounded input of products", room);
    }

    FloatPointer from = new FloatPointer(input);
    ShortPointer into = new ShortPointer(x);
    long all = (long) rows * in;
    for (long first = 0; first < all; first += ROUNDED) {
      int count = (int) Math.min(ROUNDED, all - first);
      from.position(input.position() + first).get(values, 0, count);
      Bf16.round(values, rounded, count);
      into.position(first).put(rounded, 0, count);
    }
  }
}
