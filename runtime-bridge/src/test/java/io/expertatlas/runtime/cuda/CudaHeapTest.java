package io.expertatlas.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.expertatlas.runtime.cuda.CudaHeap.Range;
import io.expertatlas.trace.Cases;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Ranges are those that a search from unit to unit finds. */
class CudaHeapTest {
  private static final int UNITS = 60;

  static Stream<Long> seeds() {
    return Cases.seeded(200);
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void rangesAreThoseOfASearch(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    CudaHeap heap = new CudaHeap(UNITS * CudaHeap.UNIT + random.nextInt(256));
    boolean[] taken = new boolean[UNITS];
    List<Range> given = new ArrayList<>();
    int most = 0;
    for (int step = 0; step < 300; step++) {
      int units = random.nextInt(1, 12);
      long bytes = units * CudaHeap.UNIT - random.nextInt(256);
      int kind = random.nextInt(4);
      if (kind == 3) {
        if (!given.isEmpty()) {
          Range range = given.remove(random.nextInt(given.size()));
          assertThat(heap.give(range.offset())).isEqualTo(range);
          mark(taken, range, false);
        }
      } else {
        List<Range> avoided = new ArrayList<>();
        for (int i = random.nextInt(4); kind == 2 && i > 0; i--) {
          long from = random.nextInt(UNITS - 5) * CudaHeap.UNIT;
          avoided.add(new Range(from, random.nextInt(1, 6) * CudaHeap.UNIT));
        }

        long expected = search(taken, avoided, units, kind == 0);
        long offset = kind == 0 ? heap.takeLow(bytes) : heap.takeHigh(bytes, avoided);
        assertThat(offset).isEqualTo(expected);
        if (offset >= 0) {
          Range range = new Range(offset, units * CudaHeap.UNIT);
          given.add(range);
          mark(taken, range, true);
        }
      }

      most = Math.max(most, count(taken));
      assertThat(heap.freeBytes()).isEqualTo((UNITS - count(taken)) * CudaHeap.UNIT);
      assertThat(heap.largestHole()).isEqualTo(largestHole(taken) * CudaHeap.UNIT);
      assertThat(heap.peakBytes()).isEqualTo(most * CudaHeap.UNIT);
    }
  }

  private static long search(boolean[] taken, List<Range> avoided, int units, boolean isLow) {
    boolean[] closed = taken.clone();
    avoided.forEach(range -> mark(closed, range, true));
    for (int i = 0; i + units <= UNITS; i++) {
      int first = isLow ? i : UNITS - units - i;
      boolean isFree = true;
      for (int unit = first; unit < first + units; unit++) {
        isFree &= !closed[unit];
      }

      if (isFree) {
        return first * CudaHeap.UNIT;
      }
    }

    return -1;
  }

  private static void mark(boolean[] units, Range range, boolean value) {
    for (long at = range.offset(); at < range.end(); at += CudaHeap.UNIT) {
      units[(int) (at / CudaHeap.UNIT)] = value;
    }
  }

  private static int count(boolean[] taken) {
    int count = 0;
    for (boolean one : taken) {
      count += one ? 1 : 0;
    }

    return count;
  }

  private static int largestHole(boolean[] taken) {
    int most = 0;
    int length = 0;
    for (boolean one : taken) {
      length = one ? 0 : length + 1;
      most = Math.max(most, length);
    }

    return most;
  }

  @Test
  void whatIsNotTakenCannotBeGiven() {
    CudaHeap heap = new CudaHeap(1024);
    long offset = heap.takeLow(1);
    heap.give(offset);
    assertThatThrownBy(() -> heap.give(offset))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Nothing is taken at 0");
  }

  @Test
  void lessThanAUnitHoldsNothing() {
    CudaHeap heap = new CudaHeap(255);
    assertThat(heap.takeLow(1)).isEqualTo(-1);
    assertThat(heap.takeHigh(1, List.of())).isEqualTo(-1);
    assertThat(heap.largestHole()).isZero();
  }
}
