package io.expertatlas.trace.spark;

/** Is told how far an ingest is. Calls come from one thread at a time. */
public interface IngestProgress {
  /** Hears nothing. */
  IngestProgress NONE =
      new IngestProgress() {
        @Override
        public void started(String stage, int tasks) {}

        @Override
        public void advanced() {}

        @Override
        public void ended() {}
      };

  /** A stage of so many tasks starts. */
  void started(String stage, int tasks);

  /** A task of the stage is done. */
  void advanced();

  /** The stage is over, done or failed. */
  void ended();
}
