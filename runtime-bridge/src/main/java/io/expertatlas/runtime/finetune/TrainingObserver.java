package io.expertatlas.runtime.finetune;

/** Is told how far a training is. */
public interface TrainingObserver {
  /** Hears nothing. */
  TrainingObserver NONE =
      new TrainingObserver() {
        @Override
        public void stepped(int step, TrainingState.Point point, long peakBytes) {}

        @Override
        public void scored(int sequences) {}
      };

  /**
   * A step is done.
   *
   * @param step from 1
   * @param peakBytes of copies, gradients and activations
   */
  void stepped(int step, TrainingState.Point point, long peakBytes);

  /** Held-out sequences were scored. */
  void scored(int sequences);
}
