package io.expertatlas.predictor.nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** Trains layers on threads of this machine, a layer on a thread. */
public final class LocalRunner implements TrainingRunner {
  private final int threads;

  /** Uses so many threads. */
  public LocalRunner(int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("Invalid threads: %d, at least 1".formatted(threads));
    }

    this.threads = threads;
  }

  @Override
  public List<TrainedLayer> train(List<LayerTask> tasks, Runnable epochDone) {
    AtomicInteger names = new AtomicInteger();
    Runnable oneAtATime =
        () -> {
          synchronized (this) {
            epochDone.run();
          }
        };
    ExecutorService pool =
        Executors.newFixedThreadPool(
            Math.max(1, Math.min(threads, tasks.size())),
            work -> {
              Thread thread = new Thread(work, "train-" + names.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            });
    try {
      List<Future<TrainedLayer>> futures = new ArrayList<>();
      for (LayerTask task : tasks) {
        futures.add(pool.submit(() -> LayerTrainer.train(task, oneAtATime)));
      }

      List<TrainedLayer> trained = new ArrayList<>();
      for (Future<TrainedLayer> future : futures) {
        trained.add(future.get());
      }

      return trained;
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException failure) {
        throw failure;
      }

      if (e.getCause() instanceof Error failure) {
        throw failure;
      }

      throw new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("The training was interrupted", e);
    } finally {
      pool.shutdownNow();
    }
  }
}
