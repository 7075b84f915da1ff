package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;

/** Decides where the experts of a layer are computed, and waits for them. */
interface ExpertRunner {
  /** The work of a layer's experts. */
  interface Work {
    /** What an expert is given, on the layer's device. */
    Matrix input(int expert);

    /**
     * Computes an expert where its copies are; different experts may run at the same time.
     *
     * @param input there
     * @return what it makes, there
     */
    Matrix compute(int expert, Matrix input, Copies copies);

    /** Takes what an expert made, on the layer's device. */
    void output(int expert, Matrix made);

    /** All of it where the layer is. */
    default void run(int expert, Copies copies) {
      output(expert, compute(expert, input(expert), copies));
    }
  }

  /** Which pass asks. */
  enum Pass {
    /** Forward. */
    FORWARD,
    /** Forward once more, for a backward that follows, of experts that the device had computed. */
    AGAIN,
    /** Backward. */
    BACKWARD
  }

  /**
   * Runs the work of each expert that has tokens, once.
   *
   * @param layer of the model
   * @param counts tokens of each expert
   * @return of each expert whether it was computed by the CPU beside the layer's device: what it
   *     computed with outlives the layer's scope
   */
  boolean[] run(int layer, int[] counts, Pass pass, Work work) throws InterruptedException;

  /** All on the thread that asks, in order, with the same copies. */
  static ExpertRunner inOrder(Copies copies) {
    return (layer, counts, pass, work) -> {
      for (int expert = 0; expert < counts.length; expert++) {
        if (counts[expert] > 0) {
          work.run(expert, copies);
        }
      }

      return new boolean[counts.length];
    };
  }
}
