package io.expertatlas.predictor.nd4j;

import io.expertatlas.predictor.RoutingCounts;
import io.expertatlas.predictor.SequenceSplit;
import io.expertatlas.predictor.SequenceSplit.Part;
import io.expertatlas.predictor.store.StateStore;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** Trains layers on threads of this machine, a layer on a thread, on a store. */
public final class LocalRunner implements TrainingRunner {
  private static final int COUNTED = 1 << 14; // rows read at a time

  private final StateStore store;
  private final int threads;

  /** Uses so many threads. */
  public LocalRunner(StateStore store, int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("Invalid threads: %d, at least 1".formatted(threads));
    }

    this.store = store;
    this.threads = threads;
  }

  @Override
  public int[] sequences() {
    return Arrays.stream(store.sequences()).distinct().toArray();
  }

  @Override
  public TrainingCounts count(SequenceSplit split, int lookahead) {
    int[] sequences = store.sequences();
    RoutingCounts counted = new RoutingCounts(store.model().shape(), lookahead);
    long validation = 0;
    int width = store.model().shape().choicesPerToken();
    short[] experts = new short[Math.min(COUNTED, store.rows()) * width];
    for (int from = 0; from < store.rows(); from += COUNTED) {
      int rows = Math.min(COUNTED, store.rows() - from);
      store.readExperts(from, rows, experts, 0);
      for (int row = 0; row < rows; row++) {
        Part part = split.part(sequences[from + row]);
        validation += part == Part.VALIDATION ? 1 : 0;
        if (part == Part.TRAIN) {
          counted.add(experts, row * width);
        }
      }
    }

    return new TrainingCounts(counted, validation);
  }

  private static int[] rows(int[] sequences, SequenceSplit split, Part part) {
    int[] rows = new int[sequences.length];
    int count = 0;
    for (int row = 0; row < rows.length; row++) {
      if (split.part(sequences[row]) == part) {
        rows[count++] = row;
      }
    }

    return Arrays.copyOf(rows, count);
  }

  @Override
  public List<TrainedLayer> train(List<LayerTask> tasks, SequenceSplit split, Runnable epochDone) {
    int[] sequences = store.sequences();
    int[] train = rows(sequences, split, Part.TRAIN);
    int[] validation = rows(sequences, split, Part.VALIDATION);
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
        LayerRows rows = new LayerRows(store.layer(task.layer(), task.heads()), train, validation);
        futures.add(pool.submit(() -> LayerTrainer.train(task, rows, oneAtATime)));
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

  @Override
  public void close() {}
}
