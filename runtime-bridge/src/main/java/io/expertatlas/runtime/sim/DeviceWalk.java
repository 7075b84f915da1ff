package io.expertatlas.runtime.sim;

import io.expertatlas.runtime.Timeline.Span;
import io.expertatlas.runtime.pipeline.Action;
import io.expertatlas.runtime.pipeline.Action.What;
import io.expertatlas.runtime.pipeline.Visit;
import java.util.List;

/** A device that goes through its list of actions. */
final class DeviceWalk {
  /** Takes what a device sends. */
  interface Network {
    /** The device of a stage. */
    DeviceWalk ownerOf(int stage);
  }

  private final DeviceContext context;
  private final List<Action> actions;
  private final StageWork work;
  private final Network network;
  private final int chunks;
  private final boolean[][][] arrived; // [tensor, gradient][stage][chunk]
  private final boolean[] sending = new boolean[2]; // to the stage after, before
  private int next;
  private int visit;
  private boolean begun;
  private boolean computing;

  DeviceWalk(
      DeviceContext context, List<Action> actions, int chunks, StageWork work, Network network) {
    this.context = context;
    this.actions = actions;
    this.chunks = chunks;
    this.work = work;
    this.network = network;
    this.arrived = new boolean[2][context.plan().stages()][chunks];
  }

  /** Goes on as far as it can. */
  void proceed() {
    while (next < actions.size() && !computing) {
      Action action = actions.get(next);
      if (action.isSend()) {
        if (!send(action)) {
          return;
        }

        next++;
      } else if (action.what() == What.FETCH_DATA) {
        next++;
      } else if (!compute(action)) {
        return;
      }
    }
  }

  private boolean compute(Action action) {
    Visit current = context.visits().get(visit);
    if (!begun) {
      begun = true;
      if (current.beginsWith(action)) {
        work.begin(current);
      }
    }

    boolean backward = action.isBackward();
    boolean first = backward ? action.peer() < 0 : action.stage() == 0;
    if (!first && !arrived[backward ? 1 : 0][action.stage()][action.chunk()]) {
      return false;
    }

    computing = true;
    work.compute(current, action.chunk(), backward, () -> computed(action));
    return computing;
  }

  private void computed(Action action) {
    computing = false;
    begun = false;
    next++;
    Visit current = context.visits().get(visit);
    if (current.endsWith(action, chunks)) {
      work.end(current);
      visit++;
    }

    proceed();
  }

  /** False if what was sent that way before is still under way. */
  private boolean send(Action action) {
    int direction = action.what() == What.SEND_TENSOR ? 0 : 1;
    DeviceWalk to = network.ownerOf(action.peer());
    if (to == this) {
      receive(direction, action);
      return true;
    }

    if (sending[direction]) {
      return false;
    }

    sending[direction] = true;
    long begin = context.events().now();
    long nanos = Math.round(context.times().sendNanos(context.gpu(), to.context.gpu()));
    if (context.records() && nanos > 0) {
      context
          .spans()
          .add(
              new Span(
                  context.gpu(),
                  PipelineSimulator.SEND,
                  "%s of stage %d chunk %d"
                      .formatted(
                          direction == 0 ? "activations" : "gradients",
                          action.stage(),
                          action.chunk()),
                  begin,
                  begin + nanos));
    }

    context
        .events()
        .after(
            nanos,
            () -> {
              sending[direction] = false;
              to.receive(direction, action);
              to.proceed();
              proceed();
            });
    return true;
  }

  private void receive(int direction, Action sent) {
    arrived[direction][sent.peer()][sent.chunk()] = true;
  }

  /**
   * Checks that it came to its end.
   *
   * @throws IllegalStateException if not, with the action that it stopped at
   */
  void checkDone() {
    if (next < actions.size()) {
      throw new IllegalStateException(
          "Device %d stopped before '%s'".formatted(context.device(), actions.get(next)));
    }
  }
}
