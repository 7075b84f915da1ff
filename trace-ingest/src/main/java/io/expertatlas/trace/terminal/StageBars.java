package io.expertatlas.trace.terminal;

import java.io.PrintWriter;
import java.util.Optional;
import me.tongfei.progressbar.ProgressBar;

/** A progress bar for each stage at a terminal; a line for each elsewhere. */
public final class StageBars implements StageProgress, AutoCloseable {
  private final PrintWriter err;
  private Optional<ProgressBar> bar = Optional.empty();

  /** Shows stages on a terminal, or writes them as lines. */
  public StageBars(PrintWriter err) {
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
