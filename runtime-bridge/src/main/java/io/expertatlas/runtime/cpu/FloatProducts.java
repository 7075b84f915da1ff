package io.expertatlas.runtime.cpu;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/**
 * Matrix products in floats by OpenBLAS, on row-major buffers from their positions. Safe for
 * several threads; as many threads compute as {@link DoubleProducts#useThreads} or a {@link
 * CpuDevice} said last.
 *
 * <p>Operands outside the heap are read and written where they are. The presets would copy those of
 * the heap to new memory and back, also what is only read; here they pass through memory of the
 * thread, {@value #PIECE} numbers of rows at a time.
 */
public final class FloatProducts {
  private static final int PIECE = 1 << 22;
  private static final ThreadLocal<Rooms> ROOMS = ThreadLocal.withInitial(Rooms::new);

  private FloatProducts() {}

  /** Memory outside the heap for the operands of a product. */
  private static final class Rooms {
    private final FloatBuffer[] rooms = new FloatBuffer[3];

    /** The operand itself, or room for it: uncleared. */
    FloatBuffer room(int operand, FloatBuffer numbers, int count) {
      if (numbers.isDirect()) {
        return numbers;
      }

      if (rooms[operand] == null || rooms[operand].capacity() < count) {
        rooms[operand] =
            ByteBuffer.allocateDirect(Math.multiplyExact(count, Float.BYTES))
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer();
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

  /** {@code c += transposed(a) b}; a {@code [k, m]}, b {@code [k, n]}, c {@code [m, n]}. */
  public static void addTransposedBy(
      int m, int n, int k, FloatBuffer a, FloatBuffer b, FloatBuffer c) {
    if (m == 0 || n == 0 || k == 0) {
      return;
    }

    Rooms rooms = ROOMS.get();
    FloatBuffer out = rooms.in(2, c, m * n);
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
