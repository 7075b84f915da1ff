package io.expertatlas.runtime.model;

import io.expertatlas.runtime.ExecutionPlan;
import java.util.stream.IntStream;

/** Where the tokens of a step begin. */
final class Homes {
  private Homes() {}

  /** The tokens whose sequences are at home on a rank, ascending. */
  static int[] tokens(ExecutionPlan plan, Step step, int rank) {
    return IntStream.range(0, step.tokens())
        .filter(token -> plan.home(step.number(token)) == rank)
        .toArray();
  }
}
