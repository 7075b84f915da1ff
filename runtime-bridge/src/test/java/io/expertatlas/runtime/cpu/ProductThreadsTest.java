package io.expertatlas.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ProductThreadsTest {
  private static final int PIECES = 2; // one for each thread

  @BeforeEach
  void useTwo() {
    ProductThreads.set(2, 1);
  }

  @AfterEach
  void useOne() {
    ProductThreads.set(1, 1);
  }

  /** Each piece waits for the other: one thread alone would wait in vain. */
  private static int piecesThatMet() {
    CountDownLatch met = new CountDownLatch(PIECES);
    AtomicInteger both = new AtomicInteger();
    ProductThreads.split(
        PIECES,
        (from, to) -> {
          met.countDown();
          try {
            both.addAndGet(met.await(20, TimeUnit.SECONDS) ? to - from : 0);
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        });
    return both.get();
  }

  @Test
  void othersHelp() {
    assertThat(piecesThatMet()).isEqualTo(PIECES);
  }

  @Test
  void othersStillHelpAfterProductsThatFailed() {
    for (int i = 0; i < 10; i++) {
      assertThatThrownBy(
              () ->
                  ProductThreads.split(
                      PIECES,
                      (from, to) -> {
                        throw new IllegalArgumentException("piece " + from);
                      }))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("Cannot compute a product: java.lang.IllegalArgumentException");
    }

    assertThat(piecesThatMet()).isEqualTo(PIECES);
  }
}
