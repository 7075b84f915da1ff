package io.expertatlas.runtime.pipeline;

import java.util.Iterator;
import java.util.List;
import java.util.Optional;

/** Gives the routing of one step after the other. */
@FunctionalInterface
public interface RoutingSource {
  /** The next step, or empty when there is none. */
  Optional<StepRouting> next();

  /** These steps, in order. */
  static RoutingSource of(List<StepRouting> steps) {
    Iterator<StepRouting> left = steps.iterator();
    return () -> left.hasNext() ? Optional.of(left.next()) : Optional.empty();
  }
}
