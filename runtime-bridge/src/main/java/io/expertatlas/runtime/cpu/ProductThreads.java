package io.expertatlas.runtime.cpu;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.bytedeco.openblas.global.openblas;

/**
 * The threads of matrix products, of the whole process: OpenBLAS's own for products of many rows,
 * and as many, the caller among them, for products that are cut by {@link Products}. They are
 * started when they are first needed, and end when they are idle for a while.
 */
final class ProductThreads {
  private static final int DEALS = 4; // times that a thread takes pieces, if all are as fast
  private static final AtomicInteger NAMES = new AtomicInteger();
  private static final ThreadPoolExecutor POOL =
      new ThreadPoolExecutor(
          1, 1, 10, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), ProductThreads::thread);
  private static volatile int threads = 1;

  static {
    POOL.allowCoreThreadTimeOut(true);
  }

  private ProductThreads() {}

  /** A range of pieces of work. */
  @FunctionalInterface
  interface Pieces {
    /** Does the pieces from the first to before the last. */
    void run(int from, int to);
  }

  private static Thread thread(Runnable work) {
    Thread thread = new Thread(work, "product-" + NAMES.incrementAndGet());
    thread.setDaemon(true);
    return thread;
  }

  /** From now on so many work together, and as many of OpenBLAS's own. */
  static void set(int count) {
    set(count, count);
  }

  /** From now on so many work together, and so many of OpenBLAS's own. */
  static synchronized void set(int count, int ofOpenBlas) {
    openblas.blas_set_num_threads(ofOpenBlas);
    int others = Math.max(1, count - 1);
    if (others > POOL.getMaximumPoolSize()) {
      POOL.setMaximumPoolSize(others);
      POOL.setCorePoolSize(others);
    } else {
      POOL.setCorePoolSize(others);
      POOL.setMaximumPoolSize(others);
    }

    threads = count;
  }

  /**
   * Deals consecutive pieces, at least one, to the threads, whoever is free the next ones; returns
   * when all are done. A thread that wakes late finds nothing left, and nobody waits for it.
   */
  static void split(int pieces, Pieces work) {
    int parts = Math.min(threads, pieces);
    Deal deal = new Deal(pieces, Math.max(1, pieces / (parts * DEALS)), parts - 1, work);
    deal.run();
    deal.await();
  }

  /** Pieces that threads take some of at a time. */
  private static final class Deal implements Runnable {
    private final int pieces;
    private final int each;
    private final Pieces work;
    private final AtomicInteger asleep; // threads that were not asked yet
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger done = new AtomicInteger();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    Deal(int pieces, int each, int others, Pieces work) {
      this.pieces = pieces;
      this.each = each;
      this.work = work;
      this.asleep = new AtomicInteger(others);
    }

    @Override
    public void run() {
      wake(); // two of the others, who wake two each
      wake();
      for (int from = next.getAndAdd(each); from < pieces; from = next.getAndAdd(each)) {
        int to = Math.min(pieces, from + each);
        try {
          work.run(from, to);
        } catch (RuntimeException | Error e) {
          failure.compareAndSet(null, e);
        } finally {
          done.addAndGet(to - from);
        }
      }
    }

    private void wake() {
      if (next.get() < pieces && asleep.getAndDecrement() > 0) {
        POOL.execute(this);
      }
    }

    /** Others are at their last pieces: they take no longer than waking up would. */
    void await() {
      while (done.get() < pieces) {
        Thread.onSpinWait();
      }

      if (failure.get() != null) {
        throw new IllegalStateException(
            "Cannot compute a product: " + failure.get(), failure.get());
      }
    }
  }
}
