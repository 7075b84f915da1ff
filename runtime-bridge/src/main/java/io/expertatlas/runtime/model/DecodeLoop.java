package io.expertatlas.runtime.model;

import java.util.List;

/**
 * Decode steps that follow each other on the device: chosen tokens go on into the next step without
 * a word from the host. Does what {@link Model#forward} and the choice of tokens do.
 */
public interface DecodeLoop {
  /** Most steps of a {@link #run}. */
  int mostSteps();

  /**
   * Runs steps.
   *
   * @param first the first one: the last token of each sequence
   * @param steps how many, 1 to {@link #mostSteps}
   * @param sampler how tokens are chosen
   * @param draws for a sampler that draws: numbers in [0, 1), {@code [step][token of the step]}
   * @param end stops after the step in which a sequence gets this token; -1: never, and the host
   *     does not wait before the last step
   * @return the next token of each token of the step, for each step that was run
   */
  List<int[]> run(Step first, int steps, Sampler sampler, float[][] draws, int end);
}
