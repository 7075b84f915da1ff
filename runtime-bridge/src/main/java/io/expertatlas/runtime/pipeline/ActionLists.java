package io.expertatlas.runtime.pipeline;

import io.expertatlas.runtime.pipeline.Action.What;
import java.util.ArrayList;
import java.util.List;

/**
 * What each device of a pipeline does, in order. For every pair of devices the order of sends is
 * the order in which they are received.
 */
public final class ActionLists {
  private ActionLists() {}

  /**
   * The list of a device for one step.
   *
   * @param chunks micro-batches of a step
   * @param backward whether gradients are computed
   * @throws IllegalArgumentException if there is no chunk
   */
  public static List<Action> of(StagePlan plan, int device, int chunks, boolean backward) {
    if (chunks < 1) {
      throw new IllegalArgumentException(
          "Invalid number of micro-batches: %d, at least 1".formatted(chunks));
    }

    List<Action> actions = new ArrayList<>();
    if (device == 0) {
      actions.add(new Action(What.FETCH_DATA, -1, -1, -1));
    }

    int last = plan.stages() - 1;
    int[] stages = plan.stagesOf(device);
    for (int stage : stages) {
      for (int chunk = 0; chunk < chunks; chunk++) {
        actions.add(
            new Action(stage == 0 ? What.LOAD_FORWARD : What.FORWARD, stage, stage - 1, chunk));
        if (stage < last) {
          actions.add(new Action(What.SEND_TENSOR, stage, stage + 1, chunk));
        }
      }
    }

    for (int i = stages.length - 1; backward && i >= 0; i--) {
      int stage = stages[i];
      for (int chunk = 0; chunk < chunks; chunk++) {
        actions.add(new Action(What.BACKWARD, stage, stage == last ? -1 : stage + 1, chunk));
        if (stage > 0) {
          actions.add(new Action(What.SEND_GRAD, stage, stage - 1, chunk));
        }
      }
    }

    return List.copyOf(actions);
  }
}
