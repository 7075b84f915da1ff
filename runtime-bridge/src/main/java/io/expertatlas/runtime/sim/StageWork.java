package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.pipeline.Visit;

/** How a device brings a stage's weights in, computes chunks, and gives the weights up. */
interface StageWork {
  /** The first chunk of a visit has come up; its input may not be there yet. */
  void begin(Visit visit);

  /** Computes a chunk whose input is there. */
  void compute(Visit visit, int chunk, boolean backward, Runnable done);

  /** The last chunk of a visit is computed. */
  void end(Visit visit);
}
