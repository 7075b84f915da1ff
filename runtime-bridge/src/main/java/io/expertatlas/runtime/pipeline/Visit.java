package io.expertatlas.runtime.pipeline;

import java.util.ArrayList;
import java.util.List;

/**
 * A time in which a stage's weights are on its device: from the first chunk to the last.
 *
 * @param number of the visit on its device
 * @param stage which stage
 * @param forward whether chunks pass forward
 * @param backward whether chunks pass backward
 */
public record Visit(int number, int stage, boolean forward, boolean backward) {
  /**
   * The visits of a device in a step, in order. When visit i begins, its weights are loaded unless
   * they are there, then those of visit i + 1; they are dropped when it ends. So at most two stages
   * are on a device: visit i + 1 is loaded after visit i - 1 was dropped.
   *
   * @param backward whether the step has a backward pass
   * @param keepTurn whether the last forward stage stays for its backward pass: one visit then
   */
  public static List<Visit> of(StagePlan plan, int device, boolean backward, boolean keepTurn) {
    int[] stages = plan.stagesOf(device);
    List<Visit> visits = new ArrayList<>();
    int last = stages.length - 1;
    for (int i = 0; i <= last; i++) {
      boolean turns = backward && keepTurn && i == last;
      visits.add(new Visit(visits.size(), stages[i], true, turns));
    }

    for (int i = keepTurn ? last - 1 : last; backward && i >= 0; i--) {
      visits.add(new Visit(visits.size(), stages[i], false, true));
    }

    return List.copyOf(visits);
  }

  /** Whether an action is its first. */
  public boolean beginsWith(Action action) {
    return action.stage() == stage
        && action.chunk() == 0
        && (forward ? action.isForward() : action.isBackward());
  }

  /** Whether an action is its last, of so many chunks. */
  public boolean endsWith(Action action, int chunks) {
    return action.stage() == stage
        && action.chunk() == chunks - 1
        && (backward ? action.isBackward() : action.isForward());
  }
}
