package io.expertatlas.affinity.cli;

import io.expertatlas.affinity.spark.AnalyzeProgress;
import io.expertatlas.trace.terminal.Terminal;
import java.io.PrintWriter;
import java.util.Optional;
import me.tongfei.progressbar.ProgressBar;

/** A progress bar for the counting at a terminal; a line elsewhere. */
final class StageBar implements AnalyzeProgress, AutoCloseable {
  private final PrintWriter err;
  private Optional<ProgressBar> bar = Optional.empty();

  StageBar(PrintWriter err) {
    this.err = err;
  }

  @Override
  public synchronized void started(String stage, int tasks) {
    if (System.console() == null) {
      err.printf("%s: %d task%s%n", stage, tasks, tasks == 1 ? "" : "s");
      err.flush();
    } else {
      bar = Optional.of(Terminal.progress(stage, tasks));
    }
  }

  @Override
  public synchronized void advanced() {
    bar.ifPresent(ProgressBar::step);
  }

  @Override
  public synchronized void ended() {
    bar.ifPresent(ProgressBar::close);
    bar = Optional.empty();
  }

  @Override
  public void close() {
    ended();
  }
}
