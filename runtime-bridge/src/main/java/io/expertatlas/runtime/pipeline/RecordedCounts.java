package io.expertatlas.runtime.pipeline;

import java.util.List;

/**
 * Where the tokens of a training's steps went: tokens of each expert by layer and micro-batch, as
 * its routers chose, and what the simulator needs to know of the steps. Immutable.
 *
 * @param topK experts of a token
 * @param batch sequences of a step
 * @param sequenceLength tokens of each
 * @param parameters of the model
 * @param firstStep number of the first step, from 1
 * @param steps in order, one at least, all of one shape
 */
public record RecordedCounts(
    int topK,
    int batch,
    int sequenceLength,
    long parameters,
    int firstStep,
    List<StepRouting> steps) {
  /**
   * Takes a copy, and checks it.
   *
   * @throws IllegalArgumentException if there is no step, a number is below 1, steps are of several
   *     shapes, the batch does not divide among the micro-batches, or the experts of a layer and
   *     micro-batch do not have all its tokens
   */
  public RecordedCounts {
    steps = List.copyOf(steps);
    if (steps.isEmpty()
        || topK < 1
        || batch < 1
        || sequenceLength < 1
        || parameters < 1
        || firstStep < 1) {
      throw new IllegalArgumentException(
          ("Invalid counts: %d steps, top-k %d, batch %d, sequence length %d, %d parameters, first"
                  + " step %d, at least 1 each")
              .formatted(steps.size(), topK, batch, sequenceLength, parameters, firstStep));
    }

    StepRouting first = steps.get(0);
    if (batch % first.chunks() != 0) {
      throw new IllegalArgumentException(
          "Invalid counts: batch %d in %d micro-batches, which do not divide it"
              .formatted(batch, first.chunks()));
    }

    long choices = (long) batch / first.chunks() * sequenceLength * topK;
    for (int step = 0; step < steps.size(); step++) {
      check(steps.get(step), step, first, choices);
    }
  }

  private static void check(StepRouting step, int number, StepRouting first, long choices) {
    if (step.layers() != first.layers()
        || step.chunks() != first.chunks()
        || step.experts() != first.experts()) {
      throw new IllegalArgumentException(
          "Invalid counts: step %d has %d layers, %d micro-batches, %d experts, the first has %d, %d, %d"
              .formatted(
                  number,
                  step.layers(),
                  step.chunks(),
                  step.experts(),
                  first.layers(),
                  first.chunks(),
                  first.experts()));
    }

    for (int layer = 0; layer < step.layers(); layer++) {
      for (int chunk = 0; chunk < step.chunks(); chunk++) {
        long sum = 0;
        for (int tokens : step.counts(layer, chunk)) {
          sum += tokens;
        }

        if (sum != choices) {
          throw new IllegalArgumentException(
              "Invalid counts: step %d, layer %d, micro-batch %d have %d tokens, expected %d"
                  .formatted(number, layer, chunk, sum, choices));
        }
      }
    }
  }

  /** Number of layers. */
  public int layers() {
    return steps.get(0).layers();
  }

  /** Micro-batches of a step. */
  public int microBatches() {
    return steps.get(0).chunks();
  }

  /** Experts of a layer. */
  public int experts() {
    return steps.get(0).experts();
  }
}
