package io.expertatlas.runtime.train;

/** Decides where the experts of a layer are computed, and waits for them. */
interface ExpertRunner {
  /** The work of one expert. */
  interface Work {
    /** Computes with these copies; different experts may run at the same time. */
    void run(int expert, Copies copies);
  }

  /**
   * Runs the work of each expert that has tokens, once.
   *
   * @param layer of the model
   * @param counts tokens of each expert
   * @param backward whether gradients are computed
   */
  void run(int layer, int[] counts, boolean backward, Work work) throws InterruptedException;

  /** All on the thread that asks, in order, with the same copies. */
  static ExpertRunner inOrder(Copies copies) {
    return (layer, counts, backward, work) -> {
      for (int expert = 0; expert < counts.length; expert++) {
        if (counts[expert] > 0) {
          work.run(expert, copies);
        }
      }
    };
  }
}
