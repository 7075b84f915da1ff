package io.expertatlas.runtime.model;

import io.expertatlas.trace.ModelShape;
import java.util.Arrays;

/** Foretells the experts that were chosen most so far. */
final class PopularityForeteller implements Foreteller {
  private final long[][] chosen; // [layer][expert]

  PopularityForeteller(ModelShape shape) {
    this.chosen = new long[shape.layers()][shape.experts()];
  }

  @Override
  public Foretold next(Spoken spoken) {
    for (int expert : spoken.choices()) {
      chosen[spoken.layer()][expert]++;
    }

    int next = (spoken.layer() + 1) % chosen.length;
    int needed = (int) Arrays.stream(spoken.choices()).distinct().count();
    return Foretold.ofCounts(next, chosen[next]).most(needed);
  }
}
