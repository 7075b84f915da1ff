package io.expertatlas.trace.terminal;

/** Is told how far long work is, stage by stage. Calls come from one thread at a time. */
public interface StageProgress {
  /** Hears nothing. */
  StageProgress NONE =
      new StageProgress() {
        @Override
        public void started(String stage, int tasks) {}

        @Override
        public void advanced() {}

        @Override
        public void ended() {}
      };

  /** A stage of so many steps starts. */
  void started(String stage, int tasks);

  /** One task is done. */
  void advanced();

  /** The stage is over, done or failed. */
  void ended();
}
