package io.expertatlas.placement.search;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Carries out tasks on some threads; results come in the order of the tasks. */
final class Workers implements AutoCloseable {
  private final ExecutorService threads;

  /** Starts the threads, named after their work. */
  Workers(String name, int count) {
    int[] made = {0};
    this.threads =
        Executors.newFixedThreadPool(
            count,
            task -> {
              Thread thread = new Thread(task, name + "-" + made[0]++);
              thread.setDaemon(true);
              return thread;
            });
  }

  /**
   * Carries out every task and waits for all.
   *
   * @throws IllegalStateException if a task fails, with its failure as the cause
   */
  <T> List<T> all(List<Callable<T>> tasks) {
    try {
      List<T> results = new ArrayList<>();
      for (Future<T> future : threads.invokeAll(tasks)) {
        results.add(future.get());
      }

      return results;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("Interrupted", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof Error error) {
        throw error;
      }

      throw new IllegalStateException(e.getCause().getMessage(), e.getCause());
    }
  }

  @Override
  public void close() {
    threads.shutdownNow();
  }
}
