package io.expertatlas.runtime.pipeline;

import java.util.Optional;

/** Foretells of every layer and chunk what it was in the step before; of the first step nothing. */
public final class LastStepForetelling implements RoutingSource {
  private final RoutingSource real;
  private int[][][] last = new int[0][][]; // [layer][chunk][expert]

  /** Steps as they are, foretold by those before them. */
  public LastStepForetelling(RoutingSource real) {
    this.real = real;
  }

  @Override
  public Optional<StepRouting> next() {
    return real.next()
        .map(
            step -> {
              int[][][] counts = new int[step.layers()][step.chunks()][];
              for (int layer = 0; layer < counts.length; layer++) {
                for (int chunk = 0; chunk < counts[layer].length; chunk++) {
                  counts[layer][chunk] = step.counts(layer, chunk);
                }
              }

              StepRouting foretold = new StepRouting(counts, last);
              last = counts;
              return foretold;
            });
  }
}
