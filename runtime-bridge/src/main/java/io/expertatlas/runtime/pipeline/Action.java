package io.expertatlas.runtime.pipeline;

import java.util.Locale;
import java.util.Objects;

/**
 * One thing a device does.
 *
 * @param what it is
 * @param stage whose stage
 * @param peer the stage that data comes from or goes to; -1: none
 * @param chunk of which micro-batch
 */
public record Action(What what, int stage, int peer, int chunk) {
  /** Kinds of actions; those that compute wait for their input, those that send do not wait. */
  public enum What {
    /** The inputs of a step are taken. */
    FETCH_DATA,
    /** The first stage computes a chunk. */
    LOAD_FORWARD,
    /** A stage computes a chunk, with activations of the peer stage. */
    FORWARD,
    /** Activations go to the peer stage. */
    SEND_TENSOR,
    /** A stage computes gradients, with those of the peer stage. */
    BACKWARD,
    /** Gradients go to the peer stage. */
    SEND_GRAD
  }

  /** Checks that it is an action. */
  public Action {
    Objects.requireNonNull(what, "what is null");
  }

  /** Whether a stage computes forward. */
  public boolean isForward() {
    return what == What.LOAD_FORWARD || what == What.FORWARD;
  }

  /** Whether a stage computes backward. */
  public boolean isBackward() {
    return what == What.BACKWARD;
  }

  /** Whether something goes to the peer stage. */
  public boolean isSend() {
    return what == What.SEND_TENSOR || what == What.SEND_GRAD;
  }

  /** As the golden lists write it: {@code name stage peer chunk}. */
  @Override
  public String toString() {
    return "%s %d %d %d".formatted(what.name().toLowerCase(Locale.ROOT), stage, peer, chunk);
  }
}
