package io.expertatlas.runtime.train;

import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Work of the host on parameters, each by one of its threads, as many as there are processors. */
final class HostWork {
  /** Numbers that are worked on at a time: they stay in the caches of a core. */
  static final int PIECE = 4096;

  /** Not the common pool: who routes tokens there does not wait for an optimizer. */
  private static final ForkJoinPool POOL =
      new ForkJoinPool(Runtime.getRuntime().availableProcessors());

  private HostWork() {}

  static void forEach(List<Parameter> parameters, Consumer<Parameter> work) {
    POOL.submit(() -> parameters.parallelStream().forEach(work)).join();
  }

  /** Results in the order of the parameters. */
  static <T> List<T> map(List<Parameter> parameters, Function<Parameter, T> work) {
    return POOL.submit(
            () -> parameters.parallelStream().map(work).collect(Collectors.toList()))
        .join();
  }
}
