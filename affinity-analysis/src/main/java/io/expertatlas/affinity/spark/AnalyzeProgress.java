package io.expertatlas.affinity.spark;

/** Is told how far the counting is. Calls come from one thread at a time. */
public interface AnalyzeProgress {
  /** Hears nothing. */
  AnalyzeProgress NONE =
      new AnalyzeProgress() {
        @Override
        public void started(String stage, int tasks) {}

        @Override
        public void advanced() {}

        @Override
        public void ended() {}
      };

  /** A stage of so many tasks starts. */
  void started(String stage, int tasks);

  /** One task is done. */
  void advanced();

  /** The stage has ended, well or not. */
  void ended();
}
