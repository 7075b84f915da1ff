package io.expertatlas.runtime.cpu;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.bytedeco.openblas.global.openblas;

/**
 * The threads of matrix products, of the whole process: OpenBLAS's own for products of many rows,
 * and as many, the caller among them, for products that are cut by {@link Products}. They are
 * started when they are first needed, and end when they are idle for a while.
 */
final class ProductThreads {
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

  /** From now on so many work together. */
  static synchronized void set(int count) {
    openblas.blas_set_num_threads(count);
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

  /** Deals consecutive pieces, at least one, to the threads; returns when all are done. */
  static void split(int pieces, Pieces work) {
    int parts = Math.min(threads, pieces);
    List<Future<?>> others = new ArrayList<>(parts);
    for (int part = 1; part < parts; part++) {
      int from = (int) ((long) pieces * part / parts);
      int to = (int) ((long) pieces * (part + 1) / parts);
      others.add(POOL.submit(() -> work.run(from, to)));
    }

    try {
      work.run(0, pieces / parts);
    } finally {
      others.forEach(ProductThreads::await);
    }
  }

  private static void await(Future<?> other) {
    boolean interrupted = false;
    while (true) {
      try {
        other.get();
        break;
      } catch (InterruptedException e) {
        interrupted = true; // the memory that is worked on must not be freed under it
      } catch (ExecutionException e) {
        throw new IllegalStateException("Cannot compute a product: " + e.getCause(), e);
      }
    }

    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
