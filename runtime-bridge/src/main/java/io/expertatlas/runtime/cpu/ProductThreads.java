package io.expertatlas.runtime.cpu;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import org.bytedeco.openblas.global.openblas;

/**
 * The threads of matrix products, of the whole process: OpenBLAS's own for products of many rows,
 * and as many, the caller among them, for products that are cut by {@link Products} and {@link
 * SharedProducts}. They are started when they are first needed. One product comes soon after
 * another, so a thread looks out for the next one for a moment before it sleeps: to be woken takes
 * as long as a product of few rows.
 */
final class ProductThreads {
  private static final int DEALS = 4; // times that a thread takes pieces, if all are as fast
  private static final int MOST_SPINS = 10_000;
  private static final long AWAKE_NANOS = TimeUnit.MICROSECONDS.toNanos(200);
  private static final List<Worker> WORKERS = new ArrayList<>(); // under the class's lock
  private static final int PRODUCTS = 4; // at a time that others help with
  private static final AtomicReferenceArray<Deal> CURRENT = new AtomicReferenceArray<>(PRODUCTS);
  private static final AtomicInteger SLEEPERS = new AtomicInteger();
  private static volatile Worker[] others = new Worker[0]; // that work now
  private static volatile int threads = 1;

  private ProductThreads() {}

  /** A range of pieces of work. */
  @FunctionalInterface
  interface Pieces {
    /** Does the pieces from the first to before the last. */
    void run(int from, int to);
  }

  /** From now on so many work together, and as many of OpenBLAS's own. */
  static void set(int count) {
    set(count, count);
  }

  /** From now on so many work together, and so many of OpenBLAS's own. */
  static synchronized void set(int count, int ofOpenBlas) {
    openblas.blas_set_num_threads(ofOpenBlas);
    threads = count;
    others = null;
  }

  /** Those that work beside the caller, started if they are not yet. */
  private static Worker[] others() {
    Worker[] found = others;
    if (found != null) {
      return found;
    }

    synchronized (ProductThreads.class) {
      while (WORKERS.size() < threads - 1) {
        Worker worker = new Worker("product-" + (WORKERS.size() + 1));
        WORKERS.add(worker);
        worker.start();
      }

      others = WORKERS.subList(0, threads - 1).toArray(Worker[]::new);
      return others;
    }
  }

  /**
   * Deals consecutive pieces, at least one, to the threads, whoever is free the next ones; returns
   * when all are done. Nobody waits for a thread that wakes late. Of several products at a time the
   * others help with one after the other.
   */
  static void split(int pieces, Pieces work) {
    int parts = Math.min(threads, pieces);
    Deal deal = new Deal(pieces, Math.max(1, pieces / (parts * DEALS)), work);
    if (parts > 1) {
      deal.invite(others(), parts - 1);
    }

    try {
      deal.run();
      deal.await();
    } finally {
      deal.remove();
    }
  }

  /** Helps with the first product that has pieces and a place left; whether there was one. */
  private static boolean help() {
    for (int i = 0; i < PRODUCTS; i++) {
      Deal deal = CURRENT.get(i);
      if (deal != null && deal.join()) {
        return true;
      }
    }

    return false;
  }

  private static boolean isIdle() {
    for (int i = 0; i < PRODUCTS; i++) {
      if (CURRENT.get(i) != null) {
        return false;
      }
    }

    return true;
  }

  /** Helps with products that are dealt, again and again. */
  private static final class Worker extends Thread {
    private volatile boolean sleeps;

    Worker(String name) {
      super(name);
      setDaemon(true);
    }

    @Override
    public void run() {
      long since = System.nanoTime();
      while (true) {
        if (help()) {
          since = System.nanoTime();
        } else if (System.nanoTime() - since < AWAKE_NANOS) {
          Thread.onSpinWait();
        } else {
          SLEEPERS.incrementAndGet();
          sleeps = true;
          if (isIdle()) {
            LockSupport.park(this);
          }

          sleeps = false;
          SLEEPERS.decrementAndGet();
          since = System.nanoTime();
        }
      }
    }

    void wake() {
      if (sleeps) {
        LockSupport.unpark(this);
      }
    }
  }

  /** Pieces that threads take some of at a time. */
  private static final class Deal {
    private static final int LINE = 16; // from one count to the next: each in a line of its own
    private static final int NEXT = LINE; // piece
    private static final int DONE = 2 * LINE; // pieces
    private static final int PLACES = 3 * LINE; // for threads beside the caller
    private static final int WOKEN = 4 * LINE; // threads

    private final int pieces;
    private final int each;
    private final Pieces work;
    private final AtomicIntegerArray counts = new AtomicIntegerArray(6 * LINE);
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private Worker[] invited = new Worker[0];
    private int place = -1; // among the current ones

    Deal(int pieces, int each, Pieces work) {
      this.pieces = pieces;
      this.each = each;
      this.work = work;
    }

    /** Lets others help, unless they have enough to do. */
    void invite(Worker[] workers, int count) {
      invited = workers;
      counts.set(PLACES, count);
      for (int i = 0; i < PRODUCTS; i++) {
        if (CURRENT.compareAndSet(i, null, this)) {
          place = i;
          wakeTwo();
          return;
        }
      }
    }

    void remove() {
      if (place >= 0) {
        CURRENT.set(place, null);
      }
    }

    /** Two of the others, who wake two each. */
    private void wakeTwo() {
      for (int i = 0; i < 2 && SLEEPERS.get() > 0; i++) {
        int worker = counts.getAndIncrement(WOKEN);
        if (worker < invited.length && counts.get(NEXT) < pieces) {
          invited[worker].wake();
        }
      }
    }

    /** A thread that looked out, or was woken; whether it did some. */
    boolean join() {
      if (counts.get(NEXT) >= pieces
          || counts.get(PLACES) <= 0
          || counts.getAndDecrement(PLACES) <= 0) {
        return false;
      }

      wakeTwo();
      run();
      return true;
    }

    void run() {
      int some = 0;
      for (int from = next(); from < pieces; from = next()) {
        int to = Math.min(pieces, from + each);
        some += to - from;
        try {
          work.run(from, to);
        } catch (RuntimeException | Error e) {
          failure.compareAndSet(null, e);
        }
      }

      counts.addAndGet(DONE, some);
    }

    private int next() {
      return counts.getAndAdd(NEXT, each);
    }

    /** Others are at their last pieces: they take no longer than waking up would. */
    void await() {
      for (int spins = 0; counts.get(DONE) < pieces; spins++) {
        if (spins < MOST_SPINS) {
          Thread.onSpinWait();
        } else {
          Thread.yield(); // more threads than processors: let them come to their end
        }
      }

      if (failure.get() != null) {
        throw new IllegalStateException(
            "Cannot compute a product: " + failure.get(), failure.get());
      }
    }
  }
}
