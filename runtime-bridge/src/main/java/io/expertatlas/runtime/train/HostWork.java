package io.expertatlas.runtime.train;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Work of the host on parameters, by as many threads as there are processors. */
final class HostWork {
  /** Numbers that are worked on at a time: they stay in the caches of a core. */
  static final int PIECE = 4096;

  private static final int RANGE = 64 * PIECE; // numbers of a thread at a time

  /** Not the common pool: who routes tokens there does not wait for an optimizer. */
  private static final ForkJoinPool POOL =
      new ForkJoinPool(Runtime.getRuntime().availableProcessors());

  private HostWork() {}

  /** Work on numbers of a parameter. */
  @FunctionalInterface
  interface RangeWork {
    /** Works on numbers from the first to before the end. */
    void run(Parameter parameter, int first, int end);
  }

  private record Range(Parameter parameter, int first) {}

  /** Cuts large parameters, so that few of them keep all threads busy. */
  static void forEachRange(List<Parameter> parameters, RangeWork work) {
    List<Range> ranges = new ArrayList<>();
    for (Parameter parameter : parameters) {
      for (long first = 0; first < parameter.elements(); first += RANGE) {
        ranges.add(new Range(parameter, (int) first));
      }
    }

    POOL.submit(
            () ->
                ranges.parallelStream()
                    .forEach(
                        range ->
                            work.run(
                                range.parameter,
                                range.first,
                                (int)
                                    Math.min(
                                        (long) range.first + RANGE, range.parameter.elements()))))
        .join();
  }

  static void forEach(List<Parameter> parameters, Consumer<Parameter> work) {
    POOL.submit(() -> parameters.parallelStream().forEach(work)).join();
  }

  /** Results in the order of the parameters. */
  static <T> List<T> map(List<Parameter> parameters, Function<Parameter, T> work) {
    return POOL.submit(() -> parameters.parallelStream().map(work).collect(Collectors.toList()))
        .join();
  }
}
