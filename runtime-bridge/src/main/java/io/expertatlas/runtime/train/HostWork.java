package io.expertatlas.runtime.train;

import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Work of the host on parameters, each by one thread of the JVM's common pool. */
final class HostWork {
  /** Numbers that are worked on at a time: they stay in the caches of a core. */
  static final int PIECE = 4096;

  private HostWork() {}

  static void forEach(List<Parameter> parameters, Consumer<Parameter> work) {
    parameters.parallelStream().forEach(work);
  }

  /** Results in the order of the parameters. */
  static <T> List<T> map(List<Parameter> parameters, Function<Parameter, T> work) {
    return parameters.parallelStream().map(work).collect(Collectors.toList());
  }
}
