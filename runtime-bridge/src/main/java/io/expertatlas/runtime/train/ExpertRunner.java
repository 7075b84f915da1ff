package io.expertatlas.runtime.train;

import io.expertatlas.runtime.matrix.Matrix;
import java.util.List;

/** Decides where the experts of a layer are computed, and waits for them. */
@FunctionalInterface
interface ExpertRunner {
  /** The work of a layer's experts. */
  interface Work {
    /**
     * What experts are given that are computed elsewhere, on the layer's device: rows of one behind
     * those of the one before.
     */
    List<Matrix> inputs(List<Integer> experts);

    /**
     * What an expert is given that is computed on the layer's device, which takes its part of what
     * the expert makes: more rows may lie behind those of its tokens.
     */
    List<Matrix> inputsHere(int expert);

    /**
     * Computes an expert where its copies are; different experts may run at the same time.
     *
     * @param inputs there
     * @return what it makes, there
     */
    List<Matrix> compute(int expert, List<Matrix> inputs, Copies copies);

    /**
     * Takes what experts made, on the layer's device: rows of one behind those of the one before.
     */
    void outputs(List<Integer> experts, List<Matrix> made);

    /** All of it where the layer is. */
    default void run(int expert, Copies copies) {
      outputs(List.of(expert), compute(expert, inputsHere(expert), copies));
    }
  }

  /** Which pass asks. */
  enum Pass {
    /** Forward. */
    FORWARD,
    /** Backward. */
    BACKWARD
  }

  /** Work that has begun. */
  interface Running {
    /**
     * Does what is left, and waits.
     *
     * @return of each expert whether it was computed by the CPU beside the layer's device: what it
     *     computed with outlives the layer's scope
     */
    boolean[] finish() throws InterruptedException;
  }

  /**
   * Begins the work of each expert that has tokens, once: of those for the CPU beside the layer's
   * device.
   *
   * @param layer of the model
   * @param counts tokens of each expert
   */
  Running start(int layer, int[] counts, Pass pass, Work work) throws InterruptedException;

  /** All on the thread that asks, in order, with the same copies. */
  static ExpertRunner inOrder(Copies copies) {
    return (layer, counts, pass, work) ->
        () -> {
          for (int expert = 0; expert < counts.length; expert++) {
            if (counts[expert] > 0) {
              work.run(expert, copies);
            }
          }

          return new boolean[counts.length];
        };
  }
}
