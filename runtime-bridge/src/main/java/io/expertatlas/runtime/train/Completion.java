package io.expertatlas.runtime.train;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;

/**
 * The end of a step for each parameter: it is handed on when its gradient is on the host, those of
 * a stage's layers as soon as they are stored, by a thread of their own; the embedding's and the
 * head's, which may be one, when all are.
 */
final class Completion {
  private final TrainableModel model;
  private final StepExecutor.Update update;
  private final ExecutorService thread;
  private final List<Future<?>> running = new ArrayList<>();
  private final Set<Parameter> begun = Collections.newSetFromMap(new IdentityHashMap<>());
  private volatile boolean isAlone; // whether all devices are done

  /**
   * Of one step.
   *
   * @param thread of its own: one
   */
  Completion(TrainableModel model, StepExecutor.Update update, ExecutorService thread) {
    this.model = model;
    this.update = update;
    this.thread = thread;
  }

  /**
   * A stage has stored its gradients.
   *
   * @param stored waits until they are there
   */
  synchronized void stored(Stage stage, Runnable stored) {
    List<Parameter> parameters = new ArrayList<>();
    for (int layer = stage.first(); layer < stage.end(); layer++) {
      Layer one = model.layers().get(layer);
      parameters.addAll(one.attention().parameters());
      parameters.addAll(one.gate().parameters());
      one.experts().forEach(expert -> parameters.addAll(expert.parameters()));
    }

    begun.addAll(parameters);
    running.add(
        thread.submit(
            () -> {
              stored.run();
              update.update(parameters, !isAlone);
            }));
  }

  /** All devices are done: waits, and hands the others on. */
  synchronized void finish() throws InterruptedException {
    isAlone = true;
    try {
      for (Future<?> one : running) {
        one.get();
      }
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException thrown) {
        throw thrown;
      }

      throw new IllegalStateException("Updating parameters failed: " + e.getCause(), e.getCause());
    }

    update.update(model.parameters().stream().filter(one -> !begun.contains(one)).toList(), false);
  }
}
