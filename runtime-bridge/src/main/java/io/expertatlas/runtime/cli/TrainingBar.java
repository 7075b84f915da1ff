package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.finetune.TrainingObserver;
import io.expertatlas.runtime.finetune.TrainingSettings;
import io.expertatlas.runtime.finetune.TrainingState;
import me.tongfei.progressbar.ProgressBar;

/** Shows steps, loss, tokens a second and memory. */
final class TrainingBar implements TrainingObserver {
  private final ProgressBar bar;
  private final long tokens; // of a step
  private long last = System.nanoTime();

  TrainingBar(ProgressBar bar, TrainingSettings settings) {
    this.bar = bar;
    this.tokens = (long) settings.batch() * settings.sequenceLength();
    bar.setExtraMessage(" scores held-out text");
  }

  @Override
  public void stepped(int step, TrainingState.Point point, long peakBytes) {
    long now = System.nanoTime();
    bar.stepTo(step);
    bar.setExtraMessage(
        " loss %.3f, %.0f tokens/s, %s"
            .formatted(point.loss(), 1e9 * tokens / (now - last), ByteSize.show(peakBytes)));
    last = now;
  }

  @Override
  public void scored(int sequences) {
    last = System.nanoTime();
  }
}
