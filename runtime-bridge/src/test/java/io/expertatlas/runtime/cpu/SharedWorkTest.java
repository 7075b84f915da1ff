package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SharedWorkTest {
  @AfterEach
  void useOne() {
    FloatProducts.useThreads(1);
  }

  @Test
  void eachThingIsWorkedOnOnce() {
    for (int threads : new int[] {1, 3}) {
      FloatProducts.useThreads(threads);
      for (int length : new int[] {0, 1, 2, 77, 10_000}) {
        for (int numbers : new int[] {0, 1, 100, 5000, 100_000}) {
          AtomicIntegerArray times = new AtomicIntegerArray(length + 1);
          SharedWork.forEach(
              length,
              numbers,
              (first, end) -> {
                for (int i = first; i < end; i++) {
                  times.incrementAndGet(i);
                }
              });
          for (int i = 0; i < length; i++) {
            assertThat(times.get(i)).as("%d of %d of %d", i, length, numbers).isEqualTo(1);
          }

          assertThat(times.get(length)).isZero();
        }
      }
    }
  }
}
