package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.bytedeco.javacpp.FloatPointer;

/**
 * Matrix products in floats by OpenBLAS, on row-major buffers from their positions. Safe for
 * several threads.
 *
 * <p>Operands outside the heap are read and written where they are. The presets would copy those of
 * the heap to new memory and back, also what is only read; here they pass through memory of the
 * thread, {@value #PIECE} numbers of rows at a time; all of them where weights are large and the
 * product is shared out ({@link SharedProducts}).
 */
public final class FloatProducts {
  private static final int PIECE = 1 << 22;
  private static final int LINE = 64; // bytes of a cache line, which vectors should not straddle
  private static final ThreadLocal<Rooms> ROOMS = ThreadLocal.withInitial(Rooms::new);

  private FloatProducts() {}

  /** Memory outside the heap for the operands of a product. */
  private static final class Rooms {
    private final FloatBuffer[] rooms = new FloatBuffer[4];

    /** The operand itself, or room for it: uncleared. */
    FloatBuffer room(int operand, FloatBuffer numbers, int count) {
      return numbers.isDirect() ? numbers : room(operand, count);
    }

    FloatBuffer room(int operand, int count) {
      if (rooms[operand] == null || rooms[operand].capacity() < count) {
        rooms[operand] = allocate(count);
      }

      return rooms[operand];
    }

    /** The operand itself, or a copy. */
    FloatBuffer in(int operand, FloatBuffer numbers, int count) {
      FloatBuffer room = room(operand, numbers, count);
      return room == numbers ? numbers : room.put(0, numbers, numbers.position(), count);
    }

    /** Brings a result back from its room. */
    void out(int operand, FloatBuffer numbers, int count) {
      if (!numbers.isDirect()) {
        numbers.put(numbers.position(), rooms[operand], 0, count);
      }
    }
  }

  /** So many zeros outside the heap, from the beginning of a cache line on. */
  public static FloatBuffer allocate(int count) {
    int bytes = Math.multiplyExact(count, Float.BYTES);
    return ByteBuffer.allocateDirect(Math.addExact(2 * LINE, bytes))
        .alignedSlice(LINE)
        .order(ByteOrder.nativeOrder())
        .asFloatBuffer()
        .slice(0, count);
  }

  /**
   * Sets how many threads share a product with large weights. All others, also in doubles, run on
   * the thread that asks for them, until a {@link CpuDevice} with another number of threads is
   * made.
   */
  public static void useThreads(int threads) {
    ProductThreads.set(threads, 1);
  }

  /** {@code c = a transposed(b)}; a {@code [m, k]}, b {@code [n, k]}, c {@code [m, n]}. */
  public static void byTransposed(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    byRows(m, n, k, a, b, CblasTrans, k, c);
  }

  /** {@code c = a b}; a {@code [m, k]}, b {@code [k, n]}, c {@code [m, n]}. */
  public static void plain(int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    byRows(m, n, k, a, b, CblasNoTrans, n, c);
  }

  private static void byRows(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, int turnB, int ldb, FloatBuffer c) {
    if (m == 0 || n == 0 || k == 0) {
      return;
    }

    if (SharedProducts.fits(n, k)) {
      shared(m, n, k, a, b, turnB, c);
      return;
    }

    Rooms rooms = ROOMS.get();
    FloatBuffer right = rooms.in(1, b, n * k);
    int each = a.isDirect() && c.isDirect() ? m : rowsOfPiece(Math.max(n, k));
    for (int first = 0; first < m; first += each) {
      int some = Math.min(each, m - first);
      FloatBuffer left = rooms.in(0, at(a, first * k), some * k);
      FloatBuffer result = at(c, first * n);
      FloatBuffer out = rooms.room(2, result, some * n);
      cblas_sgemm(
          CblasRowMajor, CblasNoTrans, turnB, some, n, k, 1, left, k, right, ldb, 0, out, n);
      rooms.out(2, result, some * n);
    }
  }

  private static void shared(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, int turnB, FloatBuffer c) {
    Rooms rooms = ROOMS.get();
    boolean isTurned = SharedProducts.isTurned(m);
    FloatBuffer left = isTurned ? a.slice() : rooms.in(0, a, m * k).slice();
    FloatPointer right = pointer(rooms.in(1, b, n * k));
    FloatBuffer out = isTurned ? c.slice() : rooms.room(2, c, m * n).slice();
    if (turnB == CblasTrans) {
      FloatBuffer room = rooms.room(3, SharedProducts.roomOfByTransposed(m, n, k));
      SharedProducts.byTransposed(m, n, k, left, right, out, room);
    } else {
      FloatBuffer room = rooms.room(3, SharedProducts.roomOfPlain(m, n, k));
      SharedProducts.plain(m, n, k, left, right, out, room);
    }

    if (!isTurned) {
      rooms.out(2, c, m * n);
    }
  }

  /** Of a buffer outside the heap; the presets take no account of its position. */
  private static FloatPointer pointer(FloatBuffer numbers) {
    return new FloatPointer(numbers.slice());
  }

  /**
   * {@code c = transposed(a) b}, on the thread that asks; a {@code [k, m]}, b {@code [k, n]}, c
   * {@code [m, n]}, all outside the heap.
   */
  public static void transposedBy(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, a, m, b, n, 0, c, n);
  }

  /** {@code c += transposed(a) b}; a {@code [k, m]}, b {@code [k, n]}, c {@code [m, n]}. */
  public static void addTransposedBy(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    if (m == 0 || n == 0 || k == 0) {
      return;
    }

    Rooms rooms = ROOMS.get();
    FloatBuffer out = rooms.in(2, c, m * n);
    if (SharedProducts.fits(m, n)) {
      FloatPointer left = pointer(rooms.in(0, a, k * m));
      FloatPointer right = pointer(rooms.in(1, b, k * n));
      SharedProducts.addTransposedBy(m, n, k, left, right, pointer(out));
      rooms.out(2, c, m * n);
      return;
    }

    int each = a.isDirect() && b.isDirect() ? k : rowsOfPiece(Math.max(m, n));
    for (int first = 0; first < k; first += each) {
      int some = Math.min(each, k - first);
      FloatBuffer left = rooms.in(0, at(a, first * m), some * m);
      FloatBuffer right = rooms.in(1, at(b, first * n), some * n);
      cblas_sgemm(
          CblasRowMajor, CblasTrans, CblasNoTrans, m, n, some, 1, left, m, right, n, 1, out, n);
    }

    rooms.out(2, c, m * n);
  }

  private static int rowsOfPiece(int columns) {
    return Math.max(1, PIECE / columns);
  }

  private static FloatBuffer at(FloatBuffer numbers, int offset) {
    return offset == 0 ? numbers : numbers.duplicate().position(numbers.position() + offset);
  }
}
