package io.expertatlas.runtime.cli;

import io.expertatlas.runtime.finetune.TrainingObserver;
import io.expertatlas.runtime.finetune.TrainingState;
import io.expertatlas.runtime.pipeline.StepRouting;
import io.expertatlas.runtime.train.StepExecutor;
import java.util.ArrayList;
import java.util.List;

/** Keeps where the tokens of each step of a training went. */
final class CountsRecorder implements TrainingObserver {
  private final StepExecutor executor;
  private final TrainingObserver next;
  private final List<StepRouting> steps = new ArrayList<>();
  private int firstStep;

  /**
   * A recorder of an executor that tells its routing.
   *
   * @param next is told too
   */
  CountsRecorder(StepExecutor executor, TrainingObserver next) {
    this.executor = executor;
    this.next = next;
  }

  @Override
  public void stepped(int step, TrainingState.Point point, long peakBytes) {
    firstStep = steps.isEmpty() ? step : firstStep;
    steps.add(executor.routing().orElseThrow());
    next.stepped(step, point, peakBytes);
  }

  @Override
  public void scored(int sequences) {
    next.scored(sequences);
  }

  /** The steps so far. */
  List<StepRouting> steps() {
    return steps;
  }

  /** The number of the first of them, from 1. */
  int firstStep() {
    return firstStep;
  }
}
