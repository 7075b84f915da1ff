package io.expertatlas.runtime.train;

import io.expertatlas.runtime.Timeline;
import io.expertatlas.runtime.pipeline.StepRouting;
import java.util.List;
import java.util.Optional;

/** Computes the loss of batches and the gradients of all parameters. */
public interface StepExecutor extends AutoCloseable {
  /**
   * Clears the gradients and computes those of the mean loss over a batch's targets.
   *
   * @return the mean loss, nats a token
   * @throws InterruptedException if the thread is interrupted
   */
  double gradients(TokenBatch batch) throws InterruptedException;

  /** What is done with parameters whose gradients are complete. */
  @FunctionalInterface
  interface Update {
    /**
     * Called with each parameter once a step, with some at a time, one call after the other.
     *
     * @param isBeside whether gradients of others are computed meanwhile
     */
    void update(List<Parameter> parameters, boolean isBeside);
  }

  /**
   * Computes gradients as {@link #gradients} does, and hands parameters to an update as soon as
   * theirs are complete: maybe while those of others are computed.
   *
   * @return the mean loss, nats a token
   * @throws InterruptedException if the thread is interrupted
   */
  double step(TokenBatch batch, Update update) throws InterruptedException;

  /**
   * The mean loss over a batch's targets, nats a token.
   *
   * @throws InterruptedException if the thread is interrupted
   */
  double loss(TokenBatch batch) throws InterruptedException;

  /** Bytes of copies, gradients and activations on the fullest device, at their most so far. */
  long peakBytes();

  /** Whether gradients are computed in doubles. */
  default boolean isInDoubles() {
    return true;
  }

  /** What ran when in the last step with gradients; empty without a pipeline. */
  default Timeline timeline() {
    return new Timeline(List.of());
  }

  /**
   * Tokens of each expert by layer and micro-batch, of the last step with gradients; empty without
   * a pipeline, or a step.
   */
  default Optional<StepRouting> routing() {
    return Optional.empty();
  }

  @Override
  void close();
}
