package io.expertatlas.runtime.train;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/**
 * Work of the host on parameters, by as many threads as there are processors. Whoever is free takes
 * the next piece, so that all end together, and the time grows with the numbers alone.
 */
final class HostWork {
  /**
   * Numbers that are worked on at a time: four arrays of them stay in the first cache of a core.
   */
  static final int PIECE = 1024;

  /**
   * Numbers that a thread takes at a time, at most: they share rows of gradients that are not
   * written.
   */
  private static final int RANGE = 1024 * PIECE;

  private static final int TURNS = 32; // times that a thread takes some, at least

  /** Threads at most. */
  static final int THREADS = Runtime.getRuntime().availableProcessors();

  /** Not the common pool: who routes tokens there does not wait for an optimizer. */
  private static final ForkJoinPool POOL = new ForkJoinPool(THREADS);

  private HostWork() {}

  /** Work on numbers of a parameter. */
  @FunctionalInterface
  interface RangeWork {
    /** Works on numbers from the first to before the end. */
    void run(Parameter parameter, int first, int end);
  }

  private record Range(Parameter parameter, int first, int end) {}

  /**
   * Cuts large parameters, so that few of them keep all threads busy.
   *
   * @param works makes the work of a thread, with its own room
   * @param isBeside whether half of the processors are left to others: the memory is busy with half
   */
  static void forEachRange(
      List<Parameter> parameters, Supplier<RangeWork> works, boolean isBeside) {
    long all = parameters.stream().mapToLong(Parameter::elements).sum();
    int most = (int) Math.max(PIECE, Math.min(RANGE, all / (TURNS * THREADS) / PIECE * PIECE));
    List<Range> ranges = new ArrayList<>();
    for (Parameter parameter : parameters) {
      for (long first = 0; first < parameter.elements(); first += most) {
        int end = (int) Math.min(first + most, parameter.elements());
        ranges.add(new Range(parameter, (int) first, end));
      }
    }

    share(
        ranges.size(),
        isBeside ? (THREADS + 1) / 2 : THREADS,
        () -> {
          RangeWork work = works.get();
          return i -> work.run(ranges.get(i).parameter, ranges.get(i).first, ranges.get(i).end);
        });
  }

  static void forEach(List<Parameter> parameters, Consumer<Parameter> work) {
    share(parameters.size(), THREADS, () -> i -> work.accept(parameters.get(i)));
  }

  /** Results in the order of the parameters. */
  static <T> List<T> map(List<Parameter> parameters, Function<Parameter, T> work) {
    List<T> results = new ArrayList<>(Collections.nCopies(parameters.size(), null));
    share(parameters.size(), THREADS, () -> i -> results.set(i, work.apply(parameters.get(i))));
    return results;
  }

  /**
   * Pieces from 0, each once, by so many threads at most; returns when all are done, or throws what
   * one threw.
   */
  private static void share(int pieces, int most, Supplier<IntConsumer> works) {
    AtomicInteger next = new AtomicInteger();
    List<ForkJoinTask<?>> threads = new ArrayList<>();
    for (int thread = 0; thread < Math.min(pieces, most); thread++) {
      threads.add(
          POOL.submit(
              () -> {
                IntConsumer work = works.get();
                for (int i = next.getAndIncrement(); i < pieces; i = next.getAndIncrement()) {
                  work.accept(i);
                }
              }));
    }

    threads.forEach(ForkJoinTask::quietlyJoin);
    threads.forEach(ForkJoinTask::join);
  }
}
